// Memory for intermediate columns: not initialised, and on huge pages where the system gives them.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "reckon/core/views.hpp"

namespace reckon {

/// `size` elements that hold nothing yet.
///
/// A column of a million rows touches thousands of pages, and each costs a fault when the memory is fresh: as much as
/// the arithmetic on its rows. From 2 MiB on the memory is a whole number of huge pages, and Linux is asked for them.
///
/// Throws    std::bad_alloc.
template <class T>
class scratch_array {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  public:
    scratch_array() noexcept = default;
    explicit scratch_array(std::size_t size) : size_(size) {
        if (size == 0) return;
        std::size_t bytes = size * sizeof(T);
        huge_ = bytes >= huge_page;
        if (!huge_) {
            data_ = static_cast<T*>(::operator new(bytes));
            return;
        }
        bytes = (bytes + huge_page - 1) / huge_page * huge_page;
        data_ = static_cast<T*>(::operator new (bytes, std::align_val_t{huge_page}));
#if defined(__linux__) && defined(MADV_HUGEPAGE)
        // A wish: without huge pages everything works as well.
        static_cast<void>(::madvise(data_, bytes, MADV_HUGEPAGE));
#endif
    }
    ~scratch_array() {
        release();
    }
    scratch_array(scratch_array&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), huge_(other.huge_) {}
    scratch_array& operator=(scratch_array&& other) noexcept {
        if (this == &other) return *this;
        release();
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
        huge_ = other.huge_;
        return *this;
    }

    T* data() const noexcept {
        return data_;
    }
    std::size_t size() const noexcept {
        return size_;
    }
    T& operator[](std::size_t i) const noexcept {
        return data_[i];
    }

  private:
    static constexpr std::size_t huge_page = std::size_t{1} << 21;

    void release() noexcept {
        if (huge_) {
            ::operator delete (data_, std::align_val_t{huge_page});
        } else {
            ::operator delete(data_);
        }
    }

    T* data_ = nullptr;
    std::size_t size_ = 0;
    bool huge_ = false;
};

}  // namespace reckon
