// How many values of a row lie below a number: compared one by one, several in a register.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "reckon/core/config.hpp"
#include "reckon/core/prefetch.hpp"
#include "reckon/core/simd.hpp"

namespace reckon::detail {

// Which values count: those below, those not above, or both sums together, which is twice the middle.
enum class row_side : std::uint8_t { below, up_to, both };

template <row_side Side, class Isa>
RECKON_INLINE void count_pack(simd::lane_counts<float, Isa>& counts, simd::pack<float, Isa> value,
                              simd::pack<float, Isa> y) noexcept {
    if constexpr (Side != row_side::up_to) counts.add(value < y);
    if constexpr (Side != row_side::below) counts.add(value <= y);
}

// For one number: lanes over the values. Values from `count` to `readable` are there and NaN. A NaN number counts 0.
template <row_side Side, class Isa>
RECKON_INLINE std::uint32_t count_row(const float* values, std::size_t count, std::size_t readable, float y) noexcept {
    using pack = simd::pack<float, Isa>;
    const pack number(y);
    simd::lane_counts<float, Isa> even, odd;
    std::size_t i = 0;
    for (; i + 2 * pack::lanes <= readable && i < count; i += 2 * pack::lanes) {
        count_pack<Side, Isa>(even, pack::load(values + i), number);
        count_pack<Side, Isa>(odd, pack::load(values + i + pack::lanes), number);
    }
    for (; i + pack::lanes <= readable && i < count; i += pack::lanes) {
        count_pack<Side, Isa>(even, pack::load(values + i), number);
    }
    if (i < count) {
        constexpr float nan = std::numeric_limits<float>::quiet_NaN();
        count_pack<Side, Isa>(odd, pack::load_padded(values + i, count - i, nan), number);
    }
    return reduce_add(even) + reduce_add(odd);
}

// For numbers of one row: lanes over the numbers, so that nothing is left to add up across lanes.
template <row_side Side, class Isa, std::size_t Packs>
RECKON_INLINE void count_columns(const float* values, std::size_t count, const simd::pack<float, Isa>* numbers,
                                 simd::lane_counts<float, Isa>* found) noexcept {
    simd::lane_counts<float, Isa> counts[Packs];
    for (std::size_t i = 0; i < count; ++i) {
        const simd::pack<float, Isa> value(values[i]);
        for (std::size_t k = 0; k < Packs; ++k) count_pack<Side, Isa>(counts[k], value, numbers[k]);
    }
    for (std::size_t k = 0; k < Packs; ++k) found[k] = counts[k];
}

// found[i] for the numbers y[i], i < n; NaN counts 0.
template <row_side Side, class Isa>
void count_row(const float* values, std::size_t count, std::size_t readable, const float* y, std::size_t n,
               std::uint32_t* found) noexcept {
    using pack = simd::pack<float, Isa>;
    using counts = simd::lane_counts<float, Isa>;
    constexpr std::size_t lanes = pack::lanes;
    std::size_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        const pack numbers[2] = {pack::load(y + i), pack::load(y + i + lanes)};
        counts sums[2];
        count_columns<Side, Isa, 2>(values, count, numbers, sums);
        sums[0].store(found + i);
        sums[1].store(found + i + lanes);
    }
    for (; i + lanes <= n; i += lanes) {
        const pack number = pack::load(y + i);
        counts sum;
        count_columns<Side, Isa, 1>(values, count, &number, &sum);
        sum.store(found + i);
    }
    // More than half a register full is faster that way too.
    if (2 * (n - i) > lanes) {
        const pack number = pack::load_padded(y + i, n - i, 0.0f);
        counts sum;
        count_columns<Side, Isa, 1>(values, count, &number, &sum);
        std::uint32_t padded[lanes];
        sum.store(padded);
        for (std::size_t k = 0; i < n; ++i, ++k) found[i] = padded[k];
    }
    for (; i < n; ++i) found[i] = count_row<Side, Isa>(values, count, readable, y[i]);
}

// Asks for a row of floats; of long ones for the first KiB, behind which the hardware follows.
RECKON_INLINE void prefetch_row(const float* values, std::size_t count) noexcept {
    constexpr std::size_t line = 16, most = 256;
    const std::size_t end = count < most ? count : most;
    for (std::size_t i = 0; i < end; i += line) prefetch_read(values + i);
}

// How many rows ahead: about this many cache lines are on their way at a time.
RECKON_INLINE std::size_t rows_ahead(std::size_t floats_a_row) noexcept {
    const std::size_t lines = floats_a_row / 16 + 1;
    return lines >= 32 ? 2 : 64 / lines;
}

}  // namespace reckon::detail
