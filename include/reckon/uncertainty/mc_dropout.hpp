// Monte Carlo dropout on the inputs of a linear head: the spread of its output over random masks.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

struct mc_dropout_options {
    /// In [0, 1). Probability that an input is dropped; those that stay are divided by 1 - rate.
    double rate = 0.1;
    /// >= 1. Masks per row.
    std::size_t passes = 30;
    std::uint64_t seed = 1;
    /// Number of the first row: a shard that starts at row 1000 of a table draws the masks of row 1000.
    std::uint64_t first_row = 0;
};

namespace detail {

// Output of one pass. A draw of 64 bits serves two inputs.
template <class Isa, class T>
double masked_output(const random_stream& rng, std::uint64_t index, vector_view<const T> x, vector_view<const T> w,
                     std::uint32_t dropped_below) noexcept {
    double sum = 0.0;
    for (std::size_t h = 0; h < x.size(); h += 2, ++index) {
        const std::uint64_t bits = rng.bits(index);
        if (static_cast<std::uint32_t>(bits) >= dropped_below) {
            sum += static_cast<double>(x[h]) * static_cast<double>(w[h]);
        }
        if (h + 1 < x.size() && static_cast<std::uint32_t>(bits >> 32) >= dropped_below) {
            sum += static_cast<double>(x[h + 1]) * static_cast<double>(w[h + 1]);
        }
    }
    return sum;
}

}  // namespace detail

/// Mean and variance over masks of a linear head: f = bias + sum_h m_h x_h w_h / (1 - rate), m_h ~ Bernoulli(1 - rate).
///
/// Shapes    inputs [N, H]; weights [H]; mean, variance [N]; all float or all double.
/// Writes    mean and variance, the latter with the divisor `passes`.
/// Throws    std::invalid_argument on shapes and options out of range. Propagates NaN: a NaN input makes the row's
///           outputs NaN unless every mask drops it.
/// Cost      passes * H multiply-adds and passes * H / 2 random numbers a row: many times the head itself, which is why
///           serving seldom affords it. For this single layer the limit of many passes is known,
///           variance = rate / (1 - rate) sum_h (x_h w_h)^2, so the kernel is a yardstick.
/// Numerics  double; masks are a function of seed, row and pass, the same on every platform. rate is kept to 2^-32.
/// Source    Gal and Ghahramani 2016.
template <exec::policy Policy, class X, vector_like W, vector_like M, vector_like V, class Isa = isa::native>
void mc_dropout(const Policy& where, const X& inputs, const W& weights, double bias, M&& mean, V&& variance,
                const mc_dropout_options& options = {}) {
    const auto x = input(inputs);
    const auto w = input(weights);
    const auto m = view(mean);
    const auto v = view(variance);
    using T = typename decltype(x)::value_type;
    static_assert(std::is_same_v<T, typename decltype(w)::value_type> &&
                      std::is_same_v<T, typename decltype(m)::value_type> &&
                      std::is_same_v<T, typename decltype(v)::value_type>,
                  "reckon: all columns of mc_dropout must have the same type");
    expects(w.size() == x.cols(), "mc_dropout", x.cols(), " inputs but ", w.size(), " weights");
    expects(m.size() == x.rows() && v.size() == x.rows(), "mc_dropout", x.rows(), " rows but room for ", m.size(),
            " means and ", v.size(), " variances");
    expects(options.rate >= 0.0 && options.rate < 1.0, "mc_dropout", "rate must be in [0, 1), got ", options.rate);
    expects(options.passes >= 1, "mc_dropout", "passes must be >= 1");
    const auto dropped_below = static_cast<std::uint32_t>(options.rate * 0x1p32);
    const double kept = 1.0 - static_cast<double>(dropped_below) * 0x1p-32;
    const std::uint64_t draws = (w.size() + 1) / 2;
    constexpr std::size_t rows_a_part = 64;
    exec::map_parts(
        where, x.rows(),
        [&](std::size_t first, std::size_t count) {
            for (std::size_t i = first; i < first + count; ++i) {
                // A stream per row: masks do not depend on how rows are sharded.
                const random_stream rng(options.seed, options.first_row + i);
                moments spread;
                for (std::size_t t = 0; t < options.passes; ++t) {
                    spread.absorb(bias +
                                  detail::masked_output<Isa, T>(rng, t * draws, x.row(i), w, dropped_below) / kept);
                }
                m[i] = static_cast<T>(spread.mean());
                v[i] = static_cast<T>(spread.variance());
            }
        },
        rows_a_part);
}

}  // namespace reckon
