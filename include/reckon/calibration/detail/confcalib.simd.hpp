// Serving loops of confcalib: table look-ups of every field, one exponential, no branch on data.
#pragma once

#include <cstddef>
#include <cstdint>

#include "reckon/calibration/field_weights.hpp"
#include "reckon/core/config.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/prefetch.hpp"
#include "reckon/core/simd.hpp"

namespace reckon::detail {

// Where the slots of one field lie in the tables. Slot `values` is that of unseen ids, whose correction is 0.
struct field_slots {
    std::size_t first;
    std::uint32_t values;
};

// Everything that the loops read; plain views, so that a copied calibrator needs no rebinding.
struct field_tables {
    const field_slots* fields;
    std::size_t count;
    std::size_t bins;
    const float* corrections;  // w ln r (or w d): per field (values + 1) * bins
    const float* knots;        // mean scores of the bins, laid out as the corrections; unused for one bin
    double shift;              // of all rows
    correction_kind correction;
};

RECKON_INLINE std::uint32_t slot_of(std::int32_t id, std::uint32_t values) noexcept {
    // Negative ids become large, so one comparison finds all that are unseen.
    const auto u = static_cast<std::uint32_t>(id);
    return u < values ? u : values;
}

// Between the mean scores of the bins: linear inside, constant outside.
template <class T>
RECKON_INLINE T interpolate(const field_tables& tables, const field_slots& field, std::int32_t id, T score) noexcept {
    const std::size_t bins = tables.bins;
    const std::size_t first = field.first + std::size_t{slot_of(id, field.values)} * bins;
    const float* const x = tables.knots + first;
    const float* const d = tables.corrections + first;
    std::size_t right = 0;
    for (std::size_t b = 0; b < bins; ++b) right += static_cast<T>(x[b]) <= score ? 1u : 0u;
    const std::size_t left = right == 0 ? 0 : right - 1;
    right = right == bins ? bins - 1 : right;
    const T width = static_cast<T>(x[right]) - static_cast<T>(x[left]);
    const T part = width > T(0) ? (score - static_cast<T>(x[left])) / width : T(0);
    return static_cast<T>(d[left]) + part * (static_cast<T>(d[right]) - static_cast<T>(d[left]));
}

// p' of p corrected by d.
template <class V>
RECKON_INLINE V corrected(V p, V d, correction_kind correction) noexcept {
    using T = simd::lane_t<V>;
    using simd::maximum;
    using simd::minimum;
    const V low = V(T(1e-7)), high = V(T(1 - 1e-7));
    // The constant comes first: minimum and maximum return the second operand for NaN.
    const V q = correction == correction_kind::ratio ? p * math::exp(d)
                                                     : math::sigmoid(math::logit(maximum(low, minimum(high, p))) + d);
    return maximum(low, minimum(high, q));
}

// Adds the corrections of M fields to the sums of N rows. The slots of all rows come first, in SIMD lanes, so that the
// look-ups are nothing but independent loads.
template <std::size_t M, std::size_t N, class Isa, class T>
RECKON_INLINE void add_fields(T* sum, const field_tables& tables, std::size_t first, const std::int32_t* ids,
                              std::size_t stride) noexcept {
    std::int32_t slot[M][N];  // signed: the form that gather instructions take
    const float* from[M];
    for (std::size_t m = 0; m < M; ++m) {
        const field_slots field = tables.fields[first + m];
        const std::int32_t* const id = ids + (first + m) * stride;
        for (std::size_t i = 0; i < N; ++i) slot[m][i] = static_cast<std::int32_t>(slot_of(id[i], field.values));
        from[m] = tables.corrections + field.first;
    }
    for (std::size_t i = 0; i < N; ++i) {
        T total = sum[i];
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
        for (std::size_t m = 0; m < M; ++m) total += static_cast<T>(from[m][slot[m][i]]);
        sum[i] = total;
    }
}

template <bool Binned, std::size_t N, class Isa, class T>
RECKON_INLINE void correct_block(const T* p, T* out, const field_tables& tables, const std::int32_t* ids,
                                 std::size_t stride) noexcept {
    using V = simd::pack<T, Isa>;
    T sum[N];
    for (std::size_t i = 0; i < N; ++i) sum[i] = static_cast<T>(tables.shift);
    if constexpr (Binned) {
        for (std::size_t f = 0; f < tables.count; ++f) {
            for (std::size_t i = 0; i < N; ++i) {
                sum[i] += interpolate(tables, tables.fields[f], ids[f * stride + i], p[i]);
            }
        }
    } else {
        std::size_t f = 0;
        for (; f + 4 <= tables.count; f += 4) add_fields<4, N, Isa>(sum, tables, f, ids, stride);
        switch (tables.count - f) {
            case 3:
                add_fields<3, N, Isa>(sum, tables, f, ids, stride);
                break;
            case 2:
                add_fields<2, N, Isa>(sum, tables, f, ids, stride);
                break;
            case 1:
                add_fields<1, N, Isa>(sum, tables, f, ids, stride);
                break;
            default:
                break;
        }
    }
    for (std::size_t i = 0; i < N; i += V::lanes) {
        corrected(V::load(p + i), V::load(sum + i), tables.correction).store(out + i);
    }
}

// The same for fewer rows, through copies padded to one pack.
template <bool Binned, class Isa, class T>
RECKON_INLINE void correct_head(const T* p, T* out, std::size_t count, const field_tables& tables,
                                const std::int32_t* ids, std::size_t stride) noexcept {
    using V = simd::pack<T, Isa>;
    constexpr std::size_t lanes = V::lanes;
    V sum = static_cast<T>(tables.shift);
    for (std::size_t f = 0; f < tables.count; ++f) {
        const field_slots field = tables.fields[f];
        T of_field[lanes] = {};
        for (std::size_t i = 0; i < count; ++i) {
            const std::int32_t id = ids[f * stride + i];
            of_field[i] = Binned ? interpolate(tables, field, id, p[i])
                                 : static_cast<T>(tables.corrections[field.first + slot_of(id, field.values)]);
        }
        sum += V::load(of_field);
    }
    corrected(V::load_padded(p, count, T(0.5)), sum, tables.correction).store_head(out, count);
}

// Blocks read their columns in bursts, which hardware prefetchers follow late.
template <std::size_t N, class T>
RECKON_INLINE void prefetch_block(const T* p, const T* out, std::size_t fields, const std::int32_t* ids,
                                  std::size_t stride) noexcept {
    for (std::size_t i = 0; i < N; i += 64 / sizeof(T)) {
        prefetch_read(p + i);
        prefetch_write(out + i);
    }
    for (std::size_t f = 0; f < fields; ++f) {
        for (std::size_t i = 0; i < N; i += 64 / sizeof(std::int32_t)) prefetch_read(ids + f * stride + i);
    }
}

// out[i] = p[i] corrected; out may be p.
template <bool Binned, class Isa, class T>
void correct_rows(const T* p, T* out, std::size_t n, const field_tables& tables, const std::int32_t* ids,
                  std::size_t stride) noexcept {
    constexpr std::size_t block = 128, lanes = simd::pack<T, Isa>::lanes;
    std::size_t i = 0;
    for (; i + block <= n; i += block) {
        if (i + 4 * block <= n)
            prefetch_block<block>(p + i + 3 * block, out + i + 3 * block, tables.count, ids + i + 3 * block, stride);
        correct_block<Binned, block, Isa>(p + i, out + i, tables, ids + i, stride);
    }
    for (; i < n; i += lanes) {
        const std::size_t left = n - i;
        correct_head<Binned, Isa>(p + i, out + i, left < lanes ? left : lanes, tables, ids + i, stride);
    }
}

}  // namespace reckon::detail
