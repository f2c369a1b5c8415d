// What users were shown and what came of it: value and diversity of lists, quality watch time, active hours. All are
// sums per user.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// Items that were shown.
///
/// Shapes    users, categories [N] of int32; values [N], what the item was worth to the user.
template <class T>
struct shown_items {
    vector_view<const std::int32_t> users, categories;
    vector_view<const T> values;

    constexpr std::size_t size() const noexcept { return users.size(); }
    constexpr shown_items slice(std::size_t first, std::size_t count) const noexcept {
        return {users.slice(first, count), categories.slice(first, count), values.slice(first, count)};
    }
};

/// Builds a batch and checks its shapes.
///
/// Throws    std::invalid_argument when the columns differ in length.
template <vector_like U, vector_like C, vector_like V>
auto make_shown(const char* kernel, const U& users, const C& categories, const V& values) {
    shown_items<typename decltype(input(values))::value_type> rows{input(users), input(categories), input(values)};
    expects(rows.categories.size() == rows.size(), kernel, rows.size(), " users but ", rows.categories.size(),
            " categories");
    expects(rows.values.size() == rows.size(), kernel, rows.size(), " users but ", rows.values.size(), " values");
    return rows;
}

/// Figures of one user's items, or means of them over users; NaN for nothing.
struct list_figures {
    double items = 0.0;       ///< shown
    double mean_value = 0.0;  ///< realised value of an item
    double bad_rate = 0.0;    ///< share of the items with a value below the threshold
    double coverage = 0.0;    ///< distinct categories; with tags for categories: displayed tags
    double entropy = 0.0;     ///< -sum p ln p over the categories' shares p, in nats
    double herfindahl = 0.0;  ///< sum p^2
    double top_share = 0.0;   ///< largest p
};

/// Value and diversity of what each user was shown: a mergeable state.
///
/// A row whose user or category has no place in the state, or whose value is not finite, is counted and skipped.
///
/// Law       counts are exact; sums of values within roundings, exact for integers and dyadic fractions. The identity is
///           a state with the same arguments.
/// Cost      two additions a row; 4 bytes per user and category and 24 per user. An item with several tags has one row
///           each.
class list_metrics {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("LIST");
    static constexpr std::uint32_t bytes_version = 1;
    /// Users times categories: 1 GiB.
    static constexpr std::size_t max_cells = std::size_t{1} << 28;

    /// bad_below     items with a smaller value are bad.
    /// Throws        std::invalid_argument for no user, no category, more than max_cells cells or a NaN threshold.
    list_metrics(std::size_t users, std::size_t categories, double bad_below = 0.0)
        : users_(users), categories_(categories), bad_below_(bad_below) {
        expects(legal(users, categories), "list_metrics", users, " users and ", categories,
                " categories: at least 1 each and 2^28 cells at most");
        expects(!std::isnan(bad_below), "list_metrics", "bad_below is NaN");
        values_.resize(users);
        bad_.resize(users);
        shown_.resize(users * categories);
    }

