// Sums of softplus(b_j - a_i) over rows a and columns b, with the slopes of every row and column from the same sweep:
// the mechanism below rank_net() and pairwise_ranking().
//
// The power of a pair is a product of one number a row and one a column, so n scores need n powers; four pairs share a
// division; and a sum of logarithms is the logarithm of a product, whose exponent is taken off as it grows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "reckon/core/config.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/detail/softplus.simd.hpp"

namespace reckon::detail {

/// Centre of some scores, and whether all their differences, times `steepness`, lie in the range of factored powers:
/// four values of 1 + e^x multiply without overflow. False for scores that are not finite.
template <class T>
struct power_range {
    T centre = T(0);
    bool narrow = false;
};
template <class T>
inline constexpr T narrow_range = sizeof(T) == 4 ? T(21) : T(170);

template <class T, class Isa>
class logistic_pairs {
    using pack = simd::pack<T, Isa>;
    static constexpr std::size_t lanes = pack::lanes;

  public:
    /// Rows that are swept together.
    static constexpr std::size_t rows = 4;
    /// Rows whose slopes a column adds up in T; then they go to a double.
    static constexpr std::size_t rows_a_flush = 256;

    /// Length of a column that holds n numbers, and room for the last register.
    static constexpr std::size_t padded(std::size_t n) noexcept { return n + (std::max)(lanes, rows); }

    /// Sums of a block of rows.
    struct row_sums {
        double slope[rows] = {}, curve[rows] = {};
    };
    /// One side of the pairs in memory: `slopes` and `curves` are those of the columns.
    struct columns {
        const T* values;
        T* slopes;
        T* curves;
    };

    /// Makes the numbers behind column n - 1, padded(n) in all, those of the last one, as range() and powers() want
    /// them.
    static void pad(T* values, std::size_t n) noexcept { std::fill(values + n, values + padded(n), values[n - 1]); }

    /// Range of the scores of some columns, each padded; n > 0.
    static power_range<T> range(double steepness, const T* a, std::size_t n, const T* b = nullptr,
                                std::size_t m = 0) noexcept {
        pack low = pack::load(a), high = low, nothing(T(0));
        const auto look = [&](const T* p, std::size_t count) {
            for (std::size_t i = 0; i < count; i += lanes) {
                const pack x = pack::load(p + i);
                low = minimum(low, x);
                high = maximum(high, x);
                nothing = mul_add(x, pack(T(0)), nothing);  // NaN once a score is not finite
            }
        };
        look(a, n);
        look(b, m);
        T least[lanes], most[lanes];
        low.store(least);
        high.store(most);
        for (std::size_t l = 1; l < lanes; ++l) {
            least[0] = simd::minimum(least[0], least[l]);
            most[0] = simd::maximum(most[0], most[l]);
        }
        power_range<T> out;
        const T width = most[0] - least[0];
        out.narrow = reduce_add(nothing) == T(0) && static_cast<double>(width) * steepness <= double{narrow_range<T>};
        out.centre = least[0] + T(0.5) * width;
        return out;
    }

    explicit logistic_pairs(double steepness = 1.0) noexcept : steepness_(static_cast<T>(steepness)) {}

    /// Turns n scores, padded, into powers of e for narrow(): e^(s - centre) for columns, the inverse for rows. Either
    /// output may be null or the scores themselves; both have room for padded(n), and the numbers behind the last one
    /// become 0.
    void powers(const T* scores, std::size_t n, T centre, T* left, T* right) const noexcept {
        const pack middle(centre), factor(steepness_), one(T(1));
        for (std::size_t i = 0; i < n; i += lanes) {
            const pack up = math::exp(factor * (pack::load(scores + i) - middle));
            if (right != nullptr) up.store(right + i);
            if (left != nullptr) (one / up).store(left + i);
        }
        for (T* const side : {left, right}) {
            if (side != nullptr) std::fill(side + n, side + padded(n), T(0));
        }
    }

