// Spiegelhalter's test of calibration, which needs no bins.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/detail/calibration_report.simd.hpp"
#include "reckon/metrics/detail/examples.hpp"
#include "reckon/metrics/detail/tails.hpp"

namespace reckon {

class calibration_summary;

/// State of Spiegelhalter's z: the part of the Brier score that a calibrated model would not have.
///
///   z = sum w (y - p)(1 - 2p) / sqrt(sum w (1 - 2p)^2 p (1 - p))        about N(0, 1) for a calibrated model
///
/// Weights count as repeated examples. Examples with a score, label or weight out of range are counted and skipped.
/// Numerics  double; single examples and batches add to compensated sums. NaN when every variance is 0: no example, or all scores in {0, 1/2, 1}.
/// Source    Spiegelhalter 1986.
class spiegelhalter_test {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("SPIE");
    static constexpr std::uint32_t bytes_version = 1;

    void absorb(double p, double y, double w = 1.0) noexcept {
        const bool ok = detail::usable_example(p, y, w);
        seen_.absorb(ok);
        if (!ok) return;
        const double slack = 1.0 - 2.0 * p;
        excess_.absorb(w * ((y - p) * slack));
        variance_.absorb(w * (slack * slack * (p * (1.0 - p))));
    }
    template <class P, class Y, class W, class Isa = isa::native>
    void absorb(const scored<P, Y, W>& batch) noexcept {
        const auto careful = [&](std::size_t first, std::size_t last) {
            for (std::size_t i = first; i < last; ++i) absorb(batch.score(i), batch.label(i), batch.weight(i));
        };
        if (!batch.weights.empty()) return careful(0, batch.size());
        detail::report_sums sums;
        const std::uint64_t rows = detail::for_each_report_block<Isa>(
            batch.scores, batch.labels,
            [&](const detail::report_columns& block) {
                return detail::absorb_report_block<Isa, detail::report_part::spread>(block, 0.0, sums);
            },
            careful);
        absorb_sums(sums, rows);
    }
    void merge(const spiegelhalter_test& other) noexcept {
        excess_.merge(other.excess_);
        variance_.merge(other.variance_);
        seen_.merge(other.seen_);
    }

    double z() const noexcept {
        const double v = variance_.value();
        return v > 0.0 ? excess_.value() / std::sqrt(v) : detail::not_a_number;
    }
    /// Two-sided: the probability that a calibrated model is at least as far from 0.
    double p_value() const noexcept { return detail::normal_two_sided(z()); }
    /// z.
    double finish() const noexcept { return z(); }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }

    void write(byte_writer& out) const {
        detail::put_sum(out, excess_);
        detail::put_sum(out, variance_);
        detail::put_counts(out, seen_);
    }
    static spiegelhalter_test read(byte_reader& in) {
        spiegelhalter_test state;
        state.excess_ = detail::get_sum(in, "spiegelhalter_test");
        state.variance_ = detail::get_positive_sum(in, "spiegelhalter_test");
        state.seen_ = detail::get_counts(in);
        return state;
    }

  private:
    friend class calibration_summary;

    // Rows without weights, summed up elsewhere.
    void absorb_sums(const detail::report_sums& sums, std::uint64_t rows) noexcept {
        excess_.absorb(sums.excess);
        variance_.absorb(sums.variance);
        seen_.accepted += rows;
    }

    compensated_sum excess_, variance_;
    counts seen_;
};

/// Spiegelhalter's z of a batch.
///
/// Shapes    scores, labels [N]; weights [N] or empty for ones.
/// Returns   spiegelhalter_test; merges over shards.
/// Throws    std::invalid_argument on lengths that differ. Bad values are counted and skipped.
/// Cost      one pass, in SIMD lanes for unweighted 0/1 labels.
/// Numerics  as spiegelhalter_test.
/// Source    Spiegelhalter 1986.
template <exec::policy Policy, vector_like P, vector_like Y, class W = none>
spiegelhalter_test spiegelhalter(const Policy& where, const P& scores, const Y& labels, const W& weights = {}) {
    return exec::fold_parts(where, spiegelhalter_test{}, make_scored("spiegelhalter", scores, labels, weights));
}

}  // namespace reckon
