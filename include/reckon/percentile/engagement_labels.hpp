// The usual labels for watch time and the like, beside which percentile labels have to stand: log1p, z-score per user,
// duration-deconfounded quantiles (D2Q) and watch-time gain. Each maps back, so that predictions can be compared in seconds.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/group_by.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/percentile/detail/pair_map.hpp"
#include "reckon/percentile/detail/sides.hpp"
#include "reckon/percentile/duration_buckets.hpp"
#include "reckon/percentile/grouped_ecdf.hpp"

namespace reckon {

/// labels = log(1 + feedback).
///
/// Shapes    feedback, labels [N]: float or double, both the same.
/// Writes    labels; may be the memory of the feedback.
/// Throws    std::invalid_argument when lengths differ. Propagates NaN; NaN below -1.
/// Cost      one logarithm a row, in lanes.
/// Numerics  at most 2.1 ULP in float.
template <exec::policy Policy, vector_like Y, class Out, class Isa = isa::native>
void log1p_labels(const Policy& where, const Y& feedback, Out&& labels) {
    const auto y = input(feedback);
    const auto out = view(labels);
    using T = typename decltype(y)::value_type;
    static_assert(std::is_same_v<T, typename decltype(out)::value_type>,
                  "reckon: feedback and labels of log1p_labels must have the same type");
    expects(out.size() == y.size(), "log1p_labels", y.size(), " rows of feedback but room for ", out.size(), " labels");
    exec::map_parts(where, y.size(), [&](std::size_t first, std::size_t count) {
        simd::transform<Isa>(y.data() + first, out.data() + first, count, T(0),
                             [](simd::pack<T, Isa> x) { return math::log1p(x); });
    });
}
/// The way back from log1p_labels(): values = e^labels - 1. A mean of labels comes back as a geometric mean, which is below
/// the mean of the values.
///
/// Shapes    labels, values [N]: float or double.
/// Throws    std::invalid_argument when lengths differ. Propagates NaN.
/// Cost      one std::expm1 a row.
template <exec::policy Policy, vector_like L, class Out, class Isa = isa::native>
void log1p_inverse(const Policy& where, const L& labels, Out&& values) {
    const auto l = input(labels);
    const auto out = view(values);
    using T = typename decltype(out)::value_type;
    expects(out.size() == l.size(), "log1p_inverse", l.size(), " labels but room for ", out.size(), " values");
    exec::map_parts(where, l.size(), [&](std::size_t first, std::size_t count) {
        for (std::size_t i = first; i < first + count; ++i) {
            out[i] = static_cast<T>(std::expm1(static_cast<double>(l[i])));
        }
    });
}

/// Mean and deviation of the feedback of each id: z-scores, and back.
///
///   z = (y - mean_g) / deviation_g          population deviation, divisor n
///
/// A group whose feedback is all the same has deviation 0 and label 0, and its inverse is the mean.
///
/// Merge     up to the rounding of means: ids of both, moments merged (Chan, Golub and LeVeque 1983).
/// Cost      32 bytes an id; a look-up is a binary search among the ids.
class group_zscores {
  public:
    group_zscores() = default;

