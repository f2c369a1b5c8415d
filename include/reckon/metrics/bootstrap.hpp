// Intervals for metrics that are sums over users: bootstrap over whole users, with weights that any shard can draw for
// itself.
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
#include "reckon/metrics/detail/bootstrap.simd.hpp"
#include "reckon/metrics/detail/examples.hpp"

namespace reckon {

struct bootstrap_options {
    /// 50 to 2^20. More than 1000 change the second digit of an interval's width at most.
    std::size_t replicates = 1000;
    /// Shards that merge and models that are compared share it.
    std::uint64_t seed = 0;
    /// Power of two in [2^-500, 2^500]. Numerators and denominators of a cluster are rounded to multiples of it, and
    /// refused beyond 2^62 of it: by default 9.3e-10 and 4.3e9.
    double unit = 0x1p-30;
};

/// How an interval is read off the replicates.
enum class interval_form : std::uint8_t {
    percentile,  ///< quantiles of the replicates
    basic,       ///< those mirrored at the value: 2 value - upper quantile, 2 value - lower quantile
};

struct bootstrap_interval_options {
    /// In (0, 1). Share of repetitions whose interval should cover the truth.
    double level = 0.95;
    interval_form form = interval_form::percentile;
};

/// A metric, or a difference of two, with its sampling error.
struct bootstrap_estimate {
    double value = detail::not_a_number;  ///< of the data themselves, every weight 1
    double error =
        detail::not_a_number;  ///< standard error: deviation of the replicates, divisor one less than their number
    double lower = detail::not_a_number;
    double upper = detail::not_a_number;
    std::size_t replicates = 0;  ///< those that have a value; the others drew no cluster with one
};

/// Weight of a cluster in a replicate: Poisson with mean 1, a pure function of the three numbers.
///
///   P(weight = k) = e^-1 / k! to 2^-32, at most 12
///
/// Returns   how many of round(2^32 P(X <= k)), k = 0 .. 11, are at most 32 bits of a Philox block: word (r mod 64) / 16
///           of the block with counter {cluster mod 2^32, 16 (r / 64) + r mod 16, cluster / 2^32, 0x746f6f62} and key
///           seed. replicate r < 2^20.
/// Cost      ten rounds; clustered_bootstrap draws 64 replicates together.
RECKON_INLINE std::uint32_t bootstrap_weight(std::uint64_t seed, std::uint64_t cluster,
                                             std::uint64_t replicate) noexcept {
    return detail::poisson_weight(seed, cluster, replicate);
}

namespace detail {

// A vector is a matrix of one column.
template <class T>
constexpr matrix_view<T> as_columns(matrix_view<T> m) noexcept {
    return m;
}
template <class T>
constexpr matrix_view<T> as_columns(vector_view<T> v) noexcept {
    return matrix_view<T>(v.data(), v.size(), 1);
}

// x / unit as low + 2^32 high with two integers, both small enough that 4096 of them times a weight add up exactly in
// double. False for NaN and beyond 2^62 units.
struct bootstrap_units {
    double low = 0.0, high = 0.0;

    bool set(double x, double units_of_one) noexcept {
        const double q = std::nearbyint(x * units_of_one);
        if (!(std::fabs(q) <= 0x1p62)) return false;
        high = std::fabs(q) < 0x1p36 ? 0.0 : std::floor(q * 0x1p-32);
        low = q - high * 0x1p32;
        return true;
    }
    bool positive() const noexcept { return high > 0.0 || (high == 0.0 && low > 0.0); }
};

// Sums of units, column after column: low_[i] + 2^32 high_[i].
class bootstrap_sums {
  public:
    bootstrap_sums() = default;
    explicit bootstrap_sums(std::size_t size) : low_(size), high_(size) {}

