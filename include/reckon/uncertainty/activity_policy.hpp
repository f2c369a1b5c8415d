// What a recommender does about uncertainty, by how active the user is: lower uncertain candidates for those who come
// rarely, raise them for those who come daily.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/segments.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/uncertainty/detail/activity_policy.simd.hpp"

namespace reckon {

struct activity_cuts {
    /// Active days from which on a user is no longer low-active, and from which on highly active.
    std::uint32_t mid = 5;
    std::uint32_t high = 20;
    /// Days by which a cut must be passed before a user changes the group.
    std::uint32_t hysteresis = 2;
};

/// Group of a new user: 0 low, 1 middle, 2 high, from the number of active days in the last 30.
///
/// Source    groups by active days after Zou et al. 2026; the cuts are ours.
constexpr std::uint8_t activity_group(std::uint32_t active_days, const activity_cuts& cuts = {}) noexcept {
    return active_days < cuts.mid ? 0 : active_days < cuts.high ? 1 : 2;
}
/// Group of a user who was in group `previous`: each cut lies `hysteresis` days further away on the other side.
constexpr std::uint8_t activity_group(std::uint32_t active_days, std::uint8_t previous,
                                      const activity_cuts& cuts = {}) noexcept {
    const auto moved = [&](std::uint32_t cut, bool from_below) {
        return from_below ? cut + cuts.hysteresis : cut > cuts.hysteresis ? cut - cuts.hysteresis : 0;
    };
    const std::uint32_t mid = moved(cuts.mid, previous < 1), high = moved(cuts.high, previous < 2);
    return active_days < mid ? 0 : active_days < high ? 1 : 2;
}

/// What happens to the scores of a group; U is the uncertainty, E its epistemic part as a variance.
enum class policy_form : std::uint8_t {
    keep,         ///< s
    scale,        ///< s (1 - strength)                  where U > threshold; scores >= 0, strength <= 1
    shift,        ///< s - strength * deviation          where U > threshold
    lower_bound,  ///< s - strength * sqrt(E)            everywhere: lower confidence bound
    filter,       ///< -inf                              where U > threshold, unless fewer than min_kept remain
    upper_bound,  ///< s + strength * sqrt(E)            where U > threshold
    rank_bonus    ///< s + strength * deviation * U      everywhere, U a rank in [0, 1]
};

/// The policy of one activity group. Default: scores stay.
struct group_policy {
    policy_form form = policy_form::keep;
    /// >= 0, finite. 0 turns the policy off (filter: any other number turns it on).
    double strength = 0.0;
    /// From group_threshold() on held-out rows; infinity turns forms with a threshold off.
    double threshold = std::numeric_limits<double>::infinity();
    /// Standard deviation of the group's scores, see group_deviations().
    double deviation = 1.0;
};

struct policy_options {
    /// A filter leaves at least this many candidates of a request, as far as it has them.
    std::size_t min_kept = 10;
    /// Caps of single requests. Off: the share cap makes a candidate's fate depend on the others.
    bool guardrails = false;
    /// In [0, 1]. At most this share of a request is lowered by scale, shift or filter; the largest U first, ties by
    /// position.
    double share_cap = 0.5;
    /// >= 0. A bonus is at most this many standard deviations of the request's scores.
    double bonus_cap = 1.0;
};

/// What apply_policy() did; merges over shards.
struct policy_counts {
    std::uint64_t rows = 0;
    std::uint64_t lowered = 0;   ///< deboosted or filtered, those that a cap or min_kept gave back not counted
    std::uint64_t raised = 0;    ///< with a bonus, full or capped
    std::uint64_t capped = 0;    ///< changed less by a guardrail
    std::uint64_t restored = 0;  ///< given back because a filter left too few
    std::uint64_t unknown = 0;   ///< left alone for want of a usable uncertainty or of a policy for the group