    std::size_t users() const noexcept { return users_; }
    std::size_t categories() const noexcept { return categories_; }
    double bad_below() const noexcept { return bad_below_; }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }

    template <class T>
    void absorb(const shown_items<T>& rows) noexcept {
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const auto user = static_cast<std::size_t>(rows.users[i]);
            const auto category = static_cast<std::size_t>(rows.categories[i]);
            const double value = static_cast<double>(rows.values[i]);
            // Negative ids became huge ones.
            const bool ok = user < users_ && category < categories_ && std::isfinite(value);
            seen_.absorb(ok);
            if (!ok) continue;
            values_[user].absorb(value);
            bad_[user] += value < bad_below_ ? 1u : 0u;
            ++shown_[user * categories_ + category];
        }
    }
    /// Throws    std::invalid_argument when the states were built with different arguments.
    void merge(const list_metrics& other) {
        expects(users_ == other.users_ && categories_ == other.categories_ && bad_below_ == other.bad_below_,
                "list_metrics::merge", users_, " users and ", categories_, " categories here, ", other.users_, " and ",
                other.categories_, " there, or another bad_below");
        for (std::size_t u = 0; u < users_; ++u) {
            values_[u].merge(other.values_[u]);
            bad_[u] += other.bad_[u];
        }
        for (std::size_t c = 0; c < shown_.size(); ++c) shown_[c] += other.shown_[c];
        seen_.merge(other.seen_);
    }

    /// Items of one user in one category.
    std::uint32_t shown(std::size_t user, std::size_t category) const noexcept {
        return shown_[user * categories_ + category];
    }
    /// One user.
    list_figures user(std::size_t u) const noexcept {
        const std::uint32_t* const cells = shown_.data() + u * categories_;
        double items = 0.0, largest = 0.0;
        list_figures out;
        for (std::size_t c = 0; c < categories_; ++c) {
            const double n = static_cast<double>(cells[c]);
            items += n;
            largest = (std::max)(largest, n);
            out.coverage += n > 0.0 ? 1.0 : 0.0;
        }
        for (std::size_t c = 0; c < categories_; ++c) {
            const double share = static_cast<double>(cells[c]) / items;
            if (!(share > 0.0)) continue;
            out.entropy -= share * std::log(share);
            out.herfindahl += share * share;
        }
        if (items == 0.0) {
            constexpr double nan = std::numeric_limits<double>::quiet_NaN();
            return {0.0, nan, nan, nan, nan, nan, nan};
        }
        out.items = items;
        out.mean_value = values_[u].value() / items;
        out.bad_rate = static_cast<double>(bad_[u]) / items;
        out.top_share = largest / items;
        return out;
    }
    /// Means over the users for whom pick(user) holds and who were shown something; every user counts the same.
    template <class Pick>
    list_figures finish(Pick&& pick) const {
        std::array<compensated_sum, 7> sums;
        double n = 0.0;
        for (std::size_t u = 0; u < users_; ++u) {
            if (!pick(u)) continue;
            const list_figures f = user(u);
            if (f.items == 0.0) continue;
            n += 1.0;
            const std::array<double, 7> all{f.items,   f.mean_value, f.bad_rate, f.coverage,
                                            f.entropy, f.herfindahl, f.top_share};
            for (std::size_t k = 0; k < 7; ++k) sums[k].absorb(all[k]);
        }
        const auto mean = [&](std::size_t k) {
            return n > 0.0 ? sums[k].value() / n : std::numeric_limits<double>::quiet_NaN();
        };
        return {mean(0), mean(1), mean(2), mean(3), mean(4), mean(5), mean(6)};
    }
    list_figures finish() const {
        return finish([](std::size_t) { return true; });
    }

    void write(byte_writer& out) const {
        out.put(static_cast<std::uint64_t>(users_));
        out.put(static_cast<std::uint64_t>(categories_));
        out.put(bad_below_);
        out.put(seen_.accepted);
        out.put(seen_.rejected);
        out.put_array(bad_);
        out.put_array(shown_);
        for (const compensated_sum& s : values_) {
            out.put(s.sum());
            out.put(s.error());
        }
    }
    static list_metrics read(byte_reader& in) {
        const auto users = in.get<std::uint64_t>(), categories = in.get<std::uint64_t>();
        expects_bytes(legal(users, categories), "list_metrics", users, " users and ", categories, " categories");
        const double bad_below = in.get<double>();
        expects_bytes(!std::isnan(bad_below), "list_metrics", "bad_below is NaN");
        counts seen;
        seen.accepted = in.get<std::uint64_t>();
        seen.rejected = in.get<std::uint64_t>();
        const auto n = static_cast<std::size_t>(users), k = static_cast<std::size_t>(categories);
        auto bad = in.get_array<std::uint32_t>(n);
        auto shown = in.get_array<std::uint32_t>(n * k);
        // Before the rest is allocated.
        expects_bytes(bad.size() == n && shown.size() == n * k && in.left() == 16 * n, "list_metrics",
                      "the payload does not hold the cells of its users");
        list_metrics state(without_room{}, n, k, bad_below);
        state.seen_ = seen;
        state.bad_ = std::move(bad);
        state.shown_ = std::move(shown);
        state.values_.resize(n);
        for (std::size_t u = 0; u < n; ++u) {
            const double sum = in.get<double>(), error = in.get<double>();
            expects_bytes(std::isfinite(sum) && std::isfinite(error), "list_metrics", "a sum of values is not finite");
            state.values_[u] = compensated_sum(sum, error);
            std::uint64_t items = 0;
            for (std::size_t c = 0; c < k; ++c) items += state.shown_[u * k + c];
            expects_bytes(state.bad_[u] <= items, "list_metrics", "more bad items than items");
        }
        return state;
    }

  private:
    // For read().
    struct without_room {};
    list_metrics(without_room, std::size_t users, std::size_t categories, double bad_below) noexcept
        : users_(users), categories_(categories), bad_below_(bad_below) {}
    static bool legal(std::uint64_t users, std::uint64_t categories) noexcept {
        return users >= 1 && categories >= 1 && users <= max_cells && categories <= max_cells / users;
    }

    std::size_t users_, categories_;
    double bad_below_;
    std::vector<compensated_sum> values_;
    std::vector<std::uint32_t> bad_;
    std::vector<std::uint32_t> shown_;  // per user its categories
    counts seen_;
};

