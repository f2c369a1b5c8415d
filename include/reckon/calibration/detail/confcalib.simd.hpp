// Serving loops of confcalib: table look-ups of every field, one exponential, no branch on data.
#pragma once

#include <cstddef>
#include <cstdint>

#include "reckon/calibration/field_weights.hpp"
#include "reckon/core/config.hpp"
#include "reckon/core/math.hpp"
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

template <class T>
RECKON_INLINE T look_up(const field_tables& tables, const field_slots& field, std::int32_t id) noexcept {
    return static_cast<T>(tables.corrections[field.first + slot_of(id, field.values)]);
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

// Corrects `count` <= lanes rows; `ids` of field f start at ids + f * stride. Lanes beyond `count` hold anything.
template <bool Binned, class Isa, class T>
RECKON_INLINE simd::pack<T, Isa> correct_lanes(const T* p, std::size_t count, const field_tables& tables,
                                               const std::int32_t* ids, std::size_t stride) noexcept {
    using V = simd::pack<T, Isa>;
    V sum = static_cast<T>(tables.shift);
    for (std::size_t f = 0; f < tables.count; ++f) {
        T lanes[V::lanes] = {};
        for (std::size_t i = 0; i < count; ++i) {
            const std::int32_t id = ids[f * stride + i];
            lanes[i] =
                Binned ? interpolate(tables, tables.fields[f], id, p[i]) : look_up<T>(tables, tables.fields[f], id);
        }
        sum += V::load(lanes);
    }
    return corrected(count == V::lanes ? V::load(p) : V::load_padded(p, count, T(0.5)), sum, tables.correction);
}

// out[i] = p[i] corrected; out may be p.
template <bool Binned, class Isa, class T>
void correct_rows(const T* p, T* out, std::size_t n, const field_tables& tables, const std::int32_t* ids,
                  std::size_t stride) noexcept {
    constexpr std::size_t lanes = simd::pack<T, Isa>::lanes;
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        correct_lanes<Binned, Isa>(p + i, lanes, tables, ids + i, stride).store(out + i);
    }
    if (i < n) correct_lanes<Binned, Isa>(p + i, n - i, tables, ids + i, stride).store_head(out + i, n - i);
}

}  // namespace reckon::detail
