// Where a loss writes its derivatives: columns that may be none, and shapes of gradients.
#pragma once

#include <cstddef>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/views.hpp"

namespace reckon::detail {

/// View of `column`, which holds numbers of type T, or an empty view of none{}.
///
/// what      names the `rows` inputs in the message: "scores".
/// Throws    std::invalid_argument when there is a column and it does not hold `rows` elements.
template <class T, class Column>
vector_view<T> derivative_output(const char* kernel, Column& column, std::size_t rows, const char* what) {
    if constexpr (std::is_same_v<std::remove_cv_t<Column>, none>) {
        return {};
    } else {
        const auto to = view(column);
        static_assert(std::is_same_v<T, typename decltype(to)::element_type>,
                      "reckon: derivatives of a loss must have the type of the scores, float or double");
        expects(to.size() == rows, kernel, rows, " ", what, " but room for ", to.size(), " derivatives");
        return to;
    }
}

/// Throws    std::invalid_argument unless `to`, the gradient of `what`, is empty or has the shape of `of`.
template <class T>
void expect_gradient_shape(const char* kernel, const char* what, matrix_view<T> to, matrix_view<const T> of) {
    expects(to.empty() || (to.rows() == of.rows() && to.cols() == of.cols()), kernel, "the gradient of ", what, " is ",
            to.rows(), " x ", to.cols(), ", not ", of.rows(), " x ", of.cols());
}

}  // namespace reckon::detail