    RECKON_INLINE void merge(const policy_counts& other) noexcept {
        rows += other.rows;
        lowered += other.lowered;
        raised += other.raised;
        capped += other.capped;
        restored += other.restored;
        unknown += other.unknown;
    }
    friend bool operator==(const policy_counts&, const policy_counts&) = default;
};

namespace detail {

// The largest number of type T that is not above x: a score of that type is above one just when it is above the other.
template <class T>
double rounded_down(double x) noexcept {
    const T nearest = static_cast<T>(x);
    return static_cast<double>(
        static_cast<double>(nearest) > x ? std::nextafter(nearest, -std::numeric_limits<T>::infinity()) : nearest);
}

template <class T>
policy_plan plan_of(vector_view<const group_policy> policies) {
    policy_plan plan;
    plan.rows.resize(policies.size() + 1);
    for (std::size_t g = 0; g < policies.size(); ++g) {
        const group_policy& p = policies[g];
        policy_row& row = plan.rows[g];
        row.known = 1.0;
        // A policy that is off must leave even the sign of a zero alone, so it treats nobody.
        if (p.form == policy_form::keep || p.strength == 0.0) continue;
        row.threshold = rounded_down<T>(p.threshold);
        switch (p.form) {
            case policy_form::keep:
                break;
            case policy_form::scale:
                row.factor = 1.0 - p.strength;
                row.lowers = 1.0;
                break;
            case policy_form::shift:
                row.constant = -p.strength * p.deviation;
                row.lowers = 1.0;
                break;
            case policy_form::lower_bound:
                row.root = -p.strength;
                row.threshold = -std::numeric_limits<double>::infinity();
                break;
            case policy_form::filter:
                row.constant = -std::numeric_limits<double>::infinity();
                row.lowers = 1.0;
                plan.filters = true;
                break;
            case policy_form::upper_bound:
                row.root = p.strength;
                row.raises = 1.0;
                break;
            case policy_form::rank_bonus:
                row.rank = p.strength * p.deviation;
                row.raises = 1.0;
                row.threshold = -std::numeric_limits<double>::infinity();
                break;
        }
        row.active = 1.0;
        row.refuses_negative = p.form == policy_form::scale;
        plan.needs_root = plan.needs_root || row.root != 0.0;
        plan.refuses_negative = plan.refuses_negative || row.refuses_negative;
    }
    return plan;
}

inline policy_counts counts_of(const policy_tally& tally) noexcept {
    return {tally.rows, tally.lowered, tally.raised, tally.capped, tally.restored, tally.unknown};
}

}  // namespace detail

/// Ranking scores after the policy of each row's activity group.
///
/// Shapes    scores, uncertainty, out [N]: float or double, all the same; groups [N] of uint8; offsets [R + 1],
///           unsigned, the requests; policies [G], G <= 256, one per group; epistemic [N] of that type, or none.
/// Writes    out, which may be the scores. Rows of a group that keeps its scores, rows at or below the threshold, rows
///           of -inf and rows that are `unknown` come out with the bits they had.
/// Returns   policy_counts; merges over shards of whole requests.
/// Throws    std::invalid_argument, before anything is written: shapes, options and policies out of range; offsets that
///           do not ascend from 0 to N; lower_bound or upper_bound without `epistemic`; a negative score (not -inf) in
///           a group with `scale`, where lowering would raise it. For this form the scores are scanned first.
///           Propagates a NaN score. A NaN uncertainty (lower_bound and upper_bound: an epistemic variance that is NaN,
///           infinite or negative as well) and a group >= G leave the row as it is and are counted as `unknown`.
/// Cost      a few operations a row in lanes, bound by memory: 13 bytes read and 4 written for floats; lanes of several
///           groups cost three times as much. Another pass over scores and groups for `scale`; a table of G rows. Guardrails and filters: a selection within the requests concerned, and 16
///           bytes a row of scratch for the largest.
/// Numerics  in the scores' type: a rounding or two of the change. Order is kept: raising one row's uncertainty never
///           raises its rank in a group whose scores are lowered, nor lowers it in a group whose scores are raised; the
///           guardrails are outside this promise.
/// Source    penalty for low-active, bonus for high-active users after Zou et al. 2026; forms, constants and guardrails
///           are ours.
template <exec::policy Policy, vector_like P, vector_like U, vector_like Groups, vector_like Offsets,
          vector_like Policies, vector_like Out, class E = none, class Isa = isa::native>
policy_counts apply_policy(const Policy& where, const P& scores, const U& uncertainty, const Groups& groups,
                           const Offsets& offsets, const Policies& policies, Out&& out, const E& epistemic = {},
                           const policy_options& options = {}) {
    constexpr const char* name = "apply_policy";
    const auto s = input(scores);
    using T = typename decltype(s)::value_type;
    static_assert(std::is_same_v<T, typename decltype(input(uncertainty))::value_type> &&
                      std::is_same_v<T, typename decltype(view(out))::value_type>,
                  "reckon: scores, uncertainty and out of apply_policy must have the same type");
    detail::policy_rows<T> rows;
    rows.scores = s;
    rows.uncertainty = input(uncertainty);
    rows.groups = input(groups);
    rows.out = view(out);
    if constexpr (!std::is_same_v<E, none>) rows.epistemic = input(epistemic);
    const vector_view<const group_policy> table = input(policies);

    const std::size_t n = s.size();
    expects(rows.uncertainty.size() == n, name, n, " scores but ", rows.uncertainty.size(), " uncertainties");
    expects(rows.groups.size() == n, name, n, " scores but ", rows.groups.size(), " groups");
    expects(rows.out.size() == n, name, n, " scores but room for ", rows.out.size());
    expects(rows.epistemic.empty() || rows.epistemic.size() == n, name, n, " scores but ", rows.epistemic.size(),
            " epistemic variances");
    expects(table.size() <= 256, name, table.size(), " groups, at most 256 are possible");
    for (std::size_t g = 0; g < table.size(); ++g) {
        const group_policy& p = table[g];
        expects(p.strength >= 0.0 && std::isfinite(p.strength), name, "strength of group ", g,
                " must be >= 0 and finite, got ", p.strength);
        expects(p.form != policy_form::scale || p.strength <= 1.0, name, "strength of group ", g,
                " must be in [0, 1] for scale, got ", p.strength);
        expects(!std::isnan(p.threshold), name, "threshold of group ", g, " is NaN");
        expects(p.deviation >= 0.0 && std::isfinite(p.deviation), name, "deviation of group ", g,
                " must be >= 0 and finite, got ", p.deviation);
    }
    expects(options.share_cap >= 0.0 && options.share_cap <= 1.0, name, "share_cap must be in [0, 1], got ",
            options.share_cap);
    expects(options.bonus_cap >= 0.0, name, "bonus_cap must be >= 0, got ", options.bonus_cap);
    const auto requests = make_segments(name, offsets, n);

    const detail::policy_plan plan = detail::plan_of<T>(table);
    expects(!plan.needs_root || rows.epistemic.size() == n, name,
            "lower_bound and upper_bound need the epistemic variances");
    if (plan.refuses_negative) {
        const std::size_t bad = detail::first_negative<Isa>(where, rows, plan);
        expects(bad == n, name, "scale would raise the negative score ", bad == n ? T(0) : s[bad], " of row ", bad);
    }

    if (!options.guardrails && !plan.filters) {
        return detail::counts_of(exec::fold_parts(where, detail::policy_tally_of<Isa>{&plan, {}}, rows).tally);
    }
    // Whole requests, since rows of one decide together.
    const detail::request_caps caps{options.guardrails, options.share_cap, options.bonus_cap, options.min_kept};
    constexpr std::size_t requests_a_part = 64;
    std::vector<detail::policy_tally> tallies(exec::detail::part_count(requests.size(), requests_a_part));
    exec::map_parts(
        where, requests.size(),
        [&](std::size_t begin, std::size_t count) {
            detail::request_policy<T, Isa> one{&plan, caps, {}, {}, {}};
            for (std::size_t r = begin; r < begin + count; ++r) {
                one.apply(rows.slice(requests.first(r), requests.count(r)));
            }
            tallies[begin / requests_a_part] = one.tally;
        },
        requests_a_part);
    detail::policy_tally total;
    for (const detail::policy_tally& part : tallies) total.merge(part);
    return detail::counts_of(total);
}

/// Population standard deviation of the scores of each group: the unit of `shift` and `rank_bonus`.
///
/// Shapes    scores [N]; groups [N] of uint8.
/// Returns   `count` numbers; 0 for a group without a row, so that its policy does nothing.
/// Throws    std::invalid_argument when lengths differ. Rows with a score that is not finite or a group >= count are
///           left out.
/// Numerics  double, updates that do not cancel.
template <vector_like P, vector_like Groups>
std::vector<double> group_deviations(const P& scores, const Groups& groups, std::size_t count) {
    const auto s = input(scores);
    const vector_view<const std::uint8_t> g = input(groups);
    expects(s.size() == g.size(), "group_deviations", s.size(), " scores but ", g.size(), " groups");
    std::vector<moments> sums(count);
    for (std::size_t i = 0; i < s.size(); ++i) {
        const double x = static_cast<double>(s[i]);
        if (g[i] < count && std::isfinite(x)) sums[g[i]].absorb(x);
    }
    std::vector<double> deviations(count, 0.0);
    for (std::size_t i = 0; i < count; ++i) {
        if (sums[i].weight() > 0.0) deviations[i] = std::sqrt(sums[i].variance());
    }
    return deviations;
}

}  // namespace reckon
