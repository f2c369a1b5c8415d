// Activity policies: worked example, reference, invariants of the method, guardrails, bad input, a bandit.
#include "reckon/uncertainty/activity_policy.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "reckon/core/random.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/metrics/top_k.hpp"
#include "reckon/uncertainty/group_threshold.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](T x, T y) {
        using bits = typename simd::float_format<T>::bits;
        return std::bit_cast<bits>(x) == std::bit_cast<bits>(y);
    });
}

// One request after the other, all of one length.
std::vector<std::uint32_t> even_offsets(std::size_t n, std::size_t each) {
    std::vector<std::uint32_t> offsets{0};
    while (offsets.back() < n) {
        offsets.push_back(static_cast<std::uint32_t>((std::min)(n, std::size_t{offsets.back()} + each)));
    }
    return offsets;
}

std::vector<group_policy> some_policies() {
    return {{policy_form::scale, 0.3, 0.6, 1.0},       {},
            {policy_form::upper_bound, 0.5, 0.4, 1.0}, {policy_form::shift, 0.7, 0.5, 2.0},
            {policy_form::lower_bound, 1.5, inf, 1.0}, {policy_form::rank_bonus, 0.25, inf, 3.0}};
}

// The table of forms, one row at a time; NaN for a row that is not touched.
double changed(double s, double u, double e, const group_policy& p) {
    const bool high = u > p.threshold, legal = e >= 0.0 && e < inf;
    if (std::isnan(u) || s == -inf || p.strength == 0.0) return unknown;
    switch (p.form) {
        case policy_form::scale:
            return high ? s * (1.0 - p.strength) : unknown;
        case policy_form::shift:
            return high ? s - p.strength * p.deviation : unknown;
        case policy_form::lower_bound:
            return legal ? s - p.strength * std::sqrt(e) : unknown;
        case policy_form::filter:
            return high ? -inf : unknown;
        case policy_form::upper_bound:
            return high && legal ? s + p.strength * std::sqrt(e) : unknown;
        case policy_form::rank_bonus:
            return s + p.strength * p.deviation * u;
        case policy_form::keep:
            return unknown;
    }
    return unknown;
}

// Place of each row in a stable descending sort.
template <class T>
std::vector<std::size_t> places(const std::vector<T>& scores) {
    std::vector<std::size_t> order(scores.size()), place(scores.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return scores[a] > scores[b]; });
    for (std::size_t i = 0; i < order.size(); ++i) place[order[i]] = i;
    return place;
}

}  // namespace

TEST_CASE("apply_policy: worked example") {
    const std::vector<double> scores{1.0, 2.0, 4.0, 3.0, 5.0, 6.0}, risk{0.1, 0.9, 0.9, 0.9, 0.9, 0.2};
    const std::vector<double> epistemic{0.25, 0.25, 0.25, 0.25, 4.0, 4.0};
    const std::vector<std::uint8_t> groups{0, 0, 0, 1, 2, 2};
    const std::vector<std::uint32_t> offsets{0, 3, 4, 6};
    const std::vector<group_policy> policies{{policy_form::scale, 0.25, 0.5, 1.0},
                                             {},
                                             {.form = policy_form::upper_bound, .strength = 0.5, .threshold = 0.5}};
    std::vector<double> out(6);
    const policy_counts did = apply_policy(serial, scores, risk, groups, offsets, policies, out, epistemic);
    CHECK(out == std::vector<double>{1.0, 1.5, 3.0, 3.0, 6.0, 6.0});
    CHECK(did == policy_counts{.rows = 6, .lowered = 2, .raised = 1});
}

