// An output column that may be none.
#pragma once

#include <cstddef>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/views.hpp"

namespace reckon::detail {

/// View of `column`, which holds numbers of type T, or an empty view of none{}.
///
/// Throws    std::invalid_argument when there is a column and it does not hold `rows` elements.
template <class T, class Column>
vector_view<T> optional_output(const char* kernel, Column& column, std::size_t rows) {
    if constexpr (std::is_same_v<std::remove_cv_t<Column>, none>) {
        return {};
    } else {
        const auto to = view(column);
        expects(to.size() == rows, kernel, rows, " rows but room for ", to.size());
        return to;
    }
}

}  // namespace reckon::detail
