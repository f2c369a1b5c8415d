// Every metric of ranked lists with its interval, in one pass over the lists and one bootstrap over users.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/segments.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/average_precision.hpp"
#include "reckon/metrics/bootstrap.hpp"
#include "reckon/metrics/gini.hpp"
#include "reckon/metrics/hit_rate.hpp"
#include "reckon/metrics/ndcg.hpp"
#include "reckon/metrics/precision.hpp"
#include "reckon/metrics/rank_correlation.hpp"
#include "reckon/metrics/recall.hpp"
#include "reckon/metrics/reciprocal_rank.hpp"
#include "reckon/metrics/tie_rule.hpp"
#include "reckon/metrics/user_auc.hpp"

namespace reckon {

/// The rows of a ranking_summary, in this order.
enum class ranking_metric : std::uint8_t {
    uauc,
    gauc,  ///< weighted by rows
    kendall_tau_b,
    spearman,
    normalized_gini,
    ndcg,  ///< of the first k ranks, as the next three
    hit_rate,
    recall,
    precision,
    reciprocal_rank,    ///< of all ranks
    average_precision,  ///< of all ranks
};
inline constexpr std::size_t ranking_metrics = 11;

struct ranking_report_options {
    /// Ranks that count for nDCG, hit rate, recall and precision; 0 for all.
    std::size_t k = 10;
    /// >= 0. A row is relevant when its label is above; the first five metrics and nDCG take labels as they are.
    double threshold = 0.0;
    tie_rule ties = tie_rule::expected;
    /// What a list without a relevant row counts.
    empty_rule empty = empty_rule::skip;
    bootstrap_options bootstrap = {};
};

/// One line of the table.
struct ranking_row {
    const char* name = "";
    double value = detail::not_a_number;
    double error = detail::not_a_number;  ///< standard error
    double lower = detail::not_a_number;
    double upper = detail::not_a_number;
    std::uint64_t lists = 0;  ///< on which the metric is defined
};

/// What ranking_report() returns: a clustered_bootstrap with a metric per row of the table; merges over shards that hold
/// whole lists.
///
/// Law       as clustered_bootstrap: the same bits for any split of the lists, order and number of threads.
class ranking_summary {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("RANK");
    static constexpr std::uint32_t bytes_version = 1;

    /// Throws    std::invalid_argument for options out of range.
    explicit ranking_summary(const ranking_report_options& options = {})
        : options_(options), sums_(ranking_metrics, options.bootstrap) {
        expects(legal(options), "ranking_report", "threshold must be at least 0, got ", options.threshold);
    }

    /// Absorbs lists; see ranking_report().
    template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, vector_like Users,
              class Isa = isa::native>
    void absorb(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets, const Users& users) {
        const auto s = input(scores);
        const auto y = input(labels);
        const auto lists = make_segments("ranking_report", offsets, s.size());
        const std::size_t n = lists.size();
        using out = std::vector<double>&;
        expects(y.size() == s.size(), "ranking_report", s.size(), " scores but ", y.size(), " labels");
        expects(input(users).size() == n, "ranking_report", n, " lists but ", input(users).size(), " users");
        std::vector<double> values(n * ranking_metrics), weights(n * ranking_metrics, 1.0), column(n);
        const auto put = [&](ranking_metric metric) {
            for (std::size_t i = 0; i < n; ++i) values[i * ranking_metrics + place(metric)] = column[i];
        };
        reckon::uauc<Policy, P, Y, Offsets, out, Isa>(where, scores, labels, offsets, {}, column);
        put(ranking_metric::uauc);
        // The same AUC, with the rows that count as its weight.
        for (std::size_t i = 0; i < n; ++i) {
            double rows = 0.0;
            for (std::size_t r = lists.first(i); r < lists.first(i) + lists.count(i); ++r) {
                rows += s[r] == s[r] && y[r] == y[r] ? 1.0 : 0.0;
            }
            values[i * ranking_metrics + place(ranking_metric::gauc)] = column[i] * rows;
            weights[i * ranking_metrics + place(ranking_metric::gauc)] = rows;
        }
        reckon::kendall_tau_b<Policy, P, Y, Offsets, out, Isa>(where, scores, labels, offsets, {}, column);
        put(ranking_metric::kendall_tau_b);
        reckon::spearman<Policy, P, Y, Offsets, out, Isa>(where, scores, labels, offsets, {}, column);
        put(ranking_metric::spearman);
        reckon::normalized_gini<Policy, P, Y, Offsets, out, Isa>(where, scores, labels, offsets, {}, column);
        put(ranking_metric::normalized_gini);
        const ranking_report_options& o = options_;
        reckon::ndcg<Policy, P, Y, Offsets, out, Isa>(where, scores, labels, offsets,
                                                      {.k = o.k, .ties = o.ties, .empty = o.empty}, column);
        put(ranking_metric::ndcg);
        reckon::hit_rate<Policy, P, Y, Offsets, out, Isa>(where, scores, labels, offsets,
                                                          {o.k, o.threshold, o.ties, o.empty}, column);
        put(ranking_metric::hit_rate);
        reckon::recall<Policy, P, Y, Offsets, out, Isa>(where, scores, labels, offsets,
                                                        {o.k, o.threshold, o.ties, o.empty}, column);
        put(ranking_metric::recall);
        reckon::precision<Policy, P, Y, Offsets, out, Isa>(where, scores, labels, offsets,
                                                           {o.k, o.threshold, o.ties, o.empty}, column);
        put(ranking_metric::precision);
        reckon::reciprocal_rank<Policy, P, Y, Offsets, out, Isa>(where, scores, labels, offsets,
                                                                 {0, o.threshold, o.ties, o.empty}, column);
        put(ranking_metric::reciprocal_rank);
        reckon::average_precision<Policy, P, Y, Offsets, out, Isa>(
            where, scores, labels, offsets, {.threshold = o.threshold, .ties = o.ties, .empty = o.empty}, column);
        put(ranking_metric::average_precision);
        using table = matrix_view<double>;
        sums_.template absorb<Policy, Users, table, table, Isa>(where, users, view(values, n, ranking_metrics),
                                                                view(weights, n, ranking_metrics));
    }
    /// Throws    std::invalid_argument when options differ.
    void merge(const ranking_summary& other) {
        expects_same("ranking_report::merge", other);
        sums_.merge(other.sums_);
    }