    /// Shapes    ids [N]: unsigned integers, users most often, sparse ones are as good as dense ones; feedback [N]: float or
    ///           double; N < 2^32.
    /// Throws    std::invalid_argument when lengths differ. NaN and infinite feedback is counted and skipped.
    /// Cost      a radix sort of the ids on one thread unless they ascend, then one pass.
    /// Numerics  means and variances by updates in double that do not cancel, in the order of the rows: the same bits for
    ///           any number of threads.
    template <exec::policy Policy, vector_like Ids, vector_like Y, class Isa = isa::native>
    static group_zscores fit(const Policy& where, const Ids& ids, const Y& feedback) {
        const auto y = input(feedback);
        static_assert(std::unsigned_integral<typename decltype(input(ids))::value_type>,
                      "reckon: ids of group_zscores are unsigned");
        expects(input(ids).size() == y.size(), "group_zscores", y.size(), " rows of feedback but ", input(ids).size(),
                " ids");
        const auto groups = group_by(ids);
        std::vector<moments> made(groups.size());
        std::vector<counts> seen(groups.size());
        exec::map_parts(
            where, groups.size(),
            [&](std::size_t begin, std::size_t count) {
                for (std::size_t g = begin; g < begin + count; ++g) {
                    for (std::size_t k = 0; k < groups.count(g); ++k) {
                        const auto value = static_cast<double>(y[groups.row(groups.first(g) + k)]);
                        const bool ok = std::isfinite(value);
                        seen[g].absorb(ok);
                        if (ok) made[g].absorb(value);
                    }
                }
            },
            detail::groups_a_part(groups.size(), y.size(), exec::default_part_size));
        group_zscores fitted;
        for (std::size_t g = 0; g < groups.size(); ++g) {
            fitted.seen_.merge(seen[g]);
            if (made[g].weight() == 0.0) continue;
            fitted.ids_.push_back(static_cast<std::uint64_t>(groups.ids[g]));
            fitted.moments_.push_back(made[g]);
        }
        return fitted;
    }
    void merge(const group_zscores& other) {
        std::vector<std::uint64_t> ids;
        std::vector<moments> all;
        std::size_t a = 0, b = 0;
        while (a < ids_.size() || b < other.ids_.size()) {
            const bool mine = b == other.ids_.size() || (a < ids_.size() && ids_[a] <= other.ids_[b]);
            const bool both = mine && b < other.ids_.size() && ids_[a] == other.ids_[b];
            ids.push_back(mine ? ids_[a] : other.ids_[b]);
            all.push_back(mine ? moments_[a] : other.moments_[b]);
            if (both) all.back().merge(other.moments_[b]);
            a += mine ? 1 : 0;
            b += both || !mine ? 1 : 0;
        }
        ids_ = std::move(ids);
        moments_ = std::move(all);
        seen_.merge(other.seen_);
    }

    /// Number of ids with feedback.
    std::size_t size() const noexcept { return ids_.size(); }
    /// They ascend.
    const std::vector<std::uint64_t>& ids() const noexcept { return ids_; }
    double mean(std::size_t k) const noexcept { return moments_[k].mean(); }
    double deviation(std::size_t k) const noexcept { return std::sqrt(moments_[k].variance()); }
    double weight(std::size_t k) const noexcept { return moments_[k].weight(); }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }
    /// Place of an id, size() for one without feedback.
    std::size_t find(std::uint64_t id) const noexcept {
        const auto at = std::lower_bound(ids_.begin(), ids_.end(), id);
        return at != ids_.end() && *at == id ? static_cast<std::size_t>(at - ids_.begin()) : size();
    }
    /// z-score of a value; NaN for an id without feedback.
    double label(std::uint64_t id, double value) const noexcept {
        const std::size_t k = find(id);
        if (k == size()) return std::numeric_limits<double>::quiet_NaN();
        const double width = deviation(k), off = value - mean(k);
        return width > 0.0 ? off / width : off == off ? 0.0 : off;
    }
    /// mean + z deviation; NaN for an id without feedback.
    double value(std::uint64_t id, double label) const noexcept {
        const std::size_t k = find(id);
        if (k == size()) return std::numeric_limits<double>::quiet_NaN();
        const double width = deviation(k);
        return width > 0.0 ? mean(k) + label * width : label == label ? mean(k) : label;
    }

    /// labels[i] = label(ids[i], feedback[i]).
    ///
    /// Shapes    ids, feedback [N] as in fit(); labels [N] of float or double.
    /// Throws    std::invalid_argument when lengths differ. Propagates NaN.
    template <exec::policy Policy, vector_like Ids, vector_like Y, class Out>
    void apply(const Policy& where, const Ids& ids, const Y& feedback, Out&& labels) const {
        detail::map_pairs("group_zscores", where, ids, feedback, labels, [&](auto id, auto y) {
            return label(static_cast<std::uint64_t>(id), static_cast<double>(y));
        });
    }
    /// values[i] = value(ids[i], labels[i]).
    template <exec::policy Policy, vector_like Ids, vector_like L, class Out>
    void invert(const Policy& where, const Ids& ids, const L& labels, Out&& values) const {
        detail::map_pairs("group_zscores", where, ids, labels, values, [&](auto id, auto z) {
            return value(static_cast<std::uint64_t>(id), static_cast<double>(z));
        });
    }

