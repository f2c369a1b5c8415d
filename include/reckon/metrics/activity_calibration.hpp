// Are predictions right for heavy and for light users alike: mean prediction against mean label by activity.
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
#include "reckon/core/group_by.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/detail/examples.hpp"
#include "reckon/metrics/score_bins.hpp"

namespace reckon {

/// Buckets of about as many users each: the cuts are the distinct sorted activities at ranks floor(k U / buckets),
/// k = 1 .. buckets - 1. Users of equal activity share a bucket, so ties make fewer buckets.
///
/// Shapes    activity [U], one number a user, of any arithmetic type. NaN and infinities have no rank.
/// Throws    std::invalid_argument unless 1 <= buckets <= score_bins::max_size.
/// Cost      a sort of U numbers.
template <vector_like Activity>
score_bins activity_buckets(const Activity& activity, std::size_t buckets = 10) {
    expects(buckets >= 1 && buckets <= score_bins::max_size, "activity_buckets", "1 to ", score_bins::max_size,
            " buckets are legal, got ", buckets);
    std::vector<double> sorted;
    for (const auto a : input(activity)) {
        if (std::isfinite(static_cast<double>(a))) sorted.push_back(static_cast<double>(a));
    }
    std::sort(sorted.begin(), sorted.end());
    std::vector<double> cuts;
    const std::size_t whole = sorted.size() / buckets, rest = sorted.size() % buckets;
    for (std::size_t k = 1; k < buckets && !sorted.empty(); ++k) {
        const double cut = sorted[k * whole + k * rest / buckets];
        // A cut at the least activity would leave the first bucket empty.
        if (cut > (cuts.empty() ? sorted.front() : cuts.back())) cuts.push_back(cut);
    }
    return score_bins::cuts(cuts);
}

/// Rows for an activity_table.
///
/// Shapes    activity [N] of the row's user; predictions, labels [N].
template <class A, class P, class Y>
struct active_rows {
    vector_view<const A> activity;
    vector_view<const P> predictions;
    vector_view<const Y> labels;

    constexpr std::size_t size() const noexcept { return predictions.size(); }
    constexpr active_rows slice(std::size_t first, std::size_t count) const noexcept {
        return {activity.slice(first, count), predictions.slice(first, count), labels.slice(first, count)};
    }
};

/// Builds a batch and checks its shapes.
///
/// Throws    std::invalid_argument when the columns differ in length.
template <vector_like A, vector_like P, vector_like Y>
auto make_active(const char* kernel, const A& activity, const P& predictions, const Y& labels) {
    active_rows<typename decltype(input(activity))::value_type, typename decltype(input(predictions))::value_type,
                typename decltype(input(labels))::value_type>
        rows{input(activity), input(predictions), input(labels)};
    expects(rows.labels.size() == rows.size(), kernel, rows.size(), " predictions but ", rows.labels.size(), " labels");
    expects(rows.activity.size() == rows.size(), kernel, rows.size(), " predictions but ", rows.activity.size(),
            " activities");
    return rows;
}

/// One bucket of an activity_table; NaN where it is empty.
struct activity_row {
    std::uint64_t rows = 0;
    double least = detail::not_a_number;  ///< activity seen in the bucket, from ...
    double most = detail::not_a_number;   ///< ... to
    double mean_prediction = detail::not_a_number;
    double mean_label = detail::not_a_number;
    double difference = detail::not_a_number;  ///< mean_prediction - mean_label
    /// Standard error of the difference as if rows were independent; NaN for fewer than two. Rows of one user are not:
    /// for honest bars give clustered_bootstrap a metric per bucket.
    double error = detail::not_a_number;
};

/// Predictions against labels by activity of the user: a mergeable state over buckets that are fixed up front.
///
/// Law       counts are exact; sums within roundings, exact for dyadic fractions. The identity is a table over the same
///           buckets.
/// Throws    std::invalid_argument from the constructor for several buckets of equal width, which split [0, 1] and not
///           activities, and from merge when the buckets differ. Counts and skips a row whose activity, prediction or
///           label is NaN, infinite or beyond 1e140 in size, where squares of 2^64 rows could overflow; predictions and
///           labels need not be probabilities.
/// Cost      a search among the cuts and three compensated sums a row; 72 bytes a bucket.
class activity_table {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("ACTV");
    static constexpr std::uint32_t bytes_version = 1;