TEST_CASE_TEMPLATE("apply_policy: equals the definition at every length", T, float, double) {
    const auto policies = some_policies();
    for (const std::size_t n : sweep_lengths(simd::pack<T>::lanes)) {
        for (const std::size_t run : {std::size_t{1}, std::size_t{37}}) {
            CAPTURE(n);
            CAPTURE(run);
            placed<T> scores(random_uniform<T>(n, 0.0, 4.0, 1), 1), risk(random_uniform<T>(n, 0.0, 1.0, 2), 1);
            placed<T> epistemic(random_uniform<T>(n, 0.0, 2.0, 3), 1);
            // Groups 6 and 7 have no policy. With runs of 1 a register holds rows of many groups.
            const auto ids = random_integers<std::uint8_t>(n / run + 1, 8, 4);
            std::vector<std::uint8_t> groups(n);
            for (std::size_t i = 0; i < n; ++i) groups[i] = ids[i / run];
            for (std::size_t i = 0; i < n; i += 11) risk.data()[i] = std::numeric_limits<T>::quiet_NaN();
            for (std::size_t i = 3; i < n; i += 17) {
                epistemic.data()[i] = static_cast<T>(i % 2 == 0 ? unknown : i % 3 == 0 ? inf : -1.0);
            }
            for (std::size_t i = 5; i < n; i += 23) scores.data()[i] = static_cast<T>(i % 2 == 0 ? unknown : -inf);
            const vector_view<const T> s(scores.data(), n), u(risk.data(), n), e(epistemic.data(), n);

            std::vector<T> out(n);
            const auto did = apply_policy(serial, s, u, groups, even_offsets(n, 50), policies, out, e);
            policy_counts want{.rows = n};
            for (std::size_t i = 0; i < n; ++i) {
                const group_policy p = groups[i] < policies.size() ? policies[groups[i]] : group_policy{};
                const bool root = p.form == policy_form::lower_bound || p.form == policy_form::upper_bound;
                const double si = static_cast<double>(s[i]), ui = static_cast<double>(u[i]);
                const double ei = static_cast<double>(e[i]);
                const double to = std::isnan(si) ? unknown : changed(si, ui, ei, p);
                if (std::isnan(to)) {
                    CHECK(same_bits(std::vector<T>{out[i]}, {s[i]}));
                } else {
                    CHECK_NEAR(out[i], to, worst_reduction<T>(1).of(std::fabs(si) + std::fabs(to - si)));
                    const bool up = p.form == policy_form::upper_bound || p.form == policy_form::rank_bonus;
                    ++(up ? want.raised : want.lowered);
                }
                const bool usable = !std::isnan(ui) && (!root || (ei >= 0.0 && ei < inf));
                want.unknown += groups[i] >= policies.size() || (p.form != policy_form::keep && !usable) ? 1u : 0u;
            }
            CHECK(did == want);

            std::vector<T> in_place(s.begin(), s.end());
            apply_policy(serial, in_place, u, groups, even_offsets(n, 50), policies, in_place, e);
            CHECK(same_bits(in_place, out));
            exec::pool pool(3);
            std::vector<T> threaded(n);
            const auto again = apply_policy(exec::host{pool}, s, u, groups, even_offsets(n, 50), policies, threaded, e);
            CHECK(same_bits(threaded, out));
            CHECK(again == did);
        }
    }
}

TEST_CASE("apply_policy: a policy that is off changes no bit") {
    auto scores = random_normal<float>(500, 0.0, 2.0, 1);
    scores[7] = -0.0F;
    scores[9] = std::numeric_limits<float>::quiet_NaN();
    scores[11] = static_cast<float>(-inf);
    const auto risk = random_uniform<float>(500, 0.0, 1.0, 2);
    const auto groups = random_integers<std::uint8_t>(500, 3, 3);
    const auto offsets = even_offsets(500, 40);
    std::vector<float> out(500);
    for (const auto form : {policy_form::scale, policy_form::shift, policy_form::lower_bound, policy_form::filter,
                            policy_form::upper_bound, policy_form::rank_bonus}) {
        const group_policy off{form, 0.0, 0.2, 1.0};
        apply_policy(serial, scores, risk, groups, offsets, std::vector<group_policy>(3, off), out, risk);
        CHECK(same_bits(out, scores));
    }
    for (const auto form : {policy_form::shift, policy_form::filter, policy_form::upper_bound}) {
        const group_policy never{form, 0.5, inf, 1.0};
        const auto did = apply_policy(serial, scores, risk, groups, offsets, std::vector<group_policy>(3, never), out,
                                      risk, {.guardrails = true});
        CHECK(same_bits(out, scores));
        CHECK(did == policy_counts{.rows = 500});
    }
}

