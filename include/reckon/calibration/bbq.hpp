// Bayesian binning into quantiles: an average of many equal-mass histograms, weighted by how well each explains the
// labels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/rows.hpp"
#include "reckon/calibration/detail/sorted_cuts.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/special.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// How bbq::fit works.
struct bbq_options {
    enum class prior_mean : std::uint8_t {
        midpoint,  // the middle of the bin, whose outer edges are 0 and 1
        mean,      // the mean score of the bin
    };
    /// > 0. Weight of the prior, in examples, spread evenly over the bins of a binning.
    double prior_weight = 2.0;
    /// Where the prior of a bin has its mean; limited to [1e-7, 1 - 1e-7].
    prior_mean prior = prior_mean::midpoint;
    /// Fewest and most bins that are tried; 0 leaves the choice to the rule of the paper.
    std::size_t min_bins = 0;
    std::size_t max_bins = 0;
};

namespace detail {

/// Log marginal likelihood of one bin under a beta prior, and the posterior mean of its rate.
struct bbq_bin {
    double log_score;
    double rate;

    /// prior_weight: of this bin alone.
    static bbq_bin of(double positive, double negative, double prior_mean, double prior_weight) noexcept {
        using math::log_gamma;
        constexpr double least = 1e-7;
        const double p = std::clamp(prior_mean, least, 1.0 - least);
        const double alpha = prior_weight * p, beta = prior_weight * (1.0 - p);
        const double weight = positive + negative + prior_weight;
        return {log_gamma(prior_weight) - log_gamma(weight) + log_gamma(positive + alpha) - log_gamma(alpha) +
                    log_gamma(negative + beta) - log_gamma(beta),
                (std::min)((positive + alpha) / weight, 1.0)};
    }
};

/// Binnings into equal masses of one set of rows, and the average of them.
class bbq_fit {
  public:
    template <class Isa, class P, class Y, class W>
    bbq_fit(Isa, const scored<P, Y, W>& rows, const bbq_options& options) : options_(options) {
        const auto order = ascending_order<Isa>(rows.scores);
        group_of_rank_.reserve(order.size());
        double weight = 0.0, positive = 0.0, score_sum = 0.0;
        for (const auto i : order) {
            const bool ok = usable(rows, i, score_kind::probability);
            seen_.absorb(ok);
            if (!ok || !(rows.weight(i) > 0.0)) continue;
            const double p = rows.score(i), w = rows.weight(i);
            if (groups_.empty() || groups_.back().score < p) groups_.push_back({p, weight, positive, score_sum});
            group_of_rank_.push_back(static_cast<std::uint32_t>(groups_.size() - 1));
            weight += w;
            positive += w * rows.label(i);
            score_sum += w * p;
        }
        groups_.push_back({1.0, weight, positive, score_sum});
    }

    counts seen() const noexcept { return seen_; }

    step_table finish() const {
        const std::size_t n = group_of_rank_.size();
        if (n == 0) return {{}, {0.5}};
        const double root = std::cbrt(static_cast<double>(n));
        const std::size_t few = (std::max<std::size_t>)(1, static_cast<std::size_t>(root / 10.0));
        const std::size_t many = (std::min)(n / 5, static_cast<std::size_t>(10.0 * root));
        const std::size_t first = options_.min_bins > 0 ? options_.min_bins : few;
        const std::size_t last = (std::max)(first, (std::min)(n, options_.max_bins > 0 ? options_.max_bins : many));

        std::vector<binning> all;
        double best = -std::numeric_limits<double>::infinity();
        for (std::size_t bins = first; bins <= last; ++bins) {
            binning made = with_bins((std::min)(bins, n));
            if (!all.empty() && all.back().starts == made.starts) continue;
            best = (std::max)(best, made.log_score);
            // What was kept and is far below the best so far has no weight; this bounds the memory.
            if (made.log_score < best - negligible) continue;
            all.push_back(std::move(made));
        }
        std::erase_if(all, [&](const binning& b) { return b.log_score < best - negligible; });
        return average(all, best);
    }

  private:
    // Sums over the rows with a lower score.
    struct group {
        double score;
        double weight;
        double positive;
        double score_sum;
    };
    struct binning {
        std::vector<std::uint32_t> starts;  // groups where the second and later bins start
        std::vector<double> rates;
        double log_score = 0.0;
    };
    // e^-45 = 3e-20: a thousand binnings of that weight do not reach the last bit.
    static constexpr double negligible = 45.0;

    binning with_bins(std::size_t bins) const {
        binning made;
        const std::uint64_t n = group_of_rank_.size();
        for (std::uint64_t k = 1; k < bins; ++k) {
            const std::uint32_t start = group_of_rank_[static_cast<std::size_t>(k * n / bins)];
            if (start > (made.starts.empty() ? 0 : made.starts.back())) made.starts.push_back(start);
        }
        const std::size_t size = made.starts.size() + 1;
        const double prior_weight = options_.prior_weight / static_cast<double>(size);
        made.rates.reserve(size);
        std::size_t from = 0;
        for (std::size_t b = 0; b < size; ++b) {
            const std::size_t to = b + 1 < size ? made.starts[b] : groups_.size() - 1;
            const group &low = groups_[from], &high = groups_[to];
            const double weight = (std::max)(0.0, high.weight - low.weight);
            const double positive = std::clamp(high.positive - low.positive, 0.0, weight);
            double centre = 0.5 * ((b > 0 ? low.score : 0.0) + high.score);
            if (options_.prior == bbq_options::prior_mean::mean && weight > 0.0) {
                centre = (high.score_sum - low.score_sum) / weight;
            }
            const auto bin = bbq_bin::of(positive, weight - positive, centre, prior_weight);
            made.log_score += bin.log_score;
            made.rates.push_back(bin.rate);
            from = to;
        }
        return made;
    }