    std::size_t size() const noexcept { return low_.size(); }
    void add(std::size_t i, double low, double high) noexcept {
        add(i, static_cast<std::int64_t>(low), static_cast<std::int64_t>(high));
    }
    void add(std::size_t i, const bootstrap_sums& other, std::size_t j) noexcept {
        add(i, static_cast<std::int64_t>(other.low_[j]), other.high_[j]);
    }
    double value(std::size_t i) const noexcept {
        return static_cast<double>(high_[i]) * 0x1p32 + static_cast<double>(low_[i]);
    }
    bool zero(std::size_t i) const noexcept { return low_[i] == 0 && high_[i] == 0; }
    void write(byte_writer& out, std::size_t i) const {
        out.put(low_[i]);
        out.put(high_[i]);
    }
    void read(byte_reader& in, std::size_t i, bool negative) {
        low_[i] = in.get<std::uint32_t>();
        high_[i] = in.get<std::int64_t>();
        constexpr std::int64_t most = std::int64_t{1} << 62;
        expects_bytes(high_[i] >= (negative ? -most : 0) && high_[i] <= most, "clustered_bootstrap",
                      "a sum is out of range");
    }

  private:
    // Unsigned, because sums that came out of hostile bytes may wrap.
    void add(std::size_t i, std::int64_t low, std::int64_t high) noexcept {
        const std::int64_t sum = static_cast<std::int64_t>(low_[i]) + low;
        low_[i] = static_cast<std::uint32_t>(sum);
        high_[i] = static_cast<std::int64_t>(static_cast<std::uint64_t>(high_[i]) + static_cast<std::uint64_t>(high) +
                                             static_cast<std::uint64_t>(sum >> 32));
    }

    std::vector<std::uint32_t> low_;
    std::vector<std::int64_t> high_;
};

// Linear between order statistics, place p (n - 1) from 0.
inline double sorted_quantile(const std::vector<double>& sorted, double p) noexcept {
    const double place = p * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    if (below + 1 >= sorted.size()) return sorted.back();
    return sorted[below] + (place - static_cast<double>(below)) * (sorted[below + 1] - sorted[below]);
}

inline bootstrap_estimate estimate_of(double value, std::vector<double> replicates,
                                      const bootstrap_interval_options& options) {
    bootstrap_estimate result;
    result.value = value;
    result.replicates = replicates.size();
    if (replicates.size() < 2) return result;
    moments spread;
    for (const double x : replicates) spread.absorb(x);
    result.error = std::sqrt(spread.sample_variance());
    std::sort(replicates.begin(), replicates.end());
    const double tail = 0.5 * (1.0 - options.level);
    const double low = sorted_quantile(replicates, tail), high = sorted_quantile(replicates, 1.0 - tail);
    const bool mirrored = options.form == interval_form::basic;
    result.lower = mirrored ? 2.0 * value - high : low;
    result.upper = mirrored ? 2.0 * value - low : high;
    return result;
}

}  // namespace detail

/// Bootstrap of M ratios of sums over clusters (users), all in one pass: a mergeable state.
///
///   metric_m = sum_s numerator_{s,m} / sum_s denominator_{s,m}
///   replicate r: every row s counts bootstrap_weight(seed, cluster of s, r) times
///
/// All rows of a cluster share its weights, however many there are and wherever they are absorbed, so nothing needs to
/// be gathered by user, and shards, metrics and models that see the same users are resampled alike: differences are
/// paired.
///
/// Law       exact: sums are integers, so any split, order and number of threads gives the same bits on every platform.
///           The identity is a state with the same arguments.
/// Throws    std::invalid_argument for options out of range or metrics times replicates beyond 2^26.
/// Cost      a Philox word, 6 comparisons and 2 M additions per row and replicate; 24 M bytes a replicate.
/// Numerics  rounding to units moves a numerator or denominator by half a unit a row at most; integers and short dyadic
///           fractions are exact. Totals hold 2^95 units.
/// Source    Efron 1979; Poisson weights after Hanley and MacGibbon 2006 and Chamandy et al. 2012; the counter is ours.
class clustered_bootstrap {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("BOOT");
    static constexpr std::uint32_t bytes_version = 1;

    explicit clustered_bootstrap(std::size_t metrics = 1, const bootstrap_options& options = {})
        : metrics_(metrics), options_(options) {
        expects(legal_size(metrics, options.replicates), "clustered_bootstrap", metrics, " metrics and ",
                options.replicates, " replicates: at least 1 and 50, at most 2^20 replicates and 2^26 in all");
        expects(legal_unit(options.unit), "clustered_bootstrap", "unit must be a power of two in [2^-500, 2^500], got ",
                options.unit);
        make_room();
    }

