// Rows gathered by an id: the views of each user, the exposures of each item.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"

namespace reckon {

/// Rows of each distinct id: ids ascend, the rows of a group keep their order.
template <std::integral Id>
struct grouped_rows {
    std::vector<Id> ids;                 ///< [G] distinct, ascending
    std::vector<std::uint32_t> offsets;  ///< [G + 1], usable as the offsets of make_segments()
    std::vector<std::uint32_t> rows;     ///< [N] row numbers, group after group; none when the input was in this order

    /// Number of groups G.
    std::size_t size() const noexcept { return ids.size(); }
    std::size_t first(std::size_t g) const noexcept { return offsets[g]; }
    std::size_t count(std::size_t g) const noexcept { return offsets[g + 1] - offsets[g]; }
    /// Row of the input that stands at place k of the gathered order.
    std::size_t row(std::size_t k) const noexcept { return rows.empty() ? k : rows[k]; }
    /// True when the input already ascended, so that row(k) is k.
    bool in_place() const noexcept { return rows.empty(); }
    /// column[row(k)] for every k: a column in the gathered order.
    ///
    /// Throws    std::invalid_argument unless the column has as many rows as the ids had.
    template <class T>
    std::vector<T> gather(vector_view<const T> column) const {
        const std::size_t n = offsets.empty() ? 0 : offsets.back();
        expects(column.size() == n, "grouped_rows", n, " ids but a column of ", column.size());
        std::vector<T> out(column.size());
        for (std::size_t k = 0; k < out.size(); ++k) out[k] = column[row(k)];
        return out;
    }
};

/// Gathers rows by id.
///
/// Shapes    ids [N] of any integer type but bool, N < 2^32; sparse ids are as good as dense ones.
/// Throws    std::invalid_argument for 2^32 rows or more.
/// Cost      one pass when the ids ascend already; else a stable radix sort, 3 passes over 32 bits and 6 over 64, fewer
///           where all ids agree in a digit; 12 or 16 bytes of scratch a row, twice.
template <vector_like Ids, class Isa = isa::native>
auto group_by(const Ids& ids) {
    const auto id = input(ids);
    using Id = typename decltype(id)::value_type;
    static_assert(std::is_integral_v<Id> && !std::is_same_v<Id, bool>, "reckon: ids of group_by must be integers");
    const std::size_t n = id.size();
    expects(n < (std::uint64_t{1} << 32), "group_by", n, " rows, fewer than 2^32 are possible");
    grouped_rows<Id> groups;
    bool ascends = true;
    for (std::size_t i = 1; i < n && ascends; ++i) ascends = id[i - 1] <= id[i];
    if (!ascends) {
        using bits = std::conditional_t<sizeof(Id) == 8, std::uint64_t, std::uint32_t>;
        // Flips the sign, so that negative ids come first.
        constexpr bits sign = std::is_signed_v<Id> ? bits(1) << (8 * sizeof(bits) - 1) : bits(0);
        groups.rows =
            detail::radix_order<Isa>(n, [&](std::size_t i) -> bits { return static_cast<bits>(id[i]) ^ sign; });
    }
    groups.offsets.push_back(0);
    for (std::size_t k = 0; k < n; ++k) {
        const Id current = id[groups.row(k)];
        if (k > 0 && current == groups.ids.back()) continue;
        if (k > 0) groups.offsets.push_back(static_cast<std::uint32_t>(k));
        groups.ids.push_back(current);
    }
    if (n > 0) groups.offsets.push_back(static_cast<std::uint32_t>(n));
    return groups;
}

}  // namespace reckon