/// Watches of items.
///
/// Shapes    users [N] of int32; hours [N] of int32, clock hours since the start of the week that is measured; seconds
///           [N], how long.
template <class T>
struct watched_items {
    vector_view<const std::int32_t> users, hours;
    vector_view<const T> seconds;

    constexpr std::size_t size() const noexcept { return users.size(); }
    constexpr watched_items slice(std::size_t first, std::size_t count) const noexcept {
        return {users.slice(first, count), hours.slice(first, count), seconds.slice(first, count)};
    }
};

/// Builds a batch and checks its shapes.
///
/// Throws    std::invalid_argument when the columns differ in length.
template <vector_like U, vector_like H, vector_like S>
auto make_watched(const char* kernel, const U& users, const H& hours, const S& seconds) {
    watched_items<typename decltype(input(seconds))::value_type> rows{input(users), input(hours), input(seconds)};
    expects(rows.hours.size() == rows.size(), kernel, rows.size(), " users but ", rows.hours.size(), " hours");
    expects(rows.seconds.size() == rows.size(), kernel, rows.size(), " users but ", rows.seconds.size(), " seconds");
    return rows;
}

/// Seconds from which on a watch counts as quality: max(floor, the user's own median), after a platform's liking.
///
/// Shapes    users [N] of int32 in 0 .. count - 1; seconds [N].
/// Returns   one threshold per user; `floor` for a user without a watch. The median of an even number of watches is the
///           lower one (NumPy: inverted_cdf).
/// Throws    std::invalid_argument when the columns differ in length. Rows with an unknown user or seconds that are
///           negative or not finite are left out.
/// Cost      a counting sort by user and a selection for each.
template <vector_like U, vector_like S>
std::vector<double> quality_thresholds(const U& users, const S& seconds, std::size_t count, double floor = 30.0) {
    const vector_view<const std::int32_t> user = input(users);
    const auto s = input(seconds);
    expects(user.size() == s.size(), "quality_thresholds", user.size(), " users but ", s.size(), " seconds");
    const auto legal = [&](std::size_t i) {
        const double x = static_cast<double>(s[i]);
        return static_cast<std::size_t>(user[i]) < count && x >= 0.0 && std::isfinite(x);
    };
    std::vector<std::size_t> ends(count + 1, 0);
    for (std::size_t i = 0; i < user.size(); ++i) {
        if (legal(i)) ++ends[static_cast<std::size_t>(user[i]) + 1];
    }
    for (std::size_t u = 0; u < count; ++u) ends[u + 1] += ends[u];
    std::vector<std::size_t> next(ends.begin(), ends.end() - 1);
    std::vector<double> sorted(ends[count]);
    for (std::size_t i = 0; i < user.size(); ++i) {
        if (legal(i)) sorted[next[static_cast<std::size_t>(user[i])]++] = static_cast<double>(s[i]);
    }
    std::vector<double> out(count, floor);
    for (std::size_t u = 0; u < count; ++u) {
        if (ends[u] == ends[u + 1]) continue;
        const auto first = sorted.begin() + static_cast<std::ptrdiff_t>(ends[u]);
        const auto last = sorted.begin() + static_cast<std::ptrdiff_t>(ends[u + 1]);
        const auto middle = first + (last - first - 1) / 2;
        std::nth_element(first, middle, last);
        out[u] = (std::max)(floor, *middle);
    }
    return out;
}

/// Quality watch ratio and active hours per user: a mergeable state.
///
///   VWR  = seconds of watches at or above the user's threshold / seconds of all watches
///   HLT7 = distinct clock hours of a week in which the user watched something
///
/// A row with an unknown user, an hour outside 0 .. 167, or seconds that are negative or not finite is counted and
/// skipped.
///
/// Law       hours are exact, seconds within roundings (compensated). The identity is a state with the same thresholds.
/// Cost      a comparison, two additions and a bit a row; 64 bytes a user.
/// Source    the two names are from Zou et al. 2026; the definitions, clock hours and what quality is, are ours.
class watch_metrics {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("WTCH");
    static constexpr std::uint32_t bytes_version = 1;
    static constexpr std::int32_t hours_a_week = 168;

    /// thresholds    seconds, one per user: see quality_thresholds().
    /// Throws        std::invalid_argument for a threshold that is negative or not finite.
    explicit watch_metrics(std::vector<double> thresholds) : thresholds_(std::move(thresholds)) {
        for (const double t : thresholds_) {
            expects(t >= 0.0 && std::isfinite(t), "watch_metrics", "a threshold of ", t, " seconds");
        }
        sums_.resize(thresholds_.size());
    }

