// Empirical Bayes for rates: the Beta prior that the counts of many cells agree with best.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/uncertainty/beta_binomial.hpp"
#include "reckon/uncertainty/detail/groups.hpp"

namespace reckon {

/// How often each number of successes, failures and trials occurred, per group: all that the fit of a Beta prior needs,
/// whatever the number of cells.
///
/// Rows with k > n, negative counts, more than 2^20 trials or a group outside 0 .. groups - 1 are skipped and counted.
/// Law       exact. The identity is a state built with the same number of groups.
/// Cost      three counters per group and number up to the largest one that occurs; O(1) a row.
class trial_counts {
  public:
    static constexpr std::size_t max_trials = std::size_t{1} << 20;

    /// Throws    std::invalid_argument when `groups` is not in [1, 2^20].
    explicit trial_counts(std::size_t groups = 1) : tables_(groups) {
        expects(1 <= groups && groups <= detail::max_groups, "trial_counts", "groups must be in [1, 2^20], got ",
                groups);
    }

    /// Throws    std::invalid_argument when the lengths differ.
    template <vector_like K, vector_like N, class Groups = none>
    void absorb(const K& successes, const N& trials, const Groups& groups = {}) {
        const auto k = input(successes);
        const auto n = input(trials);
        expects(k.size() == n.size(), "trial_counts", k.size(), " successes but ", n.size(), " trials");
        const auto of = detail::make_groups("trial_counts", groups, k.size(), tables_.size());
        for (std::size_t i = 0; i < k.size(); ++i) {
            const std::size_t group = of[i];
            const bool ok = detail::usable_counts(k[i], n[i]) && static_cast<std::uint64_t>(n[i]) <= max_trials &&
                            group < tables_.size();
            seen_.absorb(ok);
            if (!ok) continue;
            const auto hits = static_cast<std::size_t>(k[i]), all = static_cast<std::size_t>(n[i]);
            table& t = tables_[group];
            add(t.successes, hits, 1.0);
            add(t.failures, all - hits, 1.0);
            add(t.trials, all, 1.0);
        }
    }
    /// Throws    std::invalid_argument when the numbers of groups differ.
    void merge(const trial_counts& other) {
        expects(groups() == other.groups(), "trial_counts", "cannot merge ", other.groups(), " groups into ", groups());
        for (std::size_t g = 0; g < tables_.size(); ++g) {
            const std::pair<std::vector<double>*, const std::vector<double>*> columns[3] = {
                {&tables_[g].successes, &other.tables_[g].successes},
                {&tables_[g].failures, &other.tables_[g].failures},
                {&tables_[g].trials, &other.tables_[g].trials}};
            for (const auto& [to, from] : columns) {
                for (std::size_t t = 0; t < from->size(); ++t) add(*to, t, (*from)[t]);
            }
        }
        seen_.merge(other.seen_);
    }

    std::size_t groups() const noexcept { return tables_.size(); }
    /// Entry t: how many rows of the group have t successes, failures, trials.
    const std::vector<double>& successes(std::size_t group) const noexcept { return tables_[group].successes; }
    const std::vector<double>& failures(std::size_t group) const noexcept { return tables_[group].failures; }
    const std::vector<double>& trials(std::size_t group) const noexcept { return tables_[group].trials; }
    counts seen() const noexcept { return seen_; }

  private:
    struct table {
        std::vector<double> successes, failures, trials;
    };
    static void add(std::vector<double>& counts, std::size_t at, double count) {
        if (counts.size() <= at) counts.resize(at + 1, 0.0);
        counts[at] += count;
    }

    std::vector<table> tables_;
    counts seen_;
};

struct beta_prior_options {
    /// 1e-6 .. 1e8. Concentration of a group whose counts do not tell it.
    double default_strength = 2.0;
};

namespace detail {

// The beta-binomial log-likelihood of one group as a function of m and s. Column t of each table holds how many rows
// have more than t successes, failures, trials; that turns sums over rows into sums over t.
class beta_profile {
  public:
    static constexpr double least_strength = 1e-4;
    static constexpr double most_strength = 1e8;

    beta_profile(const std::vector<double>& successes, const std::vector<double>& failures,
                 const std::vector<double>& trials)
        : above_{survivors(successes), survivors(failures), survivors(trials)} {
        for (int j = 0; j < 3; ++j) {
            for (const double count : above_[j]) total_[j] += count;
        }
    }

    bool identifiable() const noexcept { return above_[2].size() > 1 && total_[0] > 0.0 && total_[1] > 0.0; }
    double rate() const noexcept {
        if (total_[0] > 0.0 && total_[1] > 0.0) return total_[0] / total_[2];
        return (total_[0] + 0.5) / (total_[2] + 1.0);
    }