  private:
    std::vector<std::uint64_t> ids_;
    std::vector<moments> moments_;
    counts seen_;
};

/// Duration-deconfounded quantiles: the percentile of the watch time among all views of about the same duration.
///
/// Fit       buckets of equal mass of the duration, and the distribution of the feedback in each.
/// Throws    std::invalid_argument when lengths differ, buckets is out of range or there are 2^32 rows or more. A row whose
///           feedback or duration is NaN is counted and skipped.
/// Merge     none: shards cut their buckets at different places.
/// Cost      a sort of the durations and of each bucket, 4 bytes a row kept; a label is a search among the cuts and two
///           in the bucket.
/// Source    Zhan et al. 2022 (D2Q); ties by mid-ranks, and 30 buckets, are ours.
class d2q {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("D2Q ");
    static constexpr std::uint32_t bytes_version = 1;

    d2q() = default;

    /// Shapes    durations [N] of any arithmetic type, feedback [N] of float; N < 2^32.
    template <exec::policy Policy, vector_like D, vector_like Y, class Isa = isa::native>
    static d2q fit(const Policy& where, const D& durations, const Y& feedback, std::size_t buckets = 30) {
        const auto d = input(durations);
        const auto y = input(feedback);
        static_assert(std::is_same_v<typename decltype(y)::value_type, float>, "reckon: feedback of d2q is float");
        expects(d.size() == y.size(), "d2q", y.size(), " rows of feedback but ", d.size(), " durations");
        expects(y.size() < (std::uint64_t{1} << 32), "d2q", y.size(), " rows, fewer than 2^32 are possible");
        d2q made;
        made.buckets_ = duration_buckets::fit(d, buckets);
        const auto bucket = detail::bucket_rows(where, made.buckets_, d);
        // Every bucket has its place, also one without rows; rows without a duration have none.
        const std::size_t count = made.buckets_.size();
        std::vector<std::uint32_t> offsets(count + 1, 0);
        for (const std::uint32_t b : bucket) {
            if (b < count) ++offsets[b + 1];
        }
        for (std::size_t b = 0; b < count; ++b) offsets[b + 1] += offsets[b];
        std::vector<std::uint32_t> place(offsets.begin(), offsets.end() - 1);
        std::vector<float> values(offsets[count]);
        for (std::size_t i = 0; i < bucket.size(); ++i) {
            if (bucket[i] < count) values[place[bucket[i]]++] = y[i];
        }
        made.ecdf_ = grouped_ecdf::fit(where, values, offsets);
        made.seen_ = made.ecdf_.seen();
        made.seen_.rejected += y.size() - values.size();
        return made;
    }
    const duration_buckets& buckets() const noexcept { return buckets_; }
    const grouped_ecdf& ecdf() const noexcept { return ecdf_; }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }

    double label(double duration, float feedback) const noexcept {
        return ecdf_.percentile(buckets_.index(duration), feedback);
    }
    /// Watch time at a percentile, which a model predicted say.
    double value(double duration, double label) const noexcept {
        return ecdf_.quantile(buckets_.index(duration), label);
    }

    /// labels[i] = label(durations[i], feedback[i]): for the rows of the fit their mid-ranks.
    ///
    /// Shapes    durations [N], feedback [N] of float, labels [N] of float or double.
    /// Throws    std::invalid_argument when lengths differ. Propagates NaN of either column.
    template <exec::policy Policy, vector_like D, vector_like Y, class Out>
    void apply(const Policy& where, const D& durations, const Y& feedback, Out&& labels) const {
        detail::map_pairs("d2q", where, durations, feedback, labels,
                          [&](auto d, float y) { return label(static_cast<double>(d), y); });
    }
    /// values[i] = value(durations[i], labels[i]).
    template <exec::policy Policy, vector_like D, vector_like L, class Out>
    void invert(const Policy& where, const D& durations, const L& labels, Out&& values) const {
        detail::map_pairs("d2q", where, durations, labels, values,
                          [&](auto d, auto q) { return value(static_cast<double>(d), static_cast<double>(q)); });
    }

    void write(byte_writer& out) const {
        out.put(seen_.accepted);
        out.put(seen_.rejected);
        buckets_.write(out);
        ecdf_.write(out);
    }
    static d2q read(byte_reader& in) {
        d2q made;
        made.seen_ = {in.get<std::uint64_t>(), in.get<std::uint64_t>()};
        made.buckets_ = duration_buckets::read(in);
        made.ecdf_ = grouped_ecdf::read(in);
        expects_bytes(made.ecdf_.groups() == 0 || made.ecdf_.groups() == made.buckets_.size(), "d2q",
                      made.ecdf_.groups(), " distributions for ", made.buckets_.size(), " buckets");
        expects_bytes(made.seen_.accepted == made.ecdf_.seen().accepted, "d2q", "counts differ");
        return made;
    }

  private:
    duration_buckets buckets_;
    grouped_ecdf ecdf_;
    counts seen_;
};

