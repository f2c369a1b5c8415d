// Midranks of a list around their mean.
#pragma once

#include <cstddef>
#include <cstdint>

#include "reckon/core/config.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"
#include "reckon/metrics/detail/pair_counts.simd.hpp"

namespace reckon::detail {

/// K registers of values against all n: writes how many are below each plus how many are not above it, less n.
template <std::size_t K, class Isa, class T>
RECKON_INLINE void count_places(const T* values, const T* all, std::size_t n, double* out) noexcept {
    using pack = simd::pack<T, Isa>;
    pack value[K];
    simd::lane_counts<T, Isa> places[K];
    for (std::size_t k = 0; k < K; ++k) value[k] = pack::load(values + k * pack::lanes);
    for (std::size_t j = 0; j < n; ++j) {
        const pack other(all[j]);
#pragma GCC unroll 4
        for (std::size_t k = 0; k < K; ++k) {
            places[k].add(other < value[k]);
            places[k].add(other <= value[k]);
        }
    }
    for (std::size_t k = 0; k < K; ++k) {
        typename simd::float_format<T>::bits lanes[pack::lanes];
        places[k].store(lanes);
        for (std::size_t lane = 0; lane < pack::lanes; ++lane) {
            out[k * pack::lanes + lane] = static_cast<double>(lanes[lane]) - static_cast<double>(n);
        }
    }
}

/// Twice the midranks less n + 1: integers between -(n - 1) and n - 1 that add up to 0, in memory that is kept.
class centred_ranks {
  public:
    /// values: padded, without NaN. The ranks stay until the next call.
    template <class Isa, class T>
    const double* find(const T* values, std::size_t n) {
        using pack = simd::pack<T, Isa>;
        double* const out = room_for(ranks_, padded_size<Isa, T>(n));
        if (n <= compared_rows<Isa, T>) {
            // A midrank is half of what is below and what is not above, itself included, and 1/2 more. Four registers at
            // once end inside the two of the padding while more than two hold values.
            std::size_t i = 0;
            for (; i + 2 * pack::lanes < n; i += 4 * pack::lanes) count_places<4, Isa>(values + i, values, n, out + i);
            if (i < n) count_places<2, Isa>(values + i, values, n, out + i);
            return out;
        }
        const auto order = ascending_order<Isa>(vector_view<const T>(values, n));
        for (std::size_t i = 0; i < n;) {
            std::size_t next = i + 1;
            while (next < n && values[order[next]] == values[order[i]]) ++next;
            const double rank = static_cast<double>(i + next) - static_cast<double>(n);
            for (; i < next; ++i) out[order[i]] = rank;
        }
        return out;
    }

  private:
    scratch_array<double> ranks_;
};

}  // namespace reckon::detail