    /// Adds the pairs of `rows` rows (a power of 0 stands for none) with the columns first .. end - 1, behind which a
    /// register of columns is 0 or belongs to the caller to sweep otherwise: either `end` is that of all columns or end
    /// - first is a multiple of the lanes.
    template <bool Curve>
    void narrow(const T* left, const columns& to, std::size_t first, std::size_t end, row_sums& sums) noexcept {
        const pack f0(left[0]), f1(left[1]), f2(left[2]), f3(left[3]);
        while (first < end) {
            const std::size_t stop = (std::min)(end, first + columns_a_sum);
            lane_sums<Curve> kept;
            for (std::size_t j = first; j < stop; j += lanes) {
                const pack e = pack::load(to.values + j);
                step(f0 * e, f1 * e, f2 * e, f3 * e, to, j, kept);
            }
            steps_ += (stop - first + lanes - 1) / lanes;
            kept.add_to(sums);
            first = stop;
            if (steps_ >= most_steps) settle();
        }
    }

    /// The same where row k begins at column starts[k], ascending; columns from `end` on do not take part.
    template <bool Curve>
    void narrow_stairs(const T* left, const columns& to, const std::uint32_t* starts, std::size_t end,
                       row_sums& sums) noexcept {
        const pack lane = simd::lane_numbers<T, Isa>(), zero(T(0));
        const pack f0(left[0]), f1(left[1]), f2(left[2]), f3(left[3]);
        for (std::size_t first = starts[0]; first < end;) {
            const std::size_t stop = (std::min)(end, first + columns_a_sum);
            lane_sums<Curve> kept;
            for (std::size_t j = first; j < stop; j += lanes) {
                const pack e = select(lane < pack(static_cast<T>(end - j)), pack::load(to.values + j), zero);
                const auto from = [&](std::size_t k) {
                    const std::size_t skip = starts[k] > j ? starts[k] - j : 0;
                    return select(lane < pack(static_cast<T>(skip)), zero, e);
                };
                step(f0 * from(0), f1 * from(1), f2 * from(2), f3 * from(3), to, j, kept);
            }
            steps_ += (stop - first + lanes - 1) / lanes;
            kept.add_to(sums);
            first = stop;
            if (steps_ >= most_steps) settle();
        }
    }

    /// The same for all columns 0 .. end - 1 whose label is smaller than that of the row; counts them. A NaN is not
    /// smaller, and nothing is smaller than it.
    template <bool Curve>
    void narrow_below(const T* left, const T* row_labels, const columns& to, const T* labels, std::size_t end,
                      row_sums& sums, simd::lane_counts<T, Isa>& found) noexcept {
        const pack zero(T(0));
        const pack f0(left[0]), f1(left[1]), f2(left[2]), f3(left[3]);
        const pack y0(row_labels[0]), y1(row_labels[1]), y2(row_labels[2]), y3(row_labels[3]);
        lane_sums<Curve> kept;
        for (std::size_t j = 0; j < end; j += lanes) {
            const pack e = pack::load(to.values + j), y = pack::load(labels + j);
            const auto m0 = y < y0, m1 = y < y1, m2 = y < y2, m3 = y < y3;
            found.add(m0);
            found.add(m1);
            found.add(m2);
            found.add(m3);
            step(select(m0, f0 * e, zero), select(m1, f1 * e, zero), select(m2, f2 * e, zero), select(m3, f3 * e, zero),
                 to, j, kept);
        }
        steps_ += (end + lanes - 1) / lanes;
        kept.add_to(sums);
        if (steps_ >= most_steps) settle();
    }