TEST_CASE("apply_policy: the middle group and other groups keep their bits") {
    const auto scores = random_normal<double>(600, 2.0, 3.0, 1);
    const auto risk = random_uniform<double>(600, 0.0, 1.0, 2);
    const auto groups = random_integers<std::uint8_t>(600, 3, 3);
    const auto offsets = even_offsets(600, 30);
    for (std::uint8_t acting = 0; acting < 3; ++acting) {
        for (const auto form : {policy_form::shift, policy_form::filter, policy_form::upper_bound}) {
            for (const bool guardrails : {false, true}) {
                std::vector<group_policy> policies(3);
                policies[acting] = {form, 0.5, 0.3, 1.0};
                std::vector<double> out(600);
                apply_policy(serial, scores, risk, groups, offsets, policies, out, risk, {.guardrails = guardrails});
                std::size_t moved = 0;
                for (std::size_t i = 0; i < 600; ++i) {
                    if (groups[i] != acting) CHECK(same_bits(std::vector<double>{out[i]}, {scores[i]}));
                    moved += out[i] != scores[i] ? 1u : 0u;
                }
                CHECK(moved > 50);
            }
        }
    }
}

TEST_CASE("apply_policy: a constant uncertainty keeps the order") {
    const auto scores = random_uniform<double>(40, 0.1, 5.0, 1);
    const std::vector<double> same(40, 0.7);
    const std::vector<std::uint8_t> groups(40, 0);
    const std::vector<std::uint32_t> offsets{0, 40};
    for (const auto& p : some_policies()) {
        std::vector<double> out(40);
        apply_policy(serial, scores, same, groups, offsets, std::vector<group_policy>{p}, out, same);
        CHECK(places(out) == places(scores));
    }
}

TEST_CASE("apply_policy: more uncertainty never raises a lowered row, nor lowers a raised one") {
    for (const double centre : {3.0, 0.0}) {  // the second has negative scores: all forms but scale
        const auto scores = random_uniform<double>(30, centre - 2.0, centre + 2.0, 5);
        const std::vector<std::uint8_t> groups(30, 0);
        const std::vector<std::uint32_t> offsets{0, 30};
        const std::vector<double> steps{0.0, 0.2, 0.45, 0.5, 0.65, 0.9, 1.0};
        for (group_policy p : some_policies()) {
            if (p.form == policy_form::scale && centre == 0.0) continue;
            const bool up = p.form == policy_form::upper_bound || p.form == policy_form::rank_bonus;
            for (std::size_t i = 0; i < 30; ++i) {
                auto risk = random_uniform<double>(30, 0.0, 1.0, 6);
                std::size_t before = 0;
                for (std::size_t k = 0; k < steps.size(); ++k) {
                    risk[i] = steps[k];
                    std::vector<double> out(30);
                    apply_policy(serial, scores, risk, groups, offsets, std::vector<group_policy>{p}, out, risk);
                    const std::size_t place = places(out)[i];
                    if (k > 0) CHECK((up ? place <= before : place >= before));
                    before = place;
                }
            }
        }
    }
}

TEST_CASE("apply_policy: thresholds and ranks see the order of the uncertainty only") {
    const auto scores = random_normal<double>(200, 0.0, 1.0, 1), risk = random_uniform<double>(200, 0.0, 1.0, 2);
    std::vector<double> stretched;
    for (const double u : risk) stretched.push_back(std::exp(3.0 * u) - 7.0);
    const std::vector<std::uint8_t> groups(200, 0);
    const auto offsets = even_offsets(200, 20);
    for (const auto form : {policy_form::shift, policy_form::filter}) {
        std::vector<double> a(200), b(200);
        const double tau = risk[17];
        apply_policy(serial, scores, risk, groups, offsets, std::vector<group_policy>{{form, 0.5, tau, 1.0}}, a);
        apply_policy(serial, scores, stretched, groups, offsets,
                     std::vector<group_policy>{{form, 0.5, stretched[17], 1.0}}, b);
        CHECK(same_bits(a, b));
    }
}

