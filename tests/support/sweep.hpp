// What every kernel is swept over: lengths around the lane count, misaligned and strided memory, extreme values.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "reckon/core/views.hpp"

namespace reckon::testing_support {

/// Lengths around the lane count L (0, 1, L-1, L, L+1, 4L+3), ascending, and a large one that spans several parts of
/// exec::default_part_size with an odd rest.
inline std::vector<std::size_t> sweep_lengths(std::size_t lanes, bool with_large = true) {
    std::vector<std::size_t> lengths{0, 1, lanes - 1, lanes, lanes + 1, 4 * lanes + 3};
    if (with_large) lengths.push_back(2 * (std::size_t{1} << 14) + 77);
    std::sort(lengths.begin(), lengths.end());
    lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
    return lengths;
}

/// A column that starts `offset` elements after a 64-byte boundary: 0 is aligned, 1 is the usual misaligned case.
template <class T>
class placed {
  public:
    placed(std::size_t size, std::size_t offset, T fill = T{}) : storage_(size + offset + slack, fill), size_(size) {
        const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
        const std::size_t to_boundary = (64 - address % 64) % 64 / sizeof(T);
        first_ = to_boundary + offset;
    }
    placed(const std::vector<T>& values, std::size_t offset) : placed(values.size(), offset) {
        std::copy(values.begin(), values.end(), data());
    }
    placed(const placed&) = delete;
    placed& operator=(const placed&) = delete;

    T* data() noexcept { return storage_.data() + first_; }
    const T* data() const noexcept { return storage_.data() + first_; }
    std::size_t size() const noexcept { return size_; }
    T* begin() noexcept { return data(); }
    T* end() noexcept { return data() + size_; }
    std::vector<T> copy() const { return {data(), data() + size_}; }

  private:
    static constexpr std::size_t slack = 64 / sizeof(T);
    std::vector<T> storage_;
    std::size_t size_;
    std::size_t first_ = 0;
};

/// A row-major matrix whose rows lie `gap` elements apart; the gaps hold `fill` and untouched() says whether they still
/// do.
template <class T>
class strided {
  public:
    strided(std::size_t rows, std::size_t cols, std::size_t gap, T fill)
        : storage_(rows * (cols + gap), fill), rows_(rows), cols_(cols), stride_(cols + gap), fill_(fill) {}

    matrix_view<T> view() noexcept { return {storage_.data(), rows_, cols_, stride_}; }
    matrix_view<const T> view() const noexcept { return {storage_.data(), rows_, cols_, stride_}; }
    bool untouched() const {
        for (std::size_t r = 0; r < rows_; ++r) {
            for (std::size_t c = cols_; c < stride_; ++c) {
                if (!(storage_[r * stride_ + c] == fill_)) return false;
            }
        }
        return true;
    }

  private:
    std::vector<T> storage_;
    std::size_t rows_;
    std::size_t cols_;
    std::size_t stride_;
    T fill_;
};

/// Numbers of both signs at the ends of T's range and at 1.
template <class T>
std::vector<T> finite_extremes() {
    using limits = std::numeric_limits<T>;
    std::vector<T> values;
    for (const T x : {T(0), limits::denorm_min(), (limits::min)(), limits::epsilon(), T(1), T(1) + limits::epsilon(),
                      T(88), T(746), (limits::max)()}) {
        values.push_back(x);
        values.push_back(-x);
    }
    return values;
}

/// NaN and the infinities.
template <class T>
std::vector<T> non_finite() {
    using limits = std::numeric_limits<T>;
    return {limits::quiet_NaN(), limits::infinity(), -limits::infinity()};
}

/// Probabilities at and next to 0, 1/2 and 1.
template <class T>
std::vector<T> extreme_probabilities() {
    using limits = std::numeric_limits<T>;
    const T half_ulp = limits::epsilon() / 2;
    return {T(0),   limits::denorm_min(),           (limits::min)(), T(1e-7),         T(0.5) - half_ulp / 2,
            T(0.5), T(0.5) + limits::epsilon() / 2, T(1) - T(1e-6),  T(1) - half_ulp, T(1)};
}

}  // namespace reckon::testing_support