    struct optimum {
        double mean, strength;
    };
    // The likelihood has one peak in s for each m (Levin and Reeds 1977); the root in s of its derivative along the
    // best m is bracketed and found by turns of regula falsi and bisection.
    optimum best() const noexcept {
        double logit = std::log(total_[0] / total_[1]);
        double low = std::log(least_strength), high = std::log(most_strength);
        double at_low = slope(low, logit);
        if (at_low >= 0.0) return {sigmoid(logit), least_strength};
        double at_high = slope(high, logit);
        if (at_high <= 0.0) return {sigmoid(logit), most_strength};
        double y = 0.0;
        for (int turn = 0; turn < 200 && high - low > 1e-13; ++turn) {
            const double secant = low - at_low * ((high - low) / (at_high - at_low));
            y = turn % 3 != 2 && low < secant && secant < high ? secant : 0.5 * (low + high);
            const double value = slope(y, logit);
            if (value == 0.0) break;
            if (value < 0.0) {
                low = y;
                at_low = value;
                if (turn % 3 == 0) at_high *= 0.5;  // the other end moves too: Illinois
            } else {
                high = y;
                at_high = value;
                if (turn % 3 == 0) at_low *= 0.5;
            }
        }
        slope(y, logit);
        return {sigmoid(logit), std::exp(y)};
    }

  private:
    static double sigmoid(double x) noexcept { return 1.0 / (1.0 + std::exp(-x)); }
    static std::vector<double> survivors(const std::vector<double>& counts) {
        // above[t] = rows with more than t.
        std::vector<double> above(counts.empty() ? 0 : counts.size() - 1);
        double rows = 0.0;
        for (std::size_t t = above.size(); t > 0; --t) above[t - 1] = rows += counts[t];
        return above;
    }

    // Moves `logit` to the best m for s = e^y, then gives s (1 + s) times the derivative of the negative log-likelihood
    // by s.
    double slope(double y, double& logit) const noexcept {
        const double s = std::exp(y);
        double low = -30.0, high = 30.0;
        for (int turn = 0; turn < 100; ++turn) {
            const double m = sigmoid(logit), rest = sigmoid(-logit);
            const double up = m * s, down = rest * s;
            double value = 0.0, growth = 0.0;  // rises with m and has one root
            for (std::size_t t = 0; t < above_[0].size(); ++t) {
                const double over = 1.0 / (up + static_cast<double>(t));
                value -= above_[0][t] * over;
                growth += above_[0][t] * over * over;
            }
            for (std::size_t t = 0; t < above_[1].size(); ++t) {
                const double over = 1.0 / (down + static_cast<double>(t));
                value += above_[1][t] * over;
                growth += above_[1][t] * over * over;
            }
            (value < 0.0 ? low : high) = logit;
            double next = logit - value / (growth * (m * rest * s));
            if (!(low < next && next < high)) next = 0.5 * (low + high);
            const double step = std::fabs(next - logit);
            logit = next;
            if (!(step > 1e-14 * (1.0 + std::fabs(logit)))) break;
        }
        const double start[3] = {sigmoid(logit) * s, sigmoid(-logit) * s, s};
        double sum = 0.0;
        for (int j = 0; j < 3; ++j) {
            double part = 0.0;
            for (std::size_t t = 1; t < above_[j].size(); ++t) {
                part += above_[j][t] * (static_cast<double>(t) / (start[j] + static_cast<double>(t)));
            }
            sum += j < 2 ? part : -part;
        }
        return (1.0 + s) * sum;
    }

    std::vector<double> above_[3];
    double total_[3] = {0.0, 0.0, 0.0};
};

}  // namespace detail

/// Parameters of a Beta distribution.
struct beta_parameters {
    double alpha = 1.0;
    double beta = 1.0;

    double mean() const noexcept { return alpha / (alpha + beta); }
};

/// One Beta prior per group by empirical Bayes.
///
///   mu_i ~ Beta(alpha_g, beta_g), k_i | mu_i ~ Binomial(n_i, mu_i);   fit maximises the likelihood of the k_i
///
/// Fit       in mean and strength s = alpha + beta, exact over all rows, s in [1e-4, 1e8]. s = 1e8: the rates differ no
///           more than binomial noise lets them. No cell of two trials or more, or no success or no failure: the counts
///           do not tell s, identifiable() is false and s is default_strength; the mean is then the pooled rate, with
///           half a success and half a failure added when one of them never occurred. No rows: mean 1/2.
/// Throws    fit: std::invalid_argument when lengths differ or an option is out of range; rows that trial_counts cannot
///           use are counted and skipped.
/// Cost      fit: O(1) a row, then a few hundred passes over tables as long as the largest number of trials; groups run
///           in parallel.
/// Numerics  in double; parameters to about 1e-10 unless the likelihood is flat.
/// Source    Skellam 1948; sums over t as in Minka 2000.
class beta_prior {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("BPRI");
    static constexpr std::uint32_t bytes_version = 1;

