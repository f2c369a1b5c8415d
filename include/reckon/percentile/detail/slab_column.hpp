// Columns that grow without moving: rows of a fixed width in slabs of about 2 MiB.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/scratch.hpp"

namespace reckon::detail {

// Rows of `width` elements (Width of them unless that is 0), not initialised. A slab is a whole number of huge pages where some power of two of rows
// makes that 2, 4 or 6 MiB, and at most 2 MiB otherwise. The first slab doubles up to its full size; the others are
// whole from the start. So growing copies less than one slab, and at most a slab is unused (half of it in use before
// the first is full).
template <class T, std::size_t Width = 0>
class slab_column {
  public:
    explicit slab_column(std::size_t width = Width) : width_(width), shift_(shift_of(width)) {}
    slab_column(const slab_column& other) : width_(other.width_), shift_(other.shift_), held_(other.held_) {
        slabs_.reserve(other.slabs_.size());
        for (const scratch_array<T>& slab : other.slabs_) {
            slabs_.emplace_back(slab.size());
            std::memcpy(slabs_.back().data(), slab.data(), slab.size() * sizeof(T));
        }
    }
    slab_column& operator=(const slab_column& other) {
        slab_column copy(other);
        return *this = std::move(copy);
    }
    slab_column(slab_column&&) noexcept = default;
    slab_column& operator=(slab_column&&) noexcept = default;
    ~slab_column() = default;

    RECKON_INLINE T* row(std::size_t r) noexcept { return at(r); }
    RECKON_INLINE const T* row(std::size_t r) const noexcept { return at(r); }
    std::size_t width() const noexcept { return width_; }
    std::size_t memory_bytes() const noexcept {
        std::size_t elements = 0;
        for (const scratch_array<T>& slab : slabs_) elements += slab.size();
        return elements * sizeof(T) + slabs_.capacity() * sizeof(scratch_array<T>);
    }
    // Room for `rows` rows. Changes nothing when memory runs out.
    void grow(std::size_t rows) {
        const std::size_t slab_rows = std::size_t{1} << shift_;
        while (held_ < rows) {
            if (held_ >= slab_rows) {
                slabs_.emplace_back(slab_rows * width_);
                held_ += slab_rows;
                continue;
            }
            const std::size_t wanted = (std::min)((std::max)(rows, 2 * held_), slab_rows);
            scratch_array<T> larger(wanted * width_);
            if (slabs_.empty()) {
                slabs_.push_back(std::move(larger));
            } else {
                std::memcpy(larger.data(), slabs_[0].data(), held_ * width_ * sizeof(T));
                slabs_[0] = std::move(larger);
            }
            held_ = wanted;
        }
    }

  private:
    // Rows of a slab, as a power of two.
    static constexpr int shift_of(std::size_t width) noexcept {
        constexpr std::size_t huge_page = std::size_t{1} << 21;
        const std::size_t bytes = width * sizeof(T);
        const std::size_t low_bit = bytes & (~bytes + 1);
        const std::size_t rows = bytes / low_bit <= 3 ? huge_page / low_bit : std::bit_floor(huge_page / bytes);
        return static_cast<int>(std::bit_width((std::max)(rows, std::size_t{1}))) - 1;
    }
    RECKON_INLINE T* at(std::size_t r) const noexcept {
        const std::size_t width = Width > 0 ? Width : width_;
        const int shift = Width > 0 ? shift_of(Width > 0 ? Width : 1) : shift_;
        return slabs_[r >> shift].data() + (r & ((std::size_t{1} << shift) - 1)) * width;
    }

    std::size_t width_;
    int shift_;
    std::size_t held_ = 0;  // rows there is room for
    std::vector<scratch_array<T>> slabs_;
};

}  // namespace reckon::detail