    explicit activity_table(score_bins buckets) : buckets_(std::move(buckets)), cells_(buckets_.size()) {
        expects(legal(buckets_), "activity_table", "buckets must have cuts, got ", size(), " of equal width");
    }

    std::size_t size() const noexcept { return cells_.size(); }
    const score_bins& buckets() const noexcept { return buckets_; }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }

    template <class A, class P, class Y>
    void absorb(const active_rows<A, P, Y>& rows) noexcept {
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const auto a = static_cast<double>(rows.activity[i]), p = static_cast<double>(rows.predictions[i]);
            const auto y = static_cast<double>(rows.labels[i]);
            const bool ok = usable(a) && usable(p) && usable(y);
            seen_.absorb(ok);
            if (!ok) continue;
            cell& c = cells_[buckets_.equal_width() ? 0 : buckets_.index(a)];
            ++c.rows;
            c.activity.absorb(a);
            c.prediction.absorb(p);
            c.label.absorb(y);
            c.square.absorb((p - y) * (p - y));
        }
    }
    void merge(const activity_table& other) {
        expects(buckets_ == other.buckets_, "activity_table::merge", "other buckets: ", size(), " here, ", other.size(),
                " there");
        for (std::size_t b = 0; b < cells_.size(); ++b) {
            cell& c = cells_[b];
            c.rows += other.cells_[b].rows;
            c.activity.merge(other.cells_[b].activity);
            c.prediction.merge(other.cells_[b].prediction);
            c.label.merge(other.cells_[b].label);
            c.square.merge(other.cells_[b].square);
        }
        seen_.merge(other.seen_);
    }

    activity_row row(std::size_t b) const noexcept {
        const cell& c = cells_[b];
        activity_row out;
        out.rows = c.rows;
        if (c.rows == 0) return out;
        const auto n = static_cast<double>(c.rows);
        out.least = (c.activity.min)();
        out.most = (c.activity.max)();
        out.mean_prediction = c.prediction.value() / n;
        out.mean_label = c.label.value() / n;
        out.difference = (c.prediction.value() - c.label.value()) / n;
        if (c.rows > 1) {
            const double variance = (c.square.value() / n - out.difference * out.difference) / (n - 1.0);
            out.error = std::sqrt((std::max)(variance, 0.0));
        }
        return out;
    }
    /// Mean of |difference| over the rows: 0 when every bucket is right; NaN without rows.
    double finish() const noexcept {
        compensated_sum sum;
        std::uint64_t rows = 0;
        for (const cell& c : cells_) {
            rows += c.rows;
            sum.absorb(std::fabs(c.prediction.value() - c.label.value()));
        }
        return rows > 0 ? sum.value() / static_cast<double>(rows) : detail::not_a_number;
    }

    void write(byte_writer& out) const {
        buckets_.write(out);
        detail::put_counts(out, seen_);
        for (const cell& c : cells_) {
            out.put(c.rows);
            out.put((c.activity.min)());
            out.put((c.activity.max)());
            detail::put_sum(out, c.prediction);
            detail::put_sum(out, c.label);
            detail::put_sum(out, c.square);
        }
    }
    static activity_table read(byte_reader& in) {
        const score_bins buckets = score_bins::read(in);
        expects_bytes(legal(buckets), "activity_table", buckets.size(), " buckets of equal width");
        const counts seen = detail::get_counts(in);
        // Before anything is allocated.
        expects_bytes(in.left() == 72 * buckets.size(), "activity_table", "the payload does not hold its buckets");
        activity_table table(buckets);
        table.seen_ = seen;
        std::uint64_t left = seen.accepted;
        for (cell& c : table.cells_) {
            c.rows = in.get<std::uint64_t>();
            const double least = in.get<double>(), most = in.get<double>();
            expects_bytes(c.rows <= left, "activity_table", "more rows in buckets than were taken");
            left -= c.rows;
            expects_bytes(c.rows == 0 ? least > most : std::isfinite(least) && std::isfinite(most) && least <= most,
                          "activity_table", "a range of activities is out of order");
            if (c.rows > 0) {
                c.activity.absorb(least);
                c.activity.absorb(most);
            }
            c.prediction = detail::get_sum(in, "activity_table");
            c.label = detail::get_sum(in, "activity_table");
            c.square = detail::get_positive_sum(in, "activity_table");
        }
        expects_bytes(left == 0, "activity_table", "fewer rows in buckets than were taken");
        return table;
    }

  private:
    struct cell {
        std::uint64_t rows = 0;
        min_max activity;
        compensated_sum prediction, label, square;
    };

    // Without cuts there is one bucket.
    static bool legal(const score_bins& buckets) noexcept { return buckets.size() == 1 || !buckets.equal_width(); }
    // False for NaN.
    static bool usable(double x) noexcept { return std::fabs(x) <= 1e140; }

    score_bins buckets_;
    std::vector<cell> cells_;
    counts seen_;
};

