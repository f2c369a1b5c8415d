// The usual figures about predicted probabilities in one pass over the data.
#pragma once

#include <cstddef>
#include <cstdint>

#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/detail/calibration_report.simd.hpp"
#include "reckon/metrics/log_loss.hpp"
#include "reckon/metrics/reliability.hpp"
#include "reckon/metrics/spiegelhalter.hpp"

namespace reckon {

struct calibration_report_options {
    /// Inside the logarithm a prediction is clipped to [epsilon, 1 - epsilon]; in [1e-16, 0.1].
    double epsilon = log_loss_options{}.epsilon;
    /// Bins of ece, mce and ace.
    score_bins bins = {};
};

/// What a finished calibration_summary says; NaN where nothing was folded.
struct calibration_figures {
    double log_loss;
    double normalized_entropy;
    double brier;
    double pcoc;
    double ece;
    double mce;
    double ace;
    double spiegelhalter_z;
    double spiegelhalter_p;
};

/// State: proper_scores, reliability_table and spiegelhalter_test of the same examples, folded together.
///
/// Examples with a score, label or weight out of range (NaN included) are counted and skipped.
class calibration_summary {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("CREP");
    static constexpr std::uint32_t bytes_version = 1;

    calibration_summary() = default;
    /// Throws    std::invalid_argument when epsilon is out of range.
    explicit calibration_summary(const calibration_report_options& options)
        : scores_({.epsilon = options.epsilon}), bins_(options.bins) {}

    void absorb(double p, double y, double w = 1.0) noexcept {
        scores_.absorb(p, y, w);
        bins_.absorb(p, y, w);
        z_.absorb(p, y, w);
    }
    template <class P, class Y, class W, class Isa = isa::native>
    void absorb(const scored<P, Y, W>& batch) noexcept {
        if (batch.size() >= detail::report_block && batch.weights.empty() && bins_.bins().equal_width() &&
            bins_.size() <= detail::report_max_bins) {
            absorb_unweighted<Isa>(batch);
        } else {
            for (std::size_t i = 0; i < batch.size(); ++i) absorb(batch.score(i), batch.label(i), batch.weight(i));
        }
    }
    /// Throws    std::invalid_argument when the options differ.
    void merge(const calibration_summary& other) {
        // Both may refuse; nothing changes before both have agreed.
        proper_scores scores = scores_;
        scores.merge(other.scores_);
        bins_.merge(other.bins_);
        scores_ = scores;
        z_.merge(other.z_);
    }

    const proper_scores& scores() const noexcept { return scores_; }
    const reliability_table& bins() const noexcept { return bins_; }
    const spiegelhalter_test& spiegelhalter() const noexcept { return z_; }
    counts seen() const noexcept { return scores_.seen(); }
    std::uint64_t rejected() const noexcept { return scores_.rejected(); }

    calibration_figures finish() const noexcept {
        return {.log_loss = scores_.log_loss(),
                .normalized_entropy = scores_.normalized_entropy(),
                .brier = scores_.brier(),
                .pcoc = scores_.pcoc(),
                .ece = bins_.ece(),
                .mce = bins_.mce(),
                .ace = bins_.ace(),
                .spiegelhalter_z = z_.z(),
                .spiegelhalter_p = z_.p_value()};
    }

    void write(byte_writer& out) const {
        scores_.write(out);
        bins_.write(out);
        z_.write(out);
    }
    static calibration_summary read(byte_reader& in) {
        calibration_summary state;
        state.scores_ = proper_scores::read(in);
        state.bins_ = reliability_table::read(in);
        state.z_ = spiegelhalter_test::read(in);
        expects_bytes(state.scores_.seen() == state.bins_.seen() && state.scores_.seen() == state.z_.seen(),
                      "calibration_summary", "the parts saw different numbers of examples");
        return state;
    }

  private:
    template <class Isa, class P, class Y, class W>
    void absorb_unweighted(const scored<P, Y, W>& batch) noexcept {
        detail::report_cells<Isa> cells(bins_.size());
        detail::report_sums sums;
        const double epsilon = scores_.epsilon();
        const std::uint64_t rows = detail::for_each_report_block<Isa>(
            batch.scores, batch.labels,
            [&](const detail::report_columns& block) {
                const bool ok = detail::absorb_report_block<Isa, detail::report_part::both>(block, epsilon, sums);
                if (ok) cells.absorb(block);
                return ok;
            },
            [&](std::size_t first, std::size_t last) {
                for (std::size_t i = first; i < last; ++i) absorb(batch.score(i), batch.label(i));
            });
        scores_.absorb_sums(sums, rows);
        bins_.template absorb_cells<Isa>(cells, rows);
        z_.absorb_sums(sums, rows);
    }

    proper_scores scores_;
    reliability_table bins_;
    spiegelhalter_test z_;
};

namespace detail {

// Carries the instruction set through fold_parts.
template <class Isa>
struct report_fold {
    calibration_summary state;

    template <class P, class Y, class W>
    void absorb(const scored<P, Y, W>& batch) noexcept {
        state.template absorb<P, Y, W, Isa>(batch);
    }
    void merge(const report_fold& other) { state.merge(other.state); }
};

}  // namespace detail

/// Log-loss, normalized entropy, Brier score and terms, PCOC, ECE, MCE, ACE and Spiegelhalter's z in one pass.
///
/// Shapes    scores, labels [N]; weights [N] or empty for ones.
/// Returns   calibration_summary; finish() gives the figures, and it merges over shards with the same options.
/// Throws    std::invalid_argument on lengths that differ or an epsilon out of range. Bad values are counted and
///           skipped.
/// Cost      one pass in SIMD lanes for unweighted 0/1 labels and at most 64 bins of equal width, one logarithm for 16
///           examples; otherwise as score_predictions(), reliability() and spiegelhalter() together.
/// Numerics  double throughout, also for float scores: the same figures as the three separate folds up to the order of
///           summation.
template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
calibration_summary calibration_report(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                                       const calibration_report_options& options = {}) {
    const auto batch = make_scored("calibration_report", scores, labels, weights);
    return exec::fold_parts(where, detail::report_fold<Isa>{calibration_summary(options)}, batch).state;
}

}  // namespace reckon
