// Searching a sorted run without branches that a processor would have to guess.
#pragma once

#include <cstddef>

#include "reckon/core/config.hpp"

namespace reckon::detail {

// How many of first[0 .. n) are `before`; those that are come first. About log2(n) steps, whose number depends on n alone.
template <class T, class Before>
RECKON_INLINE std::size_t count_before(const T* first, std::size_t n, Before&& before) noexcept {
    if (n == 0) return 0;
    std::size_t at = 0;
    for (; n > 1; n -= n / 2) {
        // A mask, because compilers turn a choice back into a branch.
        at += (std::size_t{0} - static_cast<std::size_t>(before(first[at + n / 2 - 1]))) & (n / 2);
    }
    return at + (before(first[at]) ? 1u : 0u);
}

}  // namespace reckon::detail