    const ranking_report_options& options() const noexcept { return options_; }
    const clustered_bootstrap& bootstrap() const noexcept { return sums_; }

    ranking_row row(ranking_metric metric, const bootstrap_interval_options& options = {}) const {
        constexpr std::array<const char*, ranking_metrics> names{
            "uauc",     "gauc",   "kendall_tau_b", "spearman",        "normalized_gini",  "ndcg",
            "hit_rate", "recall", "precision",     "reciprocal_rank", "average_precision"};
        const bootstrap_estimate e = sums_.finish(place(metric), options);
        return {names[place(metric)], e.value, e.error, e.lower, e.upper, sums_.seen(place(metric)).accepted};
    }
    /// All rows.
    std::vector<ranking_row> finish(const bootstrap_interval_options& options = {}) const {
        std::vector<ranking_row> table;
        for (std::size_t m = 0; m < ranking_metrics; ++m) table.push_back(row(static_cast<ranking_metric>(m), options));
        return table;
    }
    /// A metric here less the same of another model on the same users: paired.
    ///
    /// Throws    std::invalid_argument when k, threshold, ties, empty, replicates or seed differ.
    bootstrap_estimate difference(const ranking_summary& other, ranking_metric metric,
                                  const bootstrap_interval_options& options = {}) const {
        expects_same("ranking_report::difference", other);
        return sums_.difference(place(metric), other.sums_, place(metric), options);
    }

    void write(byte_writer& out) const {
        out.put(static_cast<std::uint64_t>(options_.k));
        out.put(options_.threshold);
        out.put(static_cast<std::uint8_t>(options_.ties));
        out.put(static_cast<std::uint8_t>(options_.empty));
        sums_.write(out);
    }
    static ranking_summary read(byte_reader& in) {
        ranking_report_options options;
        options.k = static_cast<std::size_t>(in.get<std::uint64_t>());
        options.threshold = in.get<double>();
        const auto ties = in.get<std::uint8_t>(), empty = in.get<std::uint8_t>();
        expects_bytes(ties <= static_cast<std::uint8_t>(tie_rule::trec) &&
                          empty <= static_cast<std::uint8_t>(empty_rule::one) && legal(options),
                      "ranking_report", "an option is out of range");
        options.ties = static_cast<tie_rule>(ties);
        options.empty = static_cast<empty_rule>(empty);
        clustered_bootstrap sums = clustered_bootstrap::read(in);
        expects_bytes(sums.metrics() == ranking_metrics, "ranking_report", sums.metrics(), " metrics");
        options.bootstrap = {sums.replicates(), sums.seed(), sums.unit()};
        return ranking_summary(options, std::move(sums));
    }

  private:
    ranking_summary(const ranking_report_options& options, clustered_bootstrap&& sums)
        : options_(options), sums_(std::move(sums)) {}
    static constexpr std::size_t place(ranking_metric metric) noexcept { return static_cast<std::size_t>(metric); }
    // The metrics of both are the same functions of a list.
    void expects_same(const char* kernel, const ranking_summary& other) const {
        const ranking_report_options &o = options_, &p = other.options_;
        expects(o.k == p.k, kernel, "k = ", o.k, " here, ", p.k, " there");
        expects(o.threshold == p.threshold, kernel, "threshold ", o.threshold, " here, ", p.threshold, " there");
        expects(o.ties == p.ties, kernel, "tie rule ", static_cast<int>(o.ties), " here, ", static_cast<int>(p.ties),
                " there");
        expects(o.empty == p.empty, kernel, "empty rule ", static_cast<int>(o.empty), " here, ",
                static_cast<int>(p.empty), " there");
    }
    static bool legal(const ranking_report_options& options) noexcept { return options.threshold >= 0.0; }

    ranking_report_options options_;
    clustered_bootstrap sums_;
};

/// Every metric of ranked lists with its interval.
///
/// Shapes    scores [N] float or double; labels [N] of numbers; offsets [S + 1], unsigned: list s has the rows offsets[s]
///           .. offsets[s + 1] - 1. users [S] of any integer type but bool: whose list it is. From rows in any order:
///           `g = group_by(users)` gives offsets, g.ids is the users, g.gather() the columns.
/// Returns   ranking_summary: finish() is the table, difference() compares two models.
/// Throws    std::invalid_argument on shapes, offsets and options. Each metric treats bad rows as its own header says and
///           leaves out the lists on which it is not defined.
/// Cost      that of the eleven metrics, then of the bootstrap: about 4 ns a list and replicate. 180 bytes of scratch a
///           list.
/// Numerics  values are those of the metrics to 2^-30.
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, vector_like Users,
          class Isa = isa::native>
ranking_summary ranking_report(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
                               const Users& users, const ranking_report_options& options = {}) {
    ranking_summary summary(options);
    summary.template absorb<Policy, P, Y, Offsets, Users, Isa>(where, scores, labels, offsets, users);
    return summary;
}

}  // namespace reckon
