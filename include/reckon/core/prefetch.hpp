// Hints that memory will be used soon, for kernels that jump between rows: hardware prefetchers only follow straight
// lines. Nothing depends on them, and an address may be any.
#pragma once

#include "reckon/core/config.hpp"

namespace reckon::detail {

RECKON_INLINE void prefetch_read([[maybe_unused]] const void* p) noexcept {
#if defined(__GNUC__)
    __builtin_prefetch(p, 0);
#endif
}
// Into the second-level cache only: for what is used after more than the first level holds.
RECKON_INLINE void prefetch_ahead([[maybe_unused]] const void* p) noexcept {
#if defined(__GNUC__)
    __builtin_prefetch(p, 0, 2);
#endif
}
RECKON_INLINE void prefetch_write([[maybe_unused]] const void* p) noexcept {
#if defined(__GNUC__)
    __builtin_prefetch(p, 1);
#endif
}

}  // namespace reckon::detail