struct activity_calibration_options {
    /// 1 to score_bins::max_size. Buckets of about as many users each.
    std::size_t buckets = 10;
};

/// Mean prediction less mean label in buckets of users from the least to the most active.
///
///   difference_b = mean of (predictions - labels) over the rows of the users in bucket b
///
/// Shapes    users [N] of any integer type but bool; predictions, labels [N] of any arithmetic types; activity [N], any
///           number that a user's rows share, or none: then it is the number of rows of the user in these data. N < 2^32.
/// Returns   activity_table; of shards only those over the same buckets merge: make them with activity_buckets() and
///           absorb rows with their activity.
/// Throws    std::invalid_argument when lengths differ or buckets are out of range. Counts and skips rows with a
///           prediction, label or activity that is NaN, infinite or beyond 1e140 in size; such rows still count as
///           activity.
/// Cost      a sort of the users, a gather and a fold. The rank of a user takes the activity on the first of its rows.
/// Numerics  compensated sums in double.
/// Source    PEARL (2026); buckets over users and bars are ours.
template <exec::policy Policy, vector_like U, vector_like P, vector_like Y, class A = none>
activity_table activity_calibration(const Policy& where, const U& users, const P& predictions, const Y& labels,
                                    const activity_calibration_options& options = {}, const A& activity = {}) {
    const auto p = input(predictions);
    expects(input(users).size() == p.size(), "activity_calibration", input(users).size(), " users but ", p.size(),
            " predictions");
    const auto groups = group_by(users);
    std::vector<double> of_row(p.size()), of_user(groups.size());
    if constexpr (std::is_same_v<A, none>) {
        for (std::size_t g = 0; g < groups.size(); ++g) {
            of_user[g] = static_cast<double>(groups.count(g));
            for (std::size_t k = 0; k < groups.count(g); ++k) of_row[groups.row(groups.first(g) + k)] = of_user[g];
        }
    } else {
        const auto given = input(activity);
        expects(given.size() == p.size(), "activity_calibration", p.size(), " predictions but ", given.size(),
                " activities");
        for (std::size_t i = 0; i < given.size(); ++i) of_row[i] = static_cast<double>(given[i]);
        for (std::size_t g = 0; g < groups.size(); ++g) of_user[g] = of_row[groups.row(groups.first(g))];
    }
    const activity_table empty(activity_buckets(of_user, options.buckets));
    const auto rows = make_active("activity_calibration", of_row, predictions, labels);
    return exec::fold_parts(where, empty, rows);
}

}  // namespace reckon
