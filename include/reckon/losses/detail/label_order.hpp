// Rows of a list in falling order of label, as losses over the pairs of unequal labels need them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "reckon/core/sort.hpp"

namespace reckon::detail {

// Orders one list after the other, in memory that it keeps.
template <class Y, class Isa>
class label_order {
  public:
    // Rows with a NaN label are left out; rows of equal labels keep their order.
    void sort(const Y* labels, std::size_t n) {
        if (rows_.size() < n) {
            rows_.resize(n);
            ends_.resize(n);
        }
        if (grades(labels, n)) return;
        size_ = 0;
        for (std::size_t i = 0; i < n; ++i) {
            if (labels[i] == labels[i]) rows_[size_++] = static_cast<std::uint32_t>(i);
        }
        if constexpr (sizeof(Y) <= 4 && !std::is_same_v<Y, bool>) {
            by_key(labels);
        } else {
            std::stable_sort(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(size_),
                             [&](std::uint32_t a, std::uint32_t b) { return labels[a] > labels[b]; });
        }
        for (std::size_t r = size_; r-- > 0;) {
            const bool last = r + 1 == size_ || labels[rows_[r]] != labels[rows_[r + 1]];
            ends_[r] = last ? static_cast<std::uint32_t>(r + 1) : ends_[r + 1];
        }
    }
    std::size_t size() const noexcept { return size_; }
    // Row of the list on place r.
    std::uint32_t row(std::size_t r) const noexcept { return rows_[r]; }
    // First place behind r with a smaller label.
    std::uint32_t end(std::size_t r) const noexcept { return ends_[r]; }
    const std::uint32_t* ends() const noexcept { return ends_.data(); }

  private:
    static constexpr std::size_t most_grades = 32;

    // Labels that are small integers, which most are, are counted. False when they are something else.
    bool grades(const Y* labels, std::size_t n) noexcept {
        bool fits = true;
        if constexpr (std::is_integral_v<Y>) {
            for (std::size_t i = 0; i < n; ++i) fits &= static_cast<unsigned_label>(labels[i]) < most_grades;
        } else {
            // The cast is defined for what the first comparison lets through.
            for (std::size_t i = 0; i < n; ++i) fits &= labels[i] >= Y(0) && labels[i] < Y(most_grades);
            if (!fits) return false;
            for (std::size_t i = 0; i < n; ++i)
                fits &= static_cast<Y>(static_cast<std::int32_t>(labels[i])) == labels[i];
        }
        if (!fits) return false;
        std::uint32_t next[most_grades] = {};
        std::size_t levels = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const std::size_t g = grade(labels[i]);
            ++next[g];
            levels = g >= levels ? g + 1 : levels;
        }
        std::uint32_t at = 0;
        for (std::size_t g = levels; g-- > 0;) {
            const std::uint32_t stop = at + next[g];
            next[g] = at;
            for (; at < stop; ++at) ends_[at] = stop;
        }
        for (std::size_t i = 0; i < n; ++i) rows_[next[grade(labels[i])]++] = static_cast<std::uint32_t>(i);
        size_ = n;
        return true;
    }
    static std::size_t grade(Y label) noexcept { return static_cast<std::size_t>(static_cast<std::int32_t>(label)); }

    void by_key(const Y* labels) {
        const auto key = [](Y label) -> std::uint32_t {
            if constexpr (std::is_floating_point_v<Y>) {
                return ~ordered_bits(label);
            } else if constexpr (std::is_signed_v<Y>) {
                return ~(static_cast<std::uint32_t>(static_cast<std::int32_t>(label)) ^ 0x80000000u);
            } else {
                return ~static_cast<std::uint32_t>(label);
            }
        };
        if (items_.size() < 2 * size_) items_.resize(2 * size_);
        for (std::size_t k = 0; k < size_; ++k) items_[k] = std::uint64_t{key(labels[rows_[k]])} << 32 | rows_[k];
        sort_bucket<Isa>(items_.data(), items_.data() + size_, size_);
        for (std::size_t k = 0; k < size_; ++k) rows_[k] = static_cast<std::uint32_t>(items_[k]);
    }

    using unsigned_label = std::conditional_t<sizeof(Y) <= 4, std::uint32_t, std::uint64_t>;

    std::size_t size_ = 0;
    std::vector<std::uint32_t> rows_, ends_;
    std::vector<std::uint64_t> items_;
};

}  // namespace reckon::detail