    /// One group with the uniform prior Beta(1, 1).
    beta_prior() : mean_(1, 0.5), strength_(1, 2.0), identifiable_(1, 0) {}

    template <exec::policy Policy, vector_like K, vector_like N, class Groups = none, class Isa = isa::native>
    static beta_prior fit(const Policy& where, const K& successes, const N& trials, const Groups& groups = {},
                          std::size_t group_count = 1, const beta_prior_options& options = {}) {
        expects_legal(options);
        trial_counts state(group_count);
        state.absorb(successes, trials, groups);
        return from_counts(where, state, options);
    }
    /// The prior that belongs to counts, wherever they were gathered.
    template <exec::policy Policy>
    static beta_prior from_counts(const Policy& where, const trial_counts& state,
                                  const beta_prior_options& options = {}) {
        expects_legal(options);
        beta_prior fitted;
        fitted.seen_ = state.seen();
        fitted.mean_.assign(state.groups(), 0.5);
        fitted.strength_.assign(state.groups(), options.default_strength);
        fitted.identifiable_.assign(state.groups(), 0);
        exec::for_each_index(where, state.groups(), [&](std::size_t g) {
            const detail::beta_profile profile(state.successes(g), state.failures(g), state.trials(g));
            fitted.mean_[g] = profile.rate();
            if (!profile.identifiable()) return;
            const auto found = profile.best();
            fitted.mean_[g] = found.mean;
            fitted.strength_[g] = found.strength;
            fitted.identifiable_[g] = 1;
        });
        return fitted;
    }

    std::size_t groups() const noexcept { return mean_.size(); }
    /// Prior mean and strength alpha + beta of a group; `group` < groups() here and below.
    double mean(std::size_t group = 0) const noexcept { return mean_[group]; }
    double strength(std::size_t group = 0) const noexcept { return strength_[group]; }
    /// False where the counts did not tell the strength.
    bool identifiable(std::size_t group = 0) const noexcept { return identifiable_[group] != 0; }
    beta_parameters prior(std::size_t group = 0) const noexcept {
        return {mean_[group] * strength_[group], (1.0 - mean_[group]) * strength_[group]};
    }
    /// The distribution of the rate of a cell of the group after `successes` out of `trials`.
    beta_parameters posterior(double successes, double trials, std::size_t group = 0) const noexcept {
        const beta_parameters p = prior(group);
        return {p.alpha + successes, p.beta + (trials - successes)};
    }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put_array(mean_);
        out.put_array(strength_);
        out.put_array(identifiable_);
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static beta_prior read(byte_reader& in) {
        beta_prior p;
        p.mean_ = in.get_array<double>(detail::max_groups);
        p.strength_ = in.get_array<double>(detail::max_groups);
        p.identifiable_ = in.get_array<std::uint8_t>(detail::max_groups);
        expects_bytes(
            !p.mean_.empty() && p.strength_.size() == p.mean_.size() && p.identifiable_.size() == p.mean_.size(),
            "beta_prior", p.mean_.size(), " means, ", p.strength_.size(), " strengths and ", p.identifiable_.size(),
            " flags");
        for (std::size_t g = 0; g < p.mean_.size(); ++g) {
            expects_bytes(0.0 < p.mean_[g] && p.mean_[g] < 1.0, "beta_prior", "mean ", p.mean_[g], " is not in (0, 1)");
            expects_bytes(legal(p.strength_[g]), "beta_prior", "strength ", p.strength_[g], " is not in [1e-6, 1e8]");
            expects_bytes(p.identifiable_[g] <= 1, "beta_prior", "flag ", p.identifiable_[g], " is not 0 or 1");
        }
        p.seen_.accepted = in.get<std::uint64_t>();
        p.seen_.rejected = in.get<std::uint64_t>();
        return p;
    }

  private:
    static bool legal(double strength) noexcept {
        return strength >= 1e-6 && strength <= detail::beta_profile::most_strength;
    }
    static void expects_legal(const beta_prior_options& options) {
        expects(legal(options.default_strength), "beta_prior", "default_strength must be in [1e-6, 1e8], got ",
                options.default_strength);
    }

    std::vector<double> mean_, strength_;
    std::vector<std::uint8_t> identifiable_;
    counts seen_;
};

}  // namespace reckon