    /// Adds the pairs of one row, a score, with the scores first .. end - 1, whatever their size.
    template <bool Curve>
    void wide(T score, const columns& to, std::size_t first, std::size_t end, double& slope, double& curve) noexcept {
        const pack lane = simd::lane_numbers<T, Isa>(), zero(T(0)), one(T(1));
        // Halves differ by a finite number whatever the scores, and a power of two costs no rounding.
        const pack half(T(0.5)), below(T(-0.5) * score), factor(T(2) * steepness_);
        while (first < end) {
            const std::size_t stop = (std::min)(end, first + columns_a_sum);
            pack slopes = zero, curves = zero, excess = zero;
            for (std::size_t j = first; j < stop; j += lanes) {
                const auto live = lane < pack(static_cast<T>(end - j));
                const pack x = select(live, factor * mul_add(half, pack::load(to.values + j), below), zero);
                const pack t = select(live, exp_or_zero(zero - absolute(x)), zero);
                const pack d = one + t;
                const pack share = one / d;
                const pack s = select(live, select(x < zero, t, one) * share, zero);
                excess += maximum(zero, x);
                multiply(d);
                slopes += s;
                (pack::load(to.slopes + j) + s).store(to.slopes + j);
                if constexpr (Curve) {
                    const pack c = t * share * share;
                    curves += c;
                    (pack::load(to.curves + j) + c).store(to.curves + j);
                }
            }
            steps_ += (stop - first + lanes - 1) / lanes;
            loss_ += static_cast<double>(reduce_add(excess));
            slope += static_cast<double>(reduce_add(slopes));
            if constexpr (Curve) curve += static_cast<double>(reduce_add(curves));
            first = stop;
            if (steps_ >= most_steps) settle();
        }
    }

    /// The sum of all pairs since the last call.
    double take_loss() noexcept {
        settle();
        const double sum = loss_;
        loss_ = 0.0;
        return sum;
    }

  private:
    // Registers of a row between two additions in double.
    static constexpr std::size_t columns_a_sum = 128 * lanes;
    // Exponents of as many steps are exact in T, all lanes together.
    static constexpr std::size_t most_steps = 4096;

    template <bool Curve>
    struct lane_sums {
        pack s0 = pack(T(0)), s1 = s0, s2 = s0, s3 = s0, c0 = s0, c1 = s0, c2 = s0, c3 = s0;

        RECKON_INLINE void add_to(row_sums& sums) const noexcept {
            sums.slope[0] += static_cast<double>(reduce_add(s0));
            sums.slope[1] += static_cast<double>(reduce_add(s1));
            sums.slope[2] += static_cast<double>(reduce_add(s2));
            sums.slope[3] += static_cast<double>(reduce_add(s3));
            if constexpr (Curve) {
                sums.curve[0] += static_cast<double>(reduce_add(c0));
                sums.curve[1] += static_cast<double>(reduce_add(c1));
                sums.curve[2] += static_cast<double>(reduce_add(c2));
                sums.curve[3] += static_cast<double>(reduce_add(c3));
            }
        }
    };

    // One register of pairs a row, from their powers x = e^(b - a). A power of 0 adds nothing anywhere.
    template <bool Curve>
    RECKON_INLINE void step(pack x0, pack x1, pack x2, pack x3, const columns& to, std::size_t j,
                            lane_sums<Curve>& kept) noexcept {
        const pack one(T(1));
        const pack d0 = x0 + one, d1 = x1 + one, d2 = x2 + one, d3 = x3 + one;
        const pack p01 = d0 * d1, p23 = d2 * d3;
        const pack all = p01 * p23;
        const pack inverse = one / all;
        const pack i01 = inverse * p23, i23 = inverse * p01;
        const pack u0 = i01 * d1, u1 = i01 * d0, u2 = i23 * d3, u3 = i23 * d2;  // 1 / d
        const pack s0 = x0 * u0, s1 = x1 * u1, s2 = x2 * u2, s3 = x3 * u3;
        kept.s0 += s0;
        kept.s1 += s1;
        kept.s2 += s2;
        kept.s3 += s3;
        (pack::load(to.slopes + j) + ((s0 + s1) + (s2 + s3))).store(to.slopes + j);
        if constexpr (Curve) {
            const pack c0 = s0 * u0, c1 = s1 * u1, c2 = s2 * u2, c3 = s3 * u3;
            kept.c0 += c0;
            kept.c1 += c1;
            kept.c2 += c2;
            kept.c3 += c3;
            (pack::load(to.curves + j) + ((c0 + c1) + (c2 + c3))).store(to.curves + j);
        }
        multiply(all);
    }
    // Multiplies the product by factors in [1, 2^126] and moves its exponent over.
    RECKON_INLINE void multiply(pack factor) noexcept {
        using format = simd::float_format<T>;
        using bits = typename format::bits;
        constexpr T two_to_m = T(bits(1) << format::mantissa_bits);
        constexpr bits two_to_m_bits = bits(format::exponent_bias + format::mantissa_bits) << format::mantissa_bits;
        const pack grown = product_ * factor;
        exponents_ += bits_or(simd::bits_shift_right<format::mantissa_bits>(grown), two_to_m_bits) -
                      pack(two_to_m + T(format::exponent_bias));
        product_ = bits_or(bits_and(grown, format::mantissa_mask), format::one);
    }
    void settle() noexcept {
        T left[lanes];
        product_.store(left);
        double product = 1.0;  // below 2^lanes
        for (std::size_t l = 0; l < lanes; ++l) product *= static_cast<double>(left[l]);
        constexpr double ln_2 = 0.69314718055994530942;
        loss_ += ln_2 * static_cast<double>(reduce_add(exponents_)) + std::log(product);
        product_ = pack(T(1));
        exponents_ = pack(T(0));
        steps_ = 0;
    }