    std::size_t metrics() const noexcept { return metrics_; }
    std::size_t replicates() const noexcept { return options_.replicates; }
    std::uint64_t seed() const noexcept { return options_.seed; }
    double unit() const noexcept { return options_.unit; }
    /// Rows that count for a metric, and rows that do not.
    counts seen(std::size_t metric) const noexcept { return seen_[metric]; }
    std::uint64_t rejected(std::size_t metric) const noexcept { return seen_[metric].rejected; }

    /// Absorbs rows: users, or any pieces of users, such as lists.
    ///
    /// Shapes    clusters [S] of any integer type but bool; numerators, denominators [S, M], float or double; vectors
    ///           [S] do for one metric. Without denominators each is 1, and the metric is a mean.
    /// Throws    std::invalid_argument when shapes differ. Per metric counts and skips a row whose numerator or
    ///           denominator is NaN, infinite or beyond 2^62 units, or whose denominator is not positive after rounding
    ///           to units: what a metric per list writes where it has no value may be passed on as it is.
    /// Cost      see above; tiles of 64 replicates are shared among threads. Scratch for 4096 rows.
    template <exec::policy Policy, vector_like Clusters, class N, class D = none, class Isa = isa::native>
    void absorb(const Policy& where, const Clusters& clusters, const N& numerators, const D& denominators = {}) {
        const auto ids = input(clusters);
        using Id = typename decltype(ids)::value_type;
        static_assert(std::is_integral_v<Id> && !std::is_same_v<Id, bool>,
                      "reckon: clusters of clustered_bootstrap must be integers");
        const auto over = detail::as_columns(input(numerators));
        [[maybe_unused]] const auto under = detail::as_columns(input(denominators));
        constexpr bool has_under = !std::is_same_v<D, none>;
        expects(over.rows() == ids.size(), "clustered_bootstrap", ids.size(), " clusters but ", over.rows(),
                " rows of numerators");
        expects(over.cols() == metrics_, "clustered_bootstrap", metrics_, " metrics but ", over.cols(),
                " columns of numerators");
        if constexpr (has_under) {
            expects(under.rows() == over.rows() && under.cols() == over.cols(), "clustered_bootstrap",
                    "numerators are ", over.rows(), " x ", over.cols(), ", denominators ", under.rows(), " x ",
                    under.cols());
        }
        const double units_of_one = 1.0 / options_.unit;
        rows part(2 * metrics_, (std::min)(ids.size(), part_rows));
        for (std::size_t first = 0; first < ids.size(); first += part_rows) {
            const std::size_t end = ids.size() - first < part_rows ? ids.size() : first + part_rows;
            part.kept = 0;
            part.has_high = false;
            for (std::size_t s = first; s < end; ++s) {
                detail::bootstrap_units* const row = part.row(part.kept);
                bool counts_somewhere = false;
                for (std::size_t m = 0; m < metrics_; ++m) {
                    double d = 1.0;
                    if constexpr (has_under) d = static_cast<double>(under(s, m));
                    detail::bootstrap_units a, b;
                    const bool ok =
                        a.set(static_cast<double>(over(s, m)), units_of_one) && b.set(d, units_of_one) && b.positive();
                    seen_[m].absorb(ok);
                    row[2 * m] = ok ? a : detail::bootstrap_units{};
                    row[2 * m + 1] = ok ? b : detail::bootstrap_units{};
                    counts_somewhere = counts_somewhere || ok;
                    part.has_high = part.has_high || (ok && (a.high != 0.0 || b.high != 0.0));
                }
                if (!counts_somewhere) continue;
                part.ids[part.kept++] = static_cast<std::uint64_t>(ids[s]);
                for (std::size_t c = 0; c < 2 * metrics_; ++c) totals_.add(c, row[c].low, row[c].high);
            }
            part.fill_up();
            exec::for_each_index(where, tiles(), [&](std::size_t t) { absorb_tile<Isa>(part, t); });
        }
    }

