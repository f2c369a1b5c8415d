// Midranks of a list around their mean.
#pragma once

#include <cstddef>
#include <cstdint>

#include "reckon/core/scratch.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"
#include "reckon/metrics/detail/pair_counts.simd.hpp"

namespace reckon::detail {

/// Twice the midranks less n + 1: integers between -(n - 1) and n - 1 that add up to 0, in memory that is kept.
class centred_ranks {
  public:
    /// values: padded, without NaN. The ranks stay until the next call.
    template <class Isa, class T>
    const double* find(const T* values, std::size_t n) {
        using pack = simd::pack<T, Isa>;
        double* const out = room_for(ranks_, padded_size<Isa, T>(n));
        const auto rows = static_cast<double>(n);
        if (n <= compared_rows<Isa, T>) {
            for (std::size_t i = 0; i < n; i += pack::lanes) {
                // A midrank is one more than half of what is below and what is not above, itself included, less 1/2.
                simd::lane_counts<T, Isa> below[2];
                count_below<Isa, 1>(values + i, values, n, below);
                typename simd::float_format<T>::bits lanes[2][pack::lanes];
                below[0].store(lanes[0]);
                below[1].store(lanes[1]);
                for (std::size_t k = 0; k < pack::lanes; ++k) {
                    out[i + k] = static_cast<double>(lanes[0][k] + lanes[1][k]) - rows;
                }
            }
            return out;
        }
        const auto order = ascending_order<Isa>(vector_view<const T>(values, n));
        for (std::size_t i = 0; i < n;) {
            std::size_t next = i + 1;
            while (next < n && values[order[next]] == values[order[i]]) ++next;
            const double rank = static_cast<double>(i + next) - rows;
            for (; i < next; ++i) out[order[i]] = rank;
        }
        return out;
    }

  private:
    scratch_array<double> ranks_;
};

}  // namespace reckon::detail
