// Hints that memory will be used soon, for kernels that jump between rows: hardware prefetchers only follow straight
// lines. Nothing depends on them, and an address may be any.
#pragma once

#include <cstddef>

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
// Asks for a run of memory a share at a time, so that no request has to wait for another. Hardware stops at the end of
// each page, so that even a straight run is worth asking for.
template <class T>
class prefetch_run {
  public:
    RECKON_INLINE prefetch_run(const T* first, std::size_t count) noexcept : first_(first), lines_(count / line) {}

    // Up to the share of step i of `steps`.
    RECKON_INLINE void ask(std::size_t i, std::size_t steps) noexcept {
        for (; asked_ * steps < (i + 1) * lines_; ++asked_) prefetch_ahead(first_ + asked_ * line);
    }

  private:
    static constexpr std::size_t line = 64 / sizeof(T);

    const T* first_;
    std::size_t lines_, asked_ = 0;
};
RECKON_INLINE void prefetch_write([[maybe_unused]] const void* p) noexcept {
#if defined(__GNUC__)
    __builtin_prefetch(p, 1);
#endif
}

}  // namespace reckon::detail