    /// Throws    std::invalid_argument when metrics, replicates, seed or unit differ.
    void merge(const clustered_bootstrap& other) {
        expects(other.metrics_ == metrics_, "clustered_bootstrap::merge", metrics_, " metrics here, ", other.metrics_,
                " there");
        expects(other.replicates() == replicates(), "clustered_bootstrap::merge", replicates(), " replicates here, ",
                other.replicates(), " there");
        expects(other.seed() == seed(), "clustered_bootstrap::merge", "seed ", seed(), " here, ", other.seed(),
                " there");
        expects(other.unit() == unit(), "clustered_bootstrap::merge", "unit ", unit(), " here, ", other.unit(),
                " there");
        for (std::size_t c = 0; c < totals_.size(); ++c) totals_.add(c, other.totals_, c);
        for (std::size_t c = 0; c < sums_.size(); ++c) sums_.add(c, other.sums_, c);
        for (std::size_t m = 0; m < metrics_; ++m) seen_[m].merge(other.seen_[m]);
    }

    /// The metric of the data themselves; NaN where no row counts.
    double value(std::size_t metric) const noexcept {
        if (totals_.zero(2 * metric + 1)) return detail::not_a_number;
        return totals_.value(2 * metric) / totals_.value(2 * metric + 1);
    }
    /// The metric in one replicate; NaN where it drew no row that counts.
    double replicate(std::size_t metric, std::size_t r) const noexcept {
        const std::size_t over = 2 * metric * padded() + r, under = over + padded();
        return sums_.zero(under) ? detail::not_a_number : sums_.value(over) / sums_.value(under);
    }
    /// Throws    std::invalid_argument for a metric that is not there or a level outside (0, 1).
    bootstrap_estimate finish(std::size_t metric = 0, const bootstrap_interval_options& options = {}) const {
        expects(metric < metrics_, "clustered_bootstrap::finish", "metric ", metric, " of ", metrics_);
        check_level(options);
        std::vector<double> values;
        for (std::size_t r = 0; r < replicates(); ++r) keep(values, replicate(metric, r));
        return detail::estimate_of(value(metric), std::move(values), options);
    }
    /// Metric i less metric j, both from the same draws of users.
    ///
    /// Throws    as finish().
    bootstrap_estimate difference(std::size_t i, std::size_t j, const bootstrap_interval_options& options = {}) const {
        return difference(i, *this, j, options);
    }
    /// Metric i here less metric j of another state: two models on the same users.
    ///
    /// Throws    as finish(), and when replicates or seed differ.
    bootstrap_estimate difference(std::size_t i, const clustered_bootstrap& other, std::size_t j,
                                  const bootstrap_interval_options& options = {}) const {
        expects(i < metrics_, "clustered_bootstrap::difference", "metric ", i, " of ", metrics_);
        expects(j < other.metrics_, "clustered_bootstrap::difference", "metric ", j, " of ", other.metrics_);
        expects(other.replicates() == replicates() && other.seed() == seed(), "clustered_bootstrap::difference",
                "replicates and seed are ", replicates(), " and ", seed(), " here, ", other.replicates(), " and ",
                other.seed(), " there");
        check_level(options);
        std::vector<double> values;
        for (std::size_t r = 0; r < replicates(); ++r) keep(values, replicate(i, r) - other.replicate(j, r));
        return detail::estimate_of(value(i) - other.value(j), std::move(values), options);
    }

    void write(byte_writer& out) const {
        out.put(static_cast<std::uint64_t>(metrics_));
        out.put(static_cast<std::uint64_t>(replicates()));
        out.put(seed());
        out.put(unit());
        for (const counts& c : seen_) detail::put_counts(out, c);
        for (std::size_t c = 0; c < totals_.size(); ++c) totals_.write(out, c);
        for (std::size_t c = 0; c < 2 * metrics_; ++c) {
            for (std::size_t r = 0; r < replicates(); ++r) sums_.write(out, c * padded() + r);
        }
    }
    static clustered_bootstrap read(byte_reader& in) {
        const auto metrics = in.get<std::uint64_t>(), replicates = in.get<std::uint64_t>();
        const auto seed = in.get<std::uint64_t>();
        const double unit = in.get<double>();
        expects_bytes(legal_size(metrics, replicates), "clustered_bootstrap", metrics, " metrics and ", replicates,
                      " replicates");
        expects_bytes(legal_unit(unit), "clustered_bootstrap", "unit ", unit, " is not a power of two in range");
        // Before anything is allocated.
        expects_bytes(in.left() == metrics * (16 + 24 * (1 + replicates)), "clustered_bootstrap",
                      "the payload does not hold the sums of its replicates");
        clustered_bootstrap state(static_cast<std::size_t>(metrics),
                                  {static_cast<std::size_t>(replicates), seed, unit});
        for (counts& c : state.seen_) c = detail::get_counts(in);
        for (std::size_t c = 0; c < state.totals_.size(); ++c) state.totals_.read(in, c, c % 2 == 0);
        for (std::size_t c = 0; c < 2 * state.metrics_; ++c) {
            for (std::size_t r = 0; r < state.replicates(); ++r) {
                state.sums_.read(in, c * state.padded() + r, c % 2 == 0);
            }
        }
        return state;
    }

