// Rows in consecutive groups of their own length, such as the candidates of a request: offsets of a compressed matrix.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "reckon/core/expects.hpp"
#include "reckon/core/views.hpp"

namespace reckon {

/// Segment s holds the rows offsets[s] .. offsets[s + 1] - 1.
///
/// Shapes    offsets [S + 1], or empty for no segment.
template <std::unsigned_integral Offset>
struct segments {
    vector_view<const Offset> offsets;

    constexpr std::size_t size() const noexcept { return offsets.empty() ? 0 : offsets.size() - 1; }
    constexpr std::size_t first(std::size_t s) const noexcept { return static_cast<std::size_t>(offsets[s]); }
    constexpr std::size_t count(std::size_t s) const noexcept {
        return static_cast<std::size_t>(offsets[s + 1] - offsets[s]);
    }
};

/// Segments over `rows` rows from unsigned offsets, checked once so that kernels may index with them.
///
/// kernel    name for the message.
/// Throws    std::invalid_argument unless the offsets begin with 0, do not decrease and end with `rows`.
/// Cost      reads all S + 1 offsets: memory is at stake.
template <vector_like Offsets>
auto make_segments(const char* kernel, const Offsets& offsets, std::size_t rows) {
    const auto at = input(offsets);
    using Offset = typename decltype(at)::value_type;
    if (at.empty()) {
        expects(rows == 0, kernel, rows, " rows but no offsets");
        return segments<Offset>{at};
    }
    expects(at[0] == 0, kernel, "offsets must begin with 0, got ", at[0]);
    for (std::size_t s = 1; s < at.size(); ++s) {
        expects(at[s - 1] <= at[s], kernel, "offsets must not decrease, got ", at[s], " after ", at[s - 1]);
    }
    expects(at[at.size() - 1] == rows, kernel, rows, " rows but offsets that end with ", at[at.size() - 1]);
    return segments<Offset>{at};
}

/// For kernels that number the rows of a list from its first one, in 32 bits.
///
/// Throws    std::invalid_argument when one of the lists of `rows` rows has 2^32 or more.
template <class Offset>
void expect_numbered_lists(const char* kernel, const segments<Offset>& lists, std::size_t rows) {
    constexpr std::uint64_t most = std::uint64_t{1} << 32;
    for (std::size_t s = 0; s < lists.size() && rows >= most; ++s) {
        expects(lists.count(s) < most, kernel, "a list of ", lists.count(s), " rows, fewer than 2^32 are possible");
    }
}

}  // namespace reckon