    T steepness_;
    pack product_ = pack(T(1)), exponents_ = pack(T(0));
    std::size_t steps_ = 0;
    double loss_ = 0.0;
};

// Loss of all pairs of P rows and Q columns; adds the slopes of d loss / d (b - a) to row_slopes and column_slopes.
// Column blocks may run on several threads: their sums are added in index order.
template <class Isa, class Policy, class T>
double logistic_rectangle(const Policy& where, const T* row_scores, std::size_t p, const T* column_scores,
                          std::size_t q, double* row_slopes, double* column_slopes) {
    using pairs = logistic_pairs<T, Isa>;
    constexpr std::size_t panel = pairs::rows_a_flush, block = 4096;
    if (p == 0 || q == 0) return 0.0;
    scratch_array<T> left(pairs::padded(p)), right(pairs::padded(q)), slopes(pairs::padded(q));
    std::copy(row_scores, row_scores + p, left.data());
    std::copy(column_scores, column_scores + q, right.data());
    pairs::pad(left.data(), p);
    pairs::pad(right.data(), q);
    const auto range = pairs::range(1.0, left.data(), p, right.data(), q);
    if (range.narrow) {
        pairs().powers(left.data(), p, range.centre, left.data(), nullptr);
        pairs().powers(right.data(), q, range.centre, nullptr, right.data());
    }
    std::fill(slopes.data(), slopes.data() + slopes.size(), T(0));
    const typename pairs::columns to{right.data(), slopes.data(), nullptr};
    const std::size_t blocks = exec::detail::part_count(q, block);
    scratch_array<double> losses(blocks), parts(blocks * panel);
    double loss = 0.0;
    for (std::size_t first = 0; first < p; first += panel) {
        const std::size_t count = (std::min)(panel, p - first);
        exec::for_each_index(where, blocks, [&](std::size_t b) {
            const std::size_t begin = b * block, end = (std::min)(q, begin + block);
            double* const part = parts.data() + b * panel;
            pairs sweep;
            for (std::size_t r = 0; r < count; r += pairs::rows) {
                typename pairs::row_sums sums;
                const std::size_t here = (std::min)(pairs::rows, count - r);
                if (range.narrow) {
                    sweep.template narrow<false>(left.data() + first + r, to, begin, end, sums);
                } else {
                    for (std::size_t k = 0; k < here; ++k) {
                        sweep.template wide<false>(left[first + r + k], to, begin, end, sums.slope[k], sums.curve[k]);
                    }
                }
                for (std::size_t k = 0; k < here; ++k) part[r + k] = sums.slope[k];
            }
            losses[b] = sweep.take_loss();
            for (std::size_t j = begin; j < end; ++j) {
                column_slopes[j] += static_cast<double>(slopes[j]);
                slopes[j] = T(0);
            }
        });
        for (std::size_t b = 0; b < blocks; ++b) {
            loss += losses[b];
            for (std::size_t r = 0; r < count; ++r) row_slopes[first + r] += parts[b * panel + r];
        }
    }
    return loss;
}

}  // namespace reckon::detail