    // The weighted average over the union of all cuts.
    step_table average(const std::vector<binning>& all, double best) const {
        std::vector<std::uint32_t> starts;
        for (const binning& b : all) starts.insert(starts.end(), b.starts.begin(), b.starts.end());
        std::sort(starts.begin(), starts.end());
        starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
        std::vector<double> values(starts.size() + 1, 0.0), cuts;
        double total = 0.0;
        for (const binning& b : all) {
            const double weight = std::exp(b.log_score - best);
            total += weight;
            for (std::size_t i = 0, bin = 0; i < values.size(); ++i) {
                if (i > 0 && bin < b.starts.size() && b.starts[bin] == starts[i - 1]) ++bin;
                values[i] += weight * b.rates[bin];
            }
        }
        for (double& v : values) v = (std::min)(v / total, 1.0);
        for (const std::uint32_t start : starts) cuts.push_back(groups_[start].score);
        return {std::move(cuts), std::move(values)};
    }

    bbq_options options_;
    std::vector<group> groups_;                 // distinct scores and the end
    std::vector<std::uint32_t> group_of_rank_;  // of every row that counts, in score order
    counts seen_;
};

}  // namespace detail

/// Bayesian binning into quantiles: p' is the average over binnings M of the smoothed rate of the score's bin, with
/// weights proportional to the marginal likelihood of the labels.
///
///   ln score(M) = sum_b [ lnG(v) - lnG(N_b + v) + lnG(m_b + a_b) - lnG(a_b) + lnG(n_b + c_b) - lnG(c_b) ]
///   rate of b   = (m_b + a_b) / (N_b + v),   v = prior_weight / B,  a_b = v p_b,  c_b = v (1 - p_b)
///
/// with m_b, n_b the weights of positives and negatives in bin b of B, N_b their sum and p_b its prior mean.
///
/// Fit       binnings into B = max(1, N^(1/3) / 10) .. min(N / 5, 10 N^(1/3)) bins of equal mass, rounded down and
///           at least one; N counts rows of positive weight. Equal scores stay together; B is the number of bins that
///           are left then, and a binning equal to the one before it is not counted again (both ours). All binnings
///           collapse into one step function over the union of their cuts; those with less than e^-45 of the largest
///           weight are left out. No data: 1/2. One class or one distinct score: the smoothed rates that there are. The
///           map need not be monotone.
/// Throws    fit: std::invalid_argument when columns differ in length or an option is out of range; counts and skips
///           bad examples. apply: std::invalid_argument when sizes differ; propagates NaN, scores outside [0, 1] go to
///           the first and the last step.
/// Cost      fit: a radix sort and about 5 ln Gamma a bin, 10^6 rows having 5 10^5 bins; on one thread. apply: two
///           look-ups and a few comparisons, without a branch on the score.
/// Numerics  in double.
/// Source    Naeini, Cooper and Hauskrecht 2015.
class bbq {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("BBQ ");
    static constexpr std::uint32_t bytes_version = 1;
    /// The fit ranks rows, whatever their weight: see refit().
    static constexpr bool ranks_rows = true;

    /// One step with the value 1/2.
    bbq() : steps_({}, {0.5}) {}
    /// values[k] from the k-th cut on, values[0] below the first.
    ///
    /// Throws    std::invalid_argument unless the cuts are finite and increase and there is one more value, in [0, 1].
    bbq(std::vector<double> cuts, std::vector<double> values) {
        const char* const fault = detail::step_table::fault(cuts, values);
        expects(fault == nullptr, "bbq", fault == nullptr ? "" : fault);
        steps_ = detail::step_table(std::move(cuts), std::move(values));
    }

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static bbq fit(const Policy&, const P& scores, const Y& labels, const W& weights = {},
                   const bbq_options& options = {}) {
        exec::detail::require_host_policy<Policy>();
        const auto batch = make_scored("bbq", scores, labels, weights);
        expects(options.prior_weight > 0.0 && std::isfinite(options.prior_weight), "bbq",
                "prior_weight must be positive and finite, got ", options.prior_weight);
        expects(options.max_bins == 0 || options.min_bins <= options.max_bins, "bbq", "min_bins ", options.min_bins,
                " is above max_bins ", options.max_bins);
        const detail::bbq_fit made(Isa{}, batch, options);
        bbq fitted;
        fitted.steps_ = made.finish();
        fitted.seen_ = made.seen();
        return fitted;
    }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        return steps_.at(score);
    }
    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        steps_.template apply<Isa>("bbq", where, scores, out);
    }

    /// Scores at which the value changes.
    vector_view<const double> cuts() const noexcept { return steps_.cuts(); }
    /// One value more than cuts.
    const std::vector<double>& values() const noexcept { return steps_.values(); }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        steps_.write(out);
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static bbq read(byte_reader& in) {
        bbq b;
        b.steps_ = detail::step_table::read(in, "bbq");
        b.seen_.accepted = in.get<std::uint64_t>();
        b.seen_.rejected = in.get<std::uint64_t>();
        return b;
    }

  private:
    detail::step_table steps_;
    counts seen_;
};

}  // namespace reckon