TEST_CASE("apply_policy: the rank bonus sees the order of the uncertainty only") {
    const auto scores = random_normal<double>(200, 0.0, 1.0, 1), risk = random_uniform<double>(200, 0.0, 1.0, 2);
    std::vector<double> stretched(200), ranks(200), same(200), a(200), b(200);
    for (std::size_t i = 0; i < 200; ++i) stretched[i] = std::exp(3.0 * risk[i]) - 7.0;
    const auto groups = random_integers<std::uint8_t>(200, 2, 3);
    group_rank(serial, risk, groups, 2, ranks);
    group_rank(serial, stretched, groups, 2, same);
    const std::vector<group_policy> bonus(2, {.form = policy_form::rank_bonus, .strength = 0.5, .deviation = 2.0});
    apply_policy(serial, scores, ranks, groups, even_offsets(200, 20), bonus, a);
    apply_policy(serial, scores, same, groups, even_offsets(200, 20), bonus, b);
    CHECK(same_bits(a, b));
    CHECK(!same_bits(a, scores));
}

TEST_CASE("apply_policy: a lower bound is a quantile of a normal posterior") {
    // strength = the normal quantile of 0.9: a tenth of the true values lies below.
    const std::size_t n = 40000;
    const auto scores = random_normal<double>(n, 0.0, 3.0, 1), variance = random_uniform<double>(n, 0.1, 2.0, 2);
    const auto noise = random_normal<double>(n, 0.0, 1.0, 3);
    std::vector<double> out(n);
    apply_policy(serial, scores, variance, std::vector<std::uint8_t>(n, 0), std::vector<std::uint32_t>{0, n},
                 std::vector<group_policy>{{.form = policy_form::lower_bound, .strength = 1.2815515655446004}}, out,
                 variance);
    double below = 0.0;
    for (std::size_t i = 0; i < n; ++i) below += scores[i] + std::sqrt(variance[i]) * noise[i] < out[i] ? 1.0 : 0.0;
    const double share = below / static_cast<double>(n);
    CHECK(std::fabs(share - 0.1) < 4.0 * std::sqrt(0.09 / static_cast<double>(n)));  // four standard errors
}

TEST_CASE("apply_policy: a threshold between two floats keeps its side") {
    // 0.1 is not a float: its neighbour above is what 0.1f holds, and lies above the threshold.
    const std::vector<float> scores{1.0F}, risk{0.1F};
    std::vector<float> out(1);
    REQUIRE(static_cast<double>(0.1F) > 0.1);
    apply_policy(serial, scores, risk, std::vector<std::uint8_t>{0}, std::vector<std::uint32_t>{0, 1},
                 std::vector<group_policy>{{policy_form::scale, 0.5, 0.1, 1.0}}, out);
    CHECK(out[0] == 0.5F);
}

TEST_CASE("apply_policy: negative scores") {
    const std::vector<double> scores{1.0, -inf, -0.0, 2.0, -1e-300}, risk(5, 0.9);
    const std::vector<std::uint8_t> groups(5, 0), other{0, 0, 0, 0, 1};
    const std::vector<std::uint32_t> offsets{0, 5};
    const std::vector<group_policy> scale{{policy_form::scale, 1.0, 0.5, 1.0}, {policy_form::shift, 1.0, 0.5, 1.0}};
    std::vector<double> out(5, 7.0);
    CHECK_THROWS_WITH_AS(apply_policy(serial, scores, risk, groups, offsets, scale, out),
                         "apply_policy: scale would raise the negative score -1e-300 of row 4", std::invalid_argument);
    CHECK(out == std::vector<double>(5, 7.0));  // nothing was written
    apply_policy(serial, scores, risk, other, offsets, scale, out);
    CHECK(out == std::vector<double>{0.0, -inf, 0.0, 0.0, -1.0});
}

TEST_CASE("apply_policy: a filter leaves enough candidates") {
    const std::vector<double> scores{5.0, 4.0, 3.0, 2.0, 1.0}, risk{0.9, 0.8, 0.8, 0.1, 0.95};
    const std::vector<std::uint8_t> groups(5, 0);
    const std::vector<std::uint32_t> offsets{0, 5};
    const std::vector<group_policy> filter{{policy_form::filter, 1.0, 0.5, 1.0}};
    const auto run = [&](std::size_t kept) {
        std::vector<double> out(5);
        const auto did = apply_policy(serial, scores, risk, groups, offsets, filter, out, none{}, {.min_kept = kept});
        CHECK(did.lowered + did.restored == 4);
        return out;
    };
    CHECK(run(0) == std::vector<double>{-inf, -inf, -inf, 2.0, -inf});
    CHECK(run(1) == run(0));
    // Of equal uncertainties the later candidate comes back first, as the cap lowers the earlier one first.
    CHECK(run(2) == std::vector<double>{-inf, -inf, 3.0, 2.0, -inf});
    CHECK(run(3) == std::vector<double>{-inf, 4.0, 3.0, 2.0, -inf});
    CHECK(run(9) == scores);
}