    std::size_t users() const noexcept { return thresholds_.size(); }
    const std::vector<double>& thresholds() const noexcept { return thresholds_; }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }

    template <class T>
    void absorb(const watched_items<T>& rows) noexcept {
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const auto user = static_cast<std::size_t>(rows.users[i]);
            const std::int32_t hour = rows.hours[i];
            const double s = static_cast<double>(rows.seconds[i]);
            const bool ok = user < users() && hour >= 0 && hour < hours_a_week && s >= 0.0 && std::isfinite(s);
            seen_.absorb(ok);
            if (!ok) continue;
            user_sums& sum = sums_[user];
            sum.all.absorb(s);
            if (s >= thresholds_[user]) sum.quality.absorb(s);
            sum.hours[static_cast<std::size_t>(hour) / 64] |= std::uint64_t{1} << (hour % 64);
        }
    }
    /// Throws    std::invalid_argument when the thresholds differ.
    void merge(const watch_metrics& other) {
        expects(thresholds_ == other.thresholds_, "watch_metrics::merge", "the thresholds differ");
        for (std::size_t u = 0; u < users(); ++u) {
            sums_[u].all.merge(other.sums_[u].all);
            sums_[u].quality.merge(other.sums_[u].quality);
            for (std::size_t k = 0; k < 3; ++k) sums_[u].hours[k] |= other.sums_[u].hours[k];
        }
        seen_.merge(other.seen_);
    }

    double seconds(std::size_t user) const noexcept { return sums_[user].all.value(); }
    double quality_seconds(std::size_t user) const noexcept { return sums_[user].quality.value(); }
    /// VWR of one user; NaN without watch time.
    double quality_ratio(std::size_t user) const noexcept { return ratio(quality_seconds(user), seconds(user)); }
    /// HLT7 of one user.
    int active_hours(std::size_t user) const noexcept {
        int hours = 0;
        for (const std::uint64_t word : sums_[user].hours) hours += std::popcount(word);
        return hours;
    }
    /// VWR of all users' time together.
    double finish() const noexcept {
        compensated_sum quality, all;
        for (const user_sums& s : sums_) {
            quality.merge(s.quality);
            all.merge(s.all);
        }
        return ratio(quality.value(), all.value());
    }
    /// HLT7 as a mean over all users, those without a watch included; NaN without users.
    double mean_active_hours() const noexcept {
        double sum = 0.0;
        for (std::size_t u = 0; u < users(); ++u) sum += active_hours(u);
        return sum / static_cast<double>(users());
    }

    void write(byte_writer& out) const {
        out.put_array(thresholds_);
        out.put(seen_.accepted);
        out.put(seen_.rejected);
        for (const user_sums& s : sums_) {
            for (const double v : {s.all.sum(), s.all.error(), s.quality.sum(), s.quality.error()}) out.put(v);
            for (const std::uint64_t word : s.hours) out.put(word);
        }
    }
    static watch_metrics read(byte_reader& in) {
        auto thresholds = in.get_array<double>();
        for (const double t : thresholds) {
            expects_bytes(t >= 0.0 && std::isfinite(t), "watch_metrics", "a threshold of ", t, " seconds");
        }
        counts seen;
        seen.accepted = in.get<std::uint64_t>();
        seen.rejected = in.get<std::uint64_t>();
        expects_bytes(in.left() == 56 * thresholds.size(), "watch_metrics", "the payload does not hold its users");
        watch_metrics state(std::move(thresholds));
        state.seen_ = seen;
        for (user_sums& s : state.sums_) {
            for (compensated_sum* sum : {&s.all, &s.quality}) {
                const double value = in.get<double>(), error = in.get<double>();
                *sum = compensated_sum(value, error);
                expects_bytes(std::isfinite(value) && std::isfinite(error) && sum->value() >= 0.0, "watch_metrics",
                              "seconds are negative or not finite");
            }
            // Up to rounding of the two sums.
            expects_bytes(s.quality.value() <= s.all.value() * (1.0 + 1e-9), "watch_metrics",
                          "more quality seconds than seconds");
            for (std::uint64_t& word : s.hours) word = in.get<std::uint64_t>();
            expects_bytes(s.hours[2] >> (hours_a_week - 128) == 0, "watch_metrics", "an hour beyond the week");
        }
        return state;
    }

  private:
    struct user_sums {
        compensated_sum all, quality;
        std::array<std::uint64_t, 3> hours{};
    };
    static double ratio(double part, double whole) noexcept {
        return whole > 0.0 ? part / whole : std::numeric_limits<double>::quiet_NaN();
    }

    std::vector<double> thresholds_;
    std::vector<user_sums> sums_;
    counts seen_;
};

}  // namespace reckon
