// Reliability: what binned predictions say about calibration. ECE and its relatives, the Brier decomposition,
// Hosmer-Lemeshow, and the rows of a reliability diagram.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/detail/calibration_report.simd.hpp"
#include "reckon/metrics/detail/examples.hpp"
#include "reckon/metrics/detail/tails.hpp"
#include "reckon/metrics/score_bins.hpp"
#include "reckon/metrics/wilson.hpp"

namespace reckon {

/// Sums over the examples of one bin.
struct bin_sums {
    double weight = 0.0;         ///< n = sum w
    double score = 0.0;          ///< P = sum w p
    double label = 0.0;          ///< K = sum w y
    double score_squared = 0.0;  ///< P2 = sum w p^2
    double score_label = 0.0;    ///< PK = sum w p y

    double mean_score() const noexcept { return detail::ratio_or_nan(score, weight, weight); }
    double rate() const noexcept { return detail::ratio_or_nan(label, weight, weight); }
    /// Mean prediction minus observed rate.
    double gap() const noexcept { return detail::ratio_or_nan(score - label, weight, weight); }
};

/// One point of a reliability diagram with its Wilson interval; the means are NaN in an empty bin.
struct reliability_row {
    double lower;       ///< bounds of the bin
    double upper;       ///<
    double weight;      ///< n
    double mean_score;  ///< pbar
    double rate;        ///< ybar
    interval bar;       ///< interval of the rate, [0, 1] in an empty bin
};

/// Brier score = reliability - resolution + uncertainty + within_variance - within_covariance, exactly for 0/1 labels
/// and any bins (Stephenson, Coelho and Jolliffe 2008).
struct brier_terms {
    double reliability;        ///< sum n_b (pbar_b - ybar_b)^2 / N
    double resolution;         ///< sum n_b (ybar_b - ybar)^2 / N
    double uncertainty;        ///< ybar (1 - ybar)
    double within_variance;    ///< sum w (p - pbar_b)^2 / N
    double within_covariance;  ///< 2 sum w (y - ybar_b)(p - pbar_b) / N

    double total() const noexcept {
        return reliability - resolution + uncertainty + within_variance - within_covariance;
    }
};

/// Hosmer-Lemeshow statistic and its tail probability.
struct hosmer_lemeshow_result {
    double statistic;
    std::size_t bins;     ///< bins that are not empty
    std::size_t freedom;  ///< degrees of freedom; 0 when there are too few bins
    double p_value;       ///< NaN without degrees of freedom
};

/// State: the sums of every bin, and the metrics that need no more than these.
///
/// Two tables merge when their bins are equal. Examples with a score, label or weight out of range (NaN included) are
/// counted and skipped. Weights count as repeated examples. Empty bins take no part in any metric, and every metric of
/// the identity is NaN.
/// Numerics  plain double sums within a part; parts merge in index order.
/// Source    Naeini, Cooper and Hauskrecht 2015 (ECE, MCE); Kumar, Liang and Ma 2019 (debiased).
class reliability_table {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("RELI");
    static constexpr std::uint32_t bytes_version = 1;

    /// 15 bins of equal width.
    reliability_table() : reliability_table(score_bins{}) {}
    explicit reliability_table(score_bins bins) : bins_(std::move(bins)), sums_(bins_.size()) {}