TEST_CASE("apply_policy: guardrails") {
    const std::vector<double> scores{5.0, 4.0, 3.0, 2.0, 1.0}, risk{0.8, 0.9, 0.8, 0.7, 0.1};
    const std::vector<std::uint8_t> groups(5, 0);
    const std::vector<std::uint32_t> offsets{0, 5};
    std::vector<double> out(5);
    // Two of five may be lowered: the riskiest, then the earlier of equals.
    const std::vector<group_policy> shift{{policy_form::shift, 1.0, 0.5, 10.0}};
    auto did = apply_policy(serial, scores, risk, groups, offsets, shift, out, none{}, {.guardrails = true});
    CHECK(out == std::vector<double>{-5.0, -6.0, 3.0, 2.0, 1.0});
    CHECK(did == policy_counts{.rows = 5, .lowered = 2, .capped = 2});
    // The scores' standard deviation is sqrt 2.
    const std::vector<group_policy> bonus{{policy_form::rank_bonus, 1.0, inf, 2.0}};
    did = apply_policy(serial, scores, risk, groups, offsets, bonus, out, none{}, {.guardrails = true});
    for (std::size_t i = 0; i < 5; ++i) {
        CHECK_NEAR(out[i], scores[i] + (std::min)(2.0 * risk[i], std::sqrt(2.0)), ulp(2));
    }
    CHECK(did == policy_counts{.rows = 5, .raised = 5, .capped = 3});
    // Requests are capped one by one, the same for any number of threads.
    const auto many = random_uniform<double>(5000, 0.0, 1.0, 1), risks = random_uniform<double>(5000, 0.0, 1.0, 2);
    const auto ids = random_integers<std::uint8_t>(5000, 6, 3);
    const auto requests = even_offsets(5000, 17);
    std::vector<double> a(5000), b(5000);
    exec::pool pool(3);
    const auto first =
        apply_policy(serial, many, risks, ids, requests, some_policies(), a, risks, {.guardrails = true});
    const auto second =
        apply_policy(exec::host{pool}, many, risks, ids, requests, some_policies(), b, risks, {.guardrails = true});
    CHECK(same_bits(a, b));
    CHECK(first == second);
    CHECK(first.capped > 0);
}

TEST_CASE("apply_policy: bad input") {
    const std::vector<double> two{1.0, 2.0}, three(3, 1.0);
    std::vector<double> out(2);
    const std::vector<std::uint8_t> groups{0, 0};
    const std::vector<std::uint32_t> offsets{0, 2};
    const auto with = [&](group_policy p, policy_options options = {}) {
        apply_policy(serial, two, two, groups, offsets, std::vector<group_policy>{p}, out, none{}, options);
    };
    CHECK_THROWS_WITH_AS(with({policy_form::scale, 1.5, 0.0, 1.0}),
                         "apply_policy: strength of group 0 must be in [0, 1] for scale, got 1.5",
                         std::invalid_argument);
    CHECK_THROWS_AS(with({policy_form::shift, -1.0, 0.0, 1.0}), std::invalid_argument);
    CHECK_THROWS_AS(with({policy_form::shift, 1.0, unknown, 1.0}), std::invalid_argument);
    CHECK_THROWS_AS(with({policy_form::shift, 1.0, 0.0, inf}), std::invalid_argument);
    CHECK_THROWS_WITH_AS(with({policy_form::upper_bound, 1.0, 0.0, 1.0}),
                         "apply_policy: lower_bound and upper_bound need the epistemic variances",
                         std::invalid_argument);
    CHECK_THROWS_AS(with({}, {.share_cap = 1.5}), std::invalid_argument);
    CHECK_THROWS_AS(with({}, {.bonus_cap = -1.0}), std::invalid_argument);
    const std::vector<group_policy> none_given;
    CHECK_THROWS_WITH_AS(apply_policy(serial, two, three, groups, offsets, none_given, out),
                         "apply_policy: 2 scores but 3 uncertainties", std::invalid_argument);
    CHECK_THROWS_AS(apply_policy(serial, two, two, groups, std::vector<std::uint32_t>{0, 3}, none_given, out),
                    std::invalid_argument);
    CHECK_THROWS_AS(apply_policy(serial, two, two, groups, offsets, std::vector<group_policy>(257), out),
                    std::invalid_argument);
    const auto did = apply_policy(serial, two, two, groups, offsets, none_given, out);
    CHECK(out == two);
    CHECK(did == policy_counts{.rows = 2, .unknown = 2});
    const std::vector<double> nothing;
    CHECK(apply_policy(serial, nothing, nothing, std::vector<std::uint8_t>{}, std::vector<std::uint32_t>{0}, none_given,
                       std::vector<double>{}) == policy_counts{});
}