  private:
    // Sums of so many rows stay exact in double.
    static constexpr std::size_t part_rows = 4096;

    struct rows {
        std::size_t columns, kept = 0;
        bool has_high = false;
        std::vector<std::uint64_t> ids;
        std::vector<detail::bootstrap_units> units;

        rows(std::size_t width, std::size_t size)
            : columns(width), ids(size + detail::bootstrap_group), units(ids.size() * width) {}
        // Rows of zeros up to a whole group.
        void fill_up() noexcept {
            std::fill(row(kept), row(kept) + (detail::bootstrap_group - 1) * columns, detail::bootstrap_units{});
        }
        detail::bootstrap_units* row(std::size_t s) noexcept { return units.data() + s * columns; }
    };

    static bool legal_size(std::uint64_t metrics, std::uint64_t replicates) noexcept {
        return metrics >= 1 && replicates >= 50 && replicates <= (std::uint64_t{1} << 20) &&
               metrics <= (std::uint64_t{1} << 26) / replicates;
    }
    static bool legal_unit(double unit) noexcept {
        int exponent = 0;
        return unit >= 0x1p-500 && unit <= 0x1p500 && std::frexp(unit, &exponent) == 0.5;
    }
    static void check_level(const bootstrap_interval_options& options) {
        expects(options.level > 0.0 && options.level < 1.0, "clustered_bootstrap", "level must be in (0, 1), got ",
                options.level);
    }
    static void keep(std::vector<double>& values, double x) {
        if (x == x) values.push_back(x);
    }
    std::size_t tiles() const noexcept { return (replicates() + detail::bootstrap_tile - 1) / detail::bootstrap_tile; }
    std::size_t padded() const noexcept { return tiles() * detail::bootstrap_tile; }
    void make_room() {
        seen_.resize(metrics_);
        totals_ = detail::bootstrap_sums(2 * metrics_);
        sums_ = detail::bootstrap_sums(2 * metrics_ * padded());
    }

    // Each tile has replicates of its own, so threads share nothing.
    template <class Isa>
    void absorb_tile(rows& part, std::size_t tile) {
        constexpr std::size_t n = detail::bootstrap_tile, group = detail::bootstrap_group;
        const std::size_t columns = part.columns;
        std::vector<double> low(columns * n), high(part.has_high ? columns * n : 0);
        const detail::poisson_tiles<Isa> tiles(seed());
        for (std::size_t s = 0; s < part.kept; s += group) {
            double weights[group][n], x[group];
            for (std::size_t k = 0; k < group; ++k) {
                tiles.draw(part.ids[s + k], static_cast<std::uint32_t>(tile), weights[k]);
            }
            const detail::bootstrap_units* const first = part.row(s);
            for (std::size_t c = 0; c < columns; ++c) {
                for (std::size_t k = 0; k < group; ++k) x[k] = first[k * columns + c].low;
                detail::add_weighted<Isa>(weights, x, low.data() + c * n);
                if (!part.has_high) continue;
                for (std::size_t k = 0; k < group; ++k) x[k] = first[k * columns + c].high;
                detail::add_weighted<Isa>(weights, x, high.data() + c * n);
            }
        }
        for (std::size_t c = 0; c < columns; ++c) {
            for (std::size_t i = 0; i < n; ++i) {
                sums_.add(c * padded() + tile * n + i, low[c * n + i], part.has_high ? high[c * n + i] : 0.0);
            }
        }
    }

    std::size_t metrics_;
    bootstrap_options options_;
    std::vector<counts> seen_;
    detail::bootstrap_sums totals_;  // per metric numerator and denominator
    detail::bootstrap_sums sums_;    // the same, each with padded() replicates
};

}  // namespace reckon