    void absorb(double p, double y, double w = 1.0) noexcept {
        const bool ok = detail::usable_example(p, y, w);
        seen_.absorb(ok);
        if (!ok) return;
        bin_sums& b = sums_[bins_.index(p)];
        b.weight += w;
        b.score += w * p;
        b.label += w * y;
        b.score_squared += w * p * p;
        b.score_label += w * p * y;
    }
    template <class P, class Y, class W, class Isa = isa::native>
    void absorb(const scored<P, Y, W>& batch) noexcept {
        const auto careful = [&](std::size_t first, std::size_t last) {
            for (std::size_t i = first; i < last; ++i) absorb(batch.score(i), batch.label(i), batch.weight(i));
        };
        const bool fast = batch.weights.empty() && bins_.equal_width() && size() <= detail::report_max_bins;
        if (!fast || batch.size() < detail::report_block) return careful(0, batch.size());
        detail::report_cells<Isa> cells(size());
        const std::uint64_t rows = detail::for_each_report_block<Isa>(
            batch.scores, batch.labels,
            [&](const detail::report_columns& block) {
                const bool ok = detail::is_report_block<Isa>(block);
                if (ok) cells.absorb(block);
                return ok;
            },
            careful);
        absorb_cells(cells, rows);
    }
    /// Throws    std::invalid_argument when the bins differ.
    void merge(const reliability_table& other) {
        expects(bins_ == other.bins_, "reliability_table", "cannot merge other bins (", other.bins_.size(), ") into ",
                bins_.size(), " bins");
        for (std::size_t b = 0; b < sums_.size(); ++b) {
            sums_[b].weight += other.sums_[b].weight;
            sums_[b].score += other.sums_[b].score;
            sums_[b].label += other.sums_[b].label;
            sums_[b].score_squared += other.sums_[b].score_squared;
            sums_[b].score_label += other.sums_[b].score_label;
        }
        seen_.merge(other.seen_);
    }

    const score_bins& bins() const noexcept { return bins_; }
    const bin_sums& operator[](std::size_t b) const noexcept { return sums_[b]; }
    std::size_t size() const noexcept { return sums_.size(); }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }
    /// Sums over all bins.
    bin_sums total() const noexcept {
        bin_sums t;
        for (const bin_sums& b : sums_) {
            t.weight += b.weight;
            t.score += b.score;
            t.label += b.label;
            t.score_squared += b.score_squared;
            t.score_label += b.score_label;
        }
        return t;
    }

    /// Expected calibration error: sum n_b |pbar_b - ybar_b| / N.
    double ece() const noexcept {
        return weighted_mean([](const bin_sums& b) { return std::fabs(b.gap()); });
    }
    /// Expected calibration error with the mean bias of |pbar_b - ybar_b| taken off in every bin of two or more
    /// examples: |d| becomes 2 |d| - E|N(d, s^2)| with s^2 = ybar_b (1 - ybar_b) / n_b.
    double ece_debiased() const noexcept {
        return weighted_mean([](const bin_sums& b) {
            const double d = b.gap(), y = b.rate();
            const double s = b.weight >= 2.0 ? std::sqrt(non_negative(y * (1.0 - y)) / b.weight) : 0.0;
            return 2.0 * std::fabs(d) - detail::mean_absolute_normal(d, s);
        });
    }
    /// Squared L2 calibration error: sum n_b (pbar_b - ybar_b)^2 / N.
    double squared_ece() const noexcept {
        return weighted_mean([](const bin_sums& b) { return b.gap() * b.gap(); });
    }
    /// The same less ybar_b (1 - ybar_b) / (n_b - 1) in every bin of two or more examples, which has mean 0 under
    /// calibration; it may be negative.
    double squared_ece_debiased() const noexcept {
        return weighted_mean([](const bin_sums& b) {
            const double y = b.rate();
            return b.gap() * b.gap() - (b.weight >= 2.0 ? y * (1.0 - y) / (b.weight - 1.0) : 0.0);
        });
    }
    /// Maximum calibration error: the largest |pbar_b - ybar_b|.
    double mce() const noexcept {
        double worst = detail::not_a_number;
        for (const bin_sums& b : sums_) {
            if (b.weight > 0.0 && !(std::fabs(b.gap()) <= worst)) worst = std::fabs(b.gap());
        }
        return worst;
    }
    /// Average calibration error: the mean of |pbar_b - ybar_b| over bins that are not empty.
    double ace() const noexcept {
        double sum = 0.0, used = 0.0;
        for (const bin_sums& b : sums_) {
            if (!(b.weight > 0.0)) continue;
            sum += std::fabs(b.gap());
            used += 1.0;
        }
        return detail::ratio_or_nan(sum, used, used);
    }
    /// The expected calibration error.
    double finish() const noexcept { return ece(); }

