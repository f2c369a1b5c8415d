// Buffers for benchmarks: aligned, and on huge pages when they are large enough for page walks to matter.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

namespace reckon::bench {

/// Asks the kernel to back [data, data + bytes) with huge pages. Only a hint: where it is refused nothing changes.
/// Call it before the first touch, pages that already exist are not replaced.
inline void advise_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) {
#ifdef MADV_HUGEPAGE
    (void)madvise(data, bytes, MADV_HUGEPAGE);
#endif
}

/// Allocator that aligns small blocks to a cache line and puts blocks of 2 MiB and more on huge pages.
template <class T>
struct huge_page_allocator {
    using value_type = T;
    static constexpr std::size_t line = 64;
    static constexpr std::size_t huge_page = std::size_t{1} << 21;

    huge_page_allocator() = default;
    template <class U>
    huge_page_allocator(const huge_page_allocator<U>&) noexcept {}

    T* allocate(std::size_t count) {
        if (count > std::size_t(-1) / sizeof(T) - huge_page) throw std::bad_alloc{};
        const std::size_t bytes = count * sizeof(T);
        const std::size_t align = bytes >= huge_page ? huge_page : line;
        const std::size_t rounded = (bytes + align - 1) / align * align;
        void* block = std::aligned_alloc(align, rounded);
        if (block == nullptr) throw std::bad_alloc{};
        if (align == huge_page) advise_huge_pages(block, rounded);
        return static_cast<T*>(block);
    }
    void deallocate(T* block, std::size_t) noexcept { std::free(block); }

    template <class U>
    bool operator==(const huge_page_allocator<U>&) const noexcept {
        return true;
    }
};

/// The vector that benchmarks keep their inputs and outputs in.
template <class T>
using buffer = std::vector<T, huge_page_allocator<T>>;

}  // namespace reckon::bench