/// Watch-time gain: the z-score of the watch time among all views of about the same duration.
///
/// Fit       buckets of equal mass of the duration, and mean and deviation of the feedback in each.
/// Throws    std::invalid_argument when lengths differ, buckets is out of range or there are 2^32 rows or more. A row whose
///           feedback is NaN or infinite or whose duration is NaN is counted and skipped.
/// Merge     none, as d2q.
/// Source    Zheng et al. 2022 (watch-time gain); buckets of equal mass, and 30 of them, are ours.
class watch_time_gain {
  public:
    watch_time_gain() = default;

    /// Shapes    durations [N] of any arithmetic type, feedback [N]: float or double; N < 2^32.
    template <exec::policy Policy, vector_like D, vector_like Y, class Isa = isa::native>
    static watch_time_gain fit(const Policy& where, const D& durations, const Y& feedback, std::size_t buckets = 30) {
        const auto d = input(durations);
        const auto y = input(feedback);
        expects(d.size() == y.size(), "watch_time_gain", y.size(), " rows of feedback but ", d.size(), " durations");
        expects(y.size() < (std::uint64_t{1} << 32), "watch_time_gain", y.size(),
                " rows, fewer than 2^32 are possible");
        watch_time_gain made;
        made.buckets_ = duration_buckets::fit(d, buckets);
        // Rows without a duration are counted as rejected by a NaN.
        using T = typename decltype(y)::value_type;
        const auto bucket = detail::bucket_rows(where, made.buckets_, d);
        std::vector<T> values(y.begin(), y.end());
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (bucket[i] == duration_buckets::no_bucket) values[i] = std::numeric_limits<T>::quiet_NaN();
        }
        made.zscores_ = group_zscores::fit(where, bucket, values);
        return made;
    }
    const duration_buckets& buckets() const noexcept { return buckets_; }
    /// Of bucket b under the id b.
    const group_zscores& zscores() const noexcept { return zscores_; }
    counts seen() const noexcept { return zscores_.seen(); }
    std::uint64_t rejected() const noexcept { return zscores_.rejected(); }

    double label(double duration, double feedback) const noexcept {
        return zscores_.label(buckets_.index(duration), feedback);
    }
    double value(double duration, double label) const noexcept {
        return zscores_.value(buckets_.index(duration), label);
    }
    /// labels[i] = label(durations[i], feedback[i]); 0 in a bucket whose feedback is all the same.
    ///
    /// Shapes    durations, feedback, labels [N].
    /// Throws    std::invalid_argument when lengths differ. Propagates NaN of either column.
    template <exec::policy Policy, vector_like D, vector_like Y, class Out>
    void apply(const Policy& where, const D& durations, const Y& feedback, Out&& labels) const {
        detail::map_pairs("watch_time_gain", where, durations, feedback, labels,
                          [&](auto d, auto y) { return label(static_cast<double>(d), static_cast<double>(y)); });
    }
    /// values[i] = value(durations[i], labels[i]).
    template <exec::policy Policy, vector_like D, vector_like L, class Out>
    void invert(const Policy& where, const D& durations, const L& labels, Out&& values) const {
        detail::map_pairs("watch_time_gain", where, durations, labels, values,
                          [&](auto d, auto z) { return value(static_cast<double>(d), static_cast<double>(z)); });
    }

  private:
    duration_buckets buckets_;
    group_zscores zscores_;
};

}  // namespace reckon
