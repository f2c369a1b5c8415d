// Sums behind the two batch contrasts: short blocks of rows in lanes, around a value of the block, so that floats lose
// nothing to a common offset.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "reckon/core/config.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/simd.hpp"

namespace reckon::detail {

inline constexpr std::size_t contrast_block = 512;

// Scores whose squares add up: any finite float, and doubles up to this in size. False for NaN.
inline constexpr double largest_contrast_score = 1e140;
RECKON_INLINE bool usable_score(double x) noexcept {
    return std::fabs(x) <= largest_contrast_score;
}
template <class T>
inline constexpr T largest_usable = static_cast<T>(sizeof(T) == 4 ? (std::numeric_limits<T>::max)()
                                                                  : static_cast<T>(largest_contrast_score));

template <class T, class Isa>
struct contrast_lanes {
    using pack = simd::pack<T, Isa>;
    using counts = simd::lane_counts<T, Isa>;

    static RECKON_INLINE auto usable(pack x) noexcept { return absolute(x) <= pack(largest_usable<T>); }
    static RECKON_INLINE pack load(const T* p, std::size_t i, std::size_t n, T fill) noexcept {
        return n - i >= pack::lanes ? pack::load(p + i) : pack::load_padded(p + i, n - i, fill);
    }
};

// Rows and sums of both classes in one block; false when a sum has left the range of T.
struct class_sums {
    std::uint64_t rows[2] = {0, 0};  // of label <= 0 and of label > 0
    double sums[2] = {0.0, 0.0};
};
template <class T, class Isa>
bool add_block(const T* scores, const T* labels, std::size_t n, class_sums& to) noexcept {
    using lanes = contrast_lanes<T, Isa>;
    using pack = typename lanes::pack;
    const T pivot = usable_score(static_cast<double>(scores[0])) ? scores[0] : T(0);
    const pack center(pivot), zero(T(0));
    pack sum[2] = {zero, zero};
    typename lanes::counts rows[2];
    for (std::size_t i = 0; i < n; i += pack::lanes) {
        // A row of the padding has no class.
        const pack y = lanes::load(labels, i, n, std::numeric_limits<T>::quiet_NaN());
        const pack x = lanes::load(scores, i, n, T(0));
        const auto good = lanes::usable(x);
        const auto low = good & (y <= zero), high = good & (zero < y);
        const pack gap = x - center;
        sum[0] += select(low, gap, zero);
        sum[1] += select(high, gap, zero);
        rows[0].add(low);
        rows[1].add(high);
    }
    double found[2];
    for (int c = 0; c < 2; ++c) {
        const auto count = static_cast<double>(reduce_add(rows[c]));
        found[c] = simd::mul_add(count, static_cast<double>(pivot), static_cast<double>(reduce_add(sum[c])));
        if (!std::isfinite(found[c])) return false;
    }
    for (int c = 0; c < 2; ++c) {
        to.rows[c] += static_cast<std::uint64_t>(reduce_add(rows[c]));
        to.sums[c] += found[c];
    }
    return true;
}

// False for a column that varies so little that its squares, which add up to `squares`, may have vanished in T.
template <class T>
bool squares_hold(double squares, const T* x, std::size_t n) noexcept {
    return squares >= static_cast<double>((std::numeric_limits<T>::min)()) * static_cast<double>(n) ||
           std::all_of(x, x + n, [&](T value) { return value == x[0]; });
}

// Means and co-moments of one block of usable rows; false when some are not, or a sum or square has left the range of
// T, above or below.
struct block_moments {
    double mean_z = 0.0, mean_r = 0.0, zr = 0.0, zz = 0.0, rr = 0.0;
};
template <class T, class Isa>
bool block_co_moments(const T* z, const T* r, std::size_t n, block_moments& to) noexcept {
    using lanes = contrast_lanes<T, Isa>;
    using pack = typename lanes::pack;
    typename lanes::counts good;
    const pack first_z(z[0]), first_r(r[0]), zero(T(0));
    pack sum_z = zero, sum_r = zero;
    const std::size_t padded = (n + pack::lanes - 1) / pack::lanes * pack::lanes;
    for (std::size_t i = 0; i < n; i += pack::lanes) {
        const pack x = lanes::load(z, i, n, z[0]), y = lanes::load(r, i, n, r[0]);
        good.add(lanes::usable(x) & lanes::usable(y));
        sum_z += x - first_z;
        sum_r += y - first_r;
    }
    if (static_cast<std::size_t>(reduce_add(good)) != padded) return false;
    const double count = static_cast<double>(n);
    // Rounded means; what the rounding leaves is taken off below. In T alone: g++ 12 vectorises the way from double to
    // float and back for both columns together, and leaves out the rounding.
    const T mean_z = z[0] + reduce_add(sum_z) / static_cast<T>(n);
    const T mean_r = r[0] + reduce_add(sum_r) / static_cast<T>(n);
    const pack center_z(mean_z), center_r(mean_r);
    pack left_z = zero, left_r = zero, zr = zero, zz = zero, rr = zero;
    for (std::size_t i = 0; i < n; i += pack::lanes) {
        const pack x = lanes::load(z, i, n, mean_z) - center_z, y = lanes::load(r, i, n, mean_r) - center_r;
        left_z += x;
        left_r += y;
        zr = mul_add(x, y, zr);
        zz = mul_add(x, x, zz);
        rr = mul_add(y, y, rr);
    }
    const double rest_z = static_cast<double>(reduce_add(left_z)), rest_r = static_cast<double>(reduce_add(left_r));
    to.mean_z = static_cast<double>(mean_z) + rest_z / count;
    to.mean_r = static_cast<double>(mean_r) + rest_r / count;
    to.zr = static_cast<double>(reduce_add(zr)) - rest_z * (rest_r / count);
    to.zz = (std::max)(0.0, static_cast<double>(reduce_add(zz)) - rest_z * (rest_z / count));
    to.rr = (std::max)(0.0, static_cast<double>(reduce_add(rr)) - rest_r * (rest_r / count));
    // Rounding in T must not take a correlation beyond 1.
    const double most = std::sqrt(to.zz) * std::sqrt(to.rr);
    const bool finite =
        std::isfinite(to.mean_z) && std::isfinite(to.mean_r) && std::isfinite(to.zr) && std::isfinite(most);
    to.zr = (std::max)(-most, (std::min)(most, to.zr));
    return finite && squares_hold(to.zz, z, n) && squares_hold(to.rr, r, n);
}

// out[i] += a (z_i - mean_z) + b (r_i - mean_r), NaN for a row that is not usable.
template <class T, class Isa>
void add_affine(const T* z, const T* r, T* out, std::size_t n, double a, double mean_z, double b,
                double mean_r) noexcept {
    using lanes = contrast_lanes<T, Isa>;
    using pack = typename lanes::pack;
    // Halves, so that no difference leaves the range of T, and means in two parts, since T may round them by more than
    // the values differ.
    const pack by_z(static_cast<T>(2.0 * a)), by_r(static_cast<T>(2.0 * b)), half(T(0.5));
    // volatile: the rounding must not be lost, see above.
    const volatile T rounded_z = static_cast<T>(-0.5 * mean_z), rounded_r = static_cast<T>(-0.5 * mean_r);
    const T high_z = rounded_z, high_r = rounded_r;
    const pack center_z(high_z), center_r(high_r), rest_z(static_cast<T>(-0.5 * mean_z - static_cast<double>(high_z))),
        rest_r(static_cast<T>(-0.5 * mean_r - static_cast<double>(high_r)));
    const pack bad(std::numeric_limits<T>::quiet_NaN());
    for (std::size_t i = 0; i < n; i += pack::lanes) {
        const pack x = lanes::load(z, i, n, T(0)), y = lanes::load(r, i, n, T(0));
        const pack slope =
            mul_add(by_z, mul_add(half, x, center_z) + rest_z, by_r * (mul_add(half, y, center_r) + rest_r));
        const pack sum = lanes::load(out, i, n, T(0)) + select(lanes::usable(x) & lanes::usable(y), slope, bad);
        n - i >= pack::lanes ? sum.store(out + i) : sum.store_head(out + i, n - i);
    }
}

// out[i] += up for a label > 0, down for one <= 0, times p (1 - p) on probabilities; NaN for a score that is not
// usable.
template <bool OnProbabilities, class T, class Isa>
void add_class_slopes(const T* scores, const T* labels, T* out, std::size_t n, double up, double down) noexcept {
    using lanes = contrast_lanes<T, Isa>;
    using pack = typename lanes::pack;
    const pack high(static_cast<T>(up)), low(static_cast<T>(down)), zero(T(0)),
        bad(std::numeric_limits<T>::quiet_NaN());
    for (std::size_t i = 0; i < n; i += pack::lanes) {
        const pack x = lanes::load(scores, i, n, T(0)), y = lanes::load(labels, i, n, T(0));
        pack slope = select(zero < y, high, select(y <= zero, low, zero));
        if constexpr (OnProbabilities) slope = slope * (math::sigmoid(x) * math::sigmoid(zero - x));
        const pack sum = lanes::load(out, i, n, T(0)) + select(lanes::usable(x), slope, bad);
        n - i >= pack::lanes ? sum.store(out + i) : sum.store_head(out + i, n - i);
    }
}

// Rows as a fold of blocks needs them: labels as numbers of type T, 0, 1 or NaN.
template <class T, class Y>
const T* label_block(const Y* labels, std::size_t n, T* scratch) noexcept {
    if constexpr (std::is_same_v<T, Y>) {
        return labels;
    } else {
        for (std::size_t i = 0; i < n; ++i) scratch[i] = static_cast<T>(labels[i] > Y(0) ? 1 : 0);
        if constexpr (std::is_floating_point_v<Y>) {
            for (std::size_t i = 0; i < n; ++i) {
                if (labels[i] != labels[i]) scratch[i] = std::numeric_limits<T>::quiet_NaN();
            }
        }
        return scratch;
    }
}

}  // namespace reckon::detail