    /// The five terms of the Brier score.
    brier_terms brier() const noexcept {
        const bin_sums all = total();
        const double n = all.weight, base = all.rate();
        brier_terms t{0.0, 0.0, base * (1.0 - base), 0.0, 0.0};
        for (const bin_sums& b : sums_) {
            if (!(b.weight > 0.0)) continue;
            const double share = b.weight / n, y = b.rate();
            t.reliability += share * b.gap() * b.gap();
            t.resolution += share * (y - base) * (y - base);
            t.within_variance += non_negative(b.score_squared - b.score * b.mean_score()) / n;
            t.within_covariance += 2.0 * (b.score_label - b.label * b.mean_score()) / n;
        }
        if (!(n > 0.0)) t.reliability = t.resolution = t.within_variance = t.within_covariance = detail::not_a_number;
        return t;
    }

    /// Hosmer-Lemeshow test: sum (K - P)^2 / (P (1 - P/n)) against chi-square.
    ///
    /// fitted_parameters    degrees of freedom spent on the bins' own data: 2 for the data that a logistic model was
    ///                      fitted on, 0 for held-out data.
    /// A bin whose predictions are all 0 or all 1 adds 0 when they came true and inf when not.
    hosmer_lemeshow_result hosmer_lemeshow(std::size_t fitted_parameters = 2) const noexcept {
        hosmer_lemeshow_result r{0.0, 0, 0, detail::not_a_number};
        for (const bin_sums& b : sums_) {
            if (!(b.weight > 0.0)) continue;
            ++r.bins;
            const double error = b.label - b.score;
            if (error != 0.0) r.statistic += error * error / non_negative(b.score * (1.0 - b.mean_score()));
        }
        if (r.bins == 0) r.statistic = detail::not_a_number;
        if (r.bins > fitted_parameters) {
            r.freedom = r.bins - fitted_parameters;
            r.p_value = detail::chi_square_tail(r.statistic, static_cast<double>(r.freedom));
        }
        return r;
    }

    /// One point of the reliability diagram, with the Wilson interval of half-width z standard errors.
    reliability_row row(std::size_t b, double z = z_95) const noexcept {
        const bin_sums& s = sums_[b];
        return {bins_.lower(b), bins_.upper(b), s.weight, s.mean_score(), s.rate(), wilson(s.label, s.weight, z)};
    }

    void write(byte_writer& out) const {
        bins_.write(out);
        std::vector<double> flat;
        flat.reserve(5 * sums_.size());
        for (const bin_sums& b : sums_) {
            flat.insert(flat.end(), {b.weight, b.score, b.label, b.score_squared, b.score_label});
        }
        out.put_array(flat);
        detail::put_counts(out, seen_);
    }
    static reliability_table read(byte_reader& in) {
        score_bins bins = score_bins::read(in);
        const std::vector<double> flat = in.get_array<double>(5 * bins.size());
        expects_bytes(flat.size() == 5 * bins.size(), "reliability_table", flat.size(), " sums for ", bins.size(),
                      " bins");
        reliability_table table(std::move(bins));
        for (std::size_t b = 0; b < table.size(); ++b) {
            const double* s = flat.data() + 5 * b;
            // Sums of numbers in [0, 1] times the weight, up to rounding.
            const double most = s[0] * (1.0 + 1e-6);
            for (int k = 0; k < 5; ++k) {
                expects_bytes(s[k] >= 0.0 && s[k] <= most && std::isfinite(s[k]), "reliability_table", "sum ", s[k],
                              " in a bin of weight ", s[0]);
            }
            table.sums_[b] = {s[0], s[1], s[2], s[3], s[4]};
        }
        table.seen_ = detail::get_counts(in);
        return table;
    }

  private:
    friend class calibration_summary;

