// A column of group ids, or none: then every row is in group 0.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/views.hpp"

namespace reckon::detail {

/// Most groups that a threshold, prior or noise level may have.
inline constexpr std::size_t max_groups = std::size_t{1} << 20;

/// Group of each row. G is the type of the ids, void without a column.
template <class G>
struct group_ids {
    vector_view<const G> ids;
    std::size_t groups = 1;

    /// The group of row i, or `groups` for an id that has none.
    RECKON_INLINE std::size_t operator[](std::size_t i) const noexcept {
        const G id = ids[i];
        if constexpr (std::is_signed_v<G>) {
            if (id < 0) return groups;
        }
        return static_cast<std::uint64_t>(id) < groups ? static_cast<std::size_t>(id) : groups;
    }
    group_ids slice(std::size_t first, std::size_t count) const noexcept { return {ids.slice(first, count), groups}; }
};
template <>
struct group_ids<void> {
    std::size_t groups = 1;

    RECKON_INLINE std::size_t operator[](std::size_t) const noexcept { return 0; }
    group_ids slice(std::size_t, std::size_t) const noexcept { return *this; }
};

/// Checks a column of ids for `rows` rows and makes it a group_ids.
///
/// Throws    std::invalid_argument when the lengths differ or `groups` is not in [1, 2^20].
template <class Groups>
auto make_groups(const char* kernel, const Groups& ids, std::size_t rows, std::size_t groups) {
    expects(1 <= groups && groups <= max_groups, kernel, "groups must be in [1, 2^20], got ", groups);
    if constexpr (std::is_same_v<Groups, none>) {
        return group_ids<void>{groups};
    } else {
        const auto column = input(ids);
        using G = typename decltype(column)::value_type;
        static_assert(std::integral<G>, "reckon: group ids are integers");
        expects(column.size() == rows, kernel, rows, " rows but ", column.size(), " group ids");
        return group_ids<G>{column, groups};
    }
}

}  // namespace reckon::detail