TEST_CASE("group_deviations: population deviation of each group") {
    const std::vector<float> scores{1.0F, 3.0F, 100.0F, -2.0F, 2.0F, 6.0F};
    const std::vector<std::uint8_t> groups{0, 0, 9, 2, 2, 2};
    const auto d = group_deviations(scores, groups, 4);
    CHECK(d[0] == 1.0);
    CHECK(d[1] == 0.0);
    CHECK_NEAR(d[2], std::sqrt(32.0 / 3.0), ulp(4));
    CHECK(d[3] == 0.0);
    CHECK_THROWS_AS(group_deviations(scores, std::vector<std::uint8_t>{0}, 1), std::invalid_argument);
}

TEST_CASE("activity_group: cuts and hysteresis") {
    CHECK(activity_group(4) == 0);
    CHECK(activity_group(5) == 1);
    CHECK(activity_group(19) == 1);
    CHECK(activity_group(20) == 2);
    const auto from = [](std::uint8_t previous, std::uint32_t days) { return activity_group(days, previous); };
    CHECK(from(0, 6) == 0);
    CHECK(from(0, 7) == 1);
    CHECK(from(0, 22) == 2);
    CHECK(from(1, 3) == 1);
    CHECK(from(1, 2) == 0);
    CHECK(from(1, 21) == 1);
    CHECK(from(1, 22) == 2);
    CHECK(from(2, 18) == 2);
    CHECK(from(2, 17) == 1);
    CHECK(from(2, 2) == 0);
    CHECK(activity_group(0, std::uint8_t{1}, {.mid = 1, .high = 2, .hysteresis = 2}) == 1);
}

TEST_CASE("bandit: an upper bound from the posterior's deviation regrets less than greed") {
    // Beta-Bernoulli, 10 arms: greedy takes the posterior mean, the other adds its standard deviation by apply_policy.
    constexpr std::size_t arms = 10, runs = 200, rounds = 500;
    const std::vector<std::uint8_t> groups(arms, 0);
    const std::vector<std::uint32_t> offsets{0, arms};
    double regret[2] = {0.0, 0.0};
    for (std::size_t run = 0; run < runs; ++run) {
        const random_stream truth(99, 2 * run), luck(99, 2 * run + 1);
        std::vector<double> rate(arms);
        for (std::size_t a = 0; a < arms; ++a) rate[a] = truth.uniform(a);
        const double best = *std::max_element(rate.begin(), rate.end());
        for (const bool upper : {false, true}) {
            const std::vector<group_policy> policy{
                {.form = policy_form::upper_bound, .strength = upper ? 1.0 : 0.0, .threshold = -inf}};
            std::vector<double> alpha(arms, 1.0), beta(arms, 1.0), mean(arms), variance(arms), score(arms);
            std::vector<std::uint32_t> pick(1);
            for (std::size_t round = 0; round < rounds; ++round) {
                for (std::size_t a = 0; a < arms; ++a) {
                    const double s = alpha[a] + beta[a];
                    mean[a] = alpha[a] / s;
                    variance[a] = alpha[a] * beta[a] / (s * s * (s + 1.0));
                }
                apply_policy(serial, mean, variance, groups, offsets, policy, score, variance);
                top_k(serial, score, offsets, view(pick, 1, 1));
                const std::size_t arm = pick[0];
                const bool won = luck.uniform(round * arms + arm) < rate[arm];
                ++(won ? alpha : beta)[arm];
                regret[upper] += best - rate[arm];
            }
        }
    }
    CHECK(regret[1] < regret[0]);
}