    // Rows without weights, summed up elsewhere.
    template <class Isa>
    void absorb_cells(const detail::report_cells<Isa>& cells, std::uint64_t rows) noexcept {
        for (std::size_t b = 0; b < size(); ++b) {
            const detail::report_cell no = cells.cell(b, 0), yes = cells.cell(b, 1);
            bin_sums& bin = sums_[b];
            bin.weight += static_cast<double>(no.rows + yes.rows);
            bin.score += no.score + yes.score;
            bin.label += static_cast<double>(yes.rows);
            bin.score_squared += no.score_squared + yes.score_squared;
            bin.score_label += yes.score;
        }
        seen_.accepted += rows;
    }
    static double non_negative(double x) noexcept { return x > 0.0 ? x : 0.0; }
    template <class Term>
    double weighted_mean(Term&& term) const noexcept {
        double sum = 0.0, weight = 0.0;
        for (const bin_sums& b : sums_) {
            if (!(b.weight > 0.0)) continue;
            sum += b.weight * term(b);
            weight += b.weight;
        }
        return detail::ratio_or_nan(sum, weight, weight);
    }

    score_bins bins_;
    std::vector<bin_sums> sums_;
    counts seen_;
};

/// Sorts predictions into bins and sums them up.
///
/// Shapes    scores, labels [N]; weights [N] or empty for ones.
/// Returns   reliability_table; merges over shards that use the same bins.
/// Throws    std::invalid_argument on lengths that differ. Bad values are counted and skipped.
/// Cost      one pass: a multiplication and five additions an example for bins of equal width, a search of log2(bins)
///           steps for cuts. Unweighted 0/1 labels in at most 64 bins of equal width go through private tables.
/// Numerics  as reliability_table.
template <exec::policy Policy, vector_like P, vector_like Y, class W = none>
reliability_table reliability(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                              const score_bins& bins = {}) {
    return exec::fold_parts(where, reliability_table(bins), make_scored("reliability", scores, labels, weights));
}

/// Expected calibration error over `bins`; as reliability().
template <exec::policy Policy, vector_like P, vector_like Y, class W = none>
double ece(const Policy& where, const P& scores, const Y& labels, const W& weights = {}, const score_bins& bins = {}) {
    return reliability(where, scores, labels, weights, bins).ece();
}

/// Gradient of sum_b |sum over the bin of w (p - y)|, the expected calibration error times its weight, with respect to
/// the predictions, while none of them leaves its bin.
///
///   d/dp_i = w_i sign(pbar_b - ybar_b),   0 in a bin that is exactly calibrated
///
/// Shapes    scores, gradient [N]; weights [N] or empty for ones; `table` is the finished fold of the same data. The
///           gradient may not overlap the inputs.
/// Writes    adds scale times the gradient into `gradient`; scale = 1 / sum w gives that of ece(). A score outside
///           [0, 1] is in no bin and adds 0; a NaN weight propagates.
/// Throws    std::invalid_argument on lengths that differ.
/// Cost      as reliability().
template <exec::policy Policy, vector_like P, vector_like Out, class W = none>
void ece_gradient(const Policy& where, const reliability_table& table, const P& scores, Out&& gradient,
                  const W& weights = {}, double scale = 1.0) {
    const auto batch = make_scored("ece_gradient", scores, scores, weights);
    const auto out = view(gradient);
    using T = typename decltype(out)::value_type;
    expects(out.size() == batch.size(), "ece_gradient", batch.size(), " scores but room for ", out.size(),
            " derivatives");
    exec::map_parts(where, batch.size(), [&table, batch, out, scale](std::size_t first, std::size_t count) {
        for (std::size_t i = first; i < first + count; ++i) {
            const double p = batch.score(i);
            if (!(p >= 0.0 && p <= 1.0)) continue;
            const bin_sums& b = table[table.bins().index(p)];
            const double sign = b.score > b.label ? 1.0 : (b.score < b.label ? -1.0 : 0.0);
            out[i] += static_cast<T>(scale * batch.weight(i) * sign);
        }
    });
}

}  // namespace reckon
