// Beta-binomial likelihood, variance split, fitted priors: worked examples, references, oracles, gradients, bad input.
#include "reckon/uncertainty/beta_binomial.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/uncertainty/beta_prior.hpp"
#include "reckon/uncertainty/variance_split.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

// The definition by sums, in extended precision; also the sum of magnitudes.
struct by_sums {
    long double loss = 0, magnitude = 0, d_alpha = 0, d_beta = 0;
};
by_sums reference(double alpha, double beta, std::uint64_t k, std::uint64_t n) {
    const long double a = alpha, b = beta, s = a + b;
    by_sums r;
    for (std::uint64_t t = 0; t < n; ++t) {
        const auto x = static_cast<long double>(t);
        const auto hit = t < k, miss = t < n - k;
        r.loss += std::log(s + x) - (hit ? std::log(a + x) : 0) - (miss ? std::log(b + x) : 0);
        r.d_alpha += 1 / (s + x) - (hit ? 1 / (a + x) : 0);
        r.d_beta += 1 / (s + x) - (miss ? 1 / (b + x) : 0);
        r.magnitude +=
            std::fabs(std::log(s + x)) + std::fabs(hit ? std::log(a + x) : 0) + std::fabs(miss ? std::log(b + x) : 0);
    }
    return r;
}

struct cells {
    std::vector<std::uint32_t> k, n;
};
cells random_cells(std::size_t size, std::uint32_t most) {
    const auto n = random_integers<std::uint32_t>(size, most + 1, 5),
               part = random_integers<std::uint32_t>(size, 1000, 6);
    cells c{n, n};
    for (std::size_t i = 0; i < size; ++i) c.k[i] = static_cast<std::uint32_t>((n[i] + 1) * part[i] / 1000);
    return c;
}

double one_loss(double alpha, double beta, std::uint64_t k, std::uint64_t n) {
    return beta_binomial_nll(serial, std::vector<double>{alpha}, std::vector<double>{beta},
                             std::vector<std::uint64_t>{k}, std::vector<std::uint64_t>{n})
        .sum();
}

TEST_CASE("beta_binomial: worked example") {
    // Beta(1, 1): every k is as likely, so each order of 2 successes in 3 has probability 1/4 / 3.
    const std::vector<double> alpha{1.0, 1.0, 2.0}, beta{1.0, 1.0, 3.0};
    const std::vector<std::uint32_t> k{2, 0, 1}, n{3, 0, 1};
    std::vector<double> d_alpha(3, 1.0), d_beta(3, 1.0);
    const counted_loss loss = beta_binomial_nll(serial, alpha, beta, k, n, {}, d_alpha, d_beta, 2.0);
    CHECK_NEAR(loss.sum(), std::log(12.0) + std::log(2.5), reduction(8));
    CHECK(loss.weight() == 3.0);
    CHECK(loss.seen() == counts{3, 0});
    // d alpha of the first: 1/2 + 1/3 + 1/4 - 1 - 1/2.
    CHECK_NEAR(d_alpha[0], 1.0 + 2.0 * (7.0 / 12.0 - 1.0), reduction(8));
    CHECK_NEAR(d_beta[0], 1.0 + 2.0 * (13.0 / 12.0 - 1.0), reduction(8));
    CHECK(d_alpha[1] == 1.0);
    CHECK(d_beta[1] == 1.0);
    CHECK_NEAR(d_alpha[2], 1.0 + 2.0 * (0.2 - 0.5), reduction(8));
}

TEST_CASE_TEMPLATE("beta_binomial: against sums in extended precision", T, float, double) {
    for (const std::size_t size : sweep_lengths(4, false)) {
        for (const std::size_t offset : {std::size_t{0}, std::size_t{1}}) {
            CAPTURE(size);
            const cells c = random_cells(size, 80);
            placed<T> alpha(random_uniform<T>(size, 0.01, 20.0, 1), offset),
                beta(random_uniform<T>(size, 0.01, 90.0, 2), 1);
            const placed<std::uint32_t> k(c.k, offset), n(c.n, 0);
            std::vector<T> d_alpha(size), d_beta(size);
            const counted_loss got = beta_binomial_nll(serial, alpha, beta, k, n, {}, d_alpha, d_beta);
            long double sum = 0, magnitude = 0;
            for (std::size_t i = 0; i < size; ++i) {
                const by_sums r = reference(static_cast<double>(alpha.data()[i]), static_cast<double>(beta.data()[i]),
                                            c.k[i], c.n[i]);
                sum += r.loss;
                magnitude += r.magnitude;
                // The gradient is rounded to T once.
                const double a = static_cast<double>(alpha.data()[i]), b = static_cast<double>(beta.data()[i]);
                const tolerance slope = reduction<T>(0).of(1.0 + 1.0 / a + 1.0 / b);
                CHECK_NEAR(d_alpha[i], r.d_alpha, slope);
                CHECK_NEAR(d_beta[i], r.d_beta, slope);
            }
            CHECK_NEAR(got.sum(), sum, reduction(80).of(static_cast<double>(magnitude)));
        }
    }
}

TEST_CASE("beta_binomial: oracle") {
    const fixture data{"uncertainty.txt"};
    const auto k = data.as<std::uint64_t>("bb.k"), n = data.as<std::uint64_t>("bb.n");
    const std::vector<double>&alpha = data["bb.alpha"], &beta = data["bb.beta"];
    std::vector<double> d_alpha(k.size()), d_beta(k.size());
    beta_binomial_nll(serial, alpha, beta, k, n, {}, d_alpha, d_beta);
    std::size_t scipy = 0;
    for (std::size_t i = 0; i < k.size(); ++i) {
        CAPTURE(alpha[i]);
        CAPTURE(beta[i]);
        CAPTURE(k[i]);
        CAPTURE(n[i]);
        const double got = one_loss(alpha[i], beta[i], k[i], n[i]), want = data["bb.nll"][i], s = alpha[i] + beta[i];
        // Closed forms hold terms of n ln(s + n); sums hold the loss alone.
        const double terms =
            n[i] > 64 ? static_cast<double>(n[i]) * std::log(s + static_cast<double>(n[i]) + 3.0) : 0.0;
        CHECK_NEAR(got, want, reduction(64).of(1.0 + want + terms));
        const double trials = static_cast<double>(n[i]);
        const auto slope = [&](double x) { return reduction(64).of(1.0 / x + std::log1p(trials / x)); };
        CHECK_NEAR(d_alpha[i], data["bb.d_alpha"][i], slope(alpha[i]));
        CHECK_NEAR(d_beta[i], data["bb.d_beta"][i], slope(beta[i]));
        if (!std::isnan(data["bb.scipy"][i])) {
            ++scipy;
            CHECK(std::fabs(got - data["bb.scipy"][i]) <= 1e-9 * (1.0 + want + static_cast<double>(n[i])));
        }
    }
    CHECK(scipy > 200);
}

TEST_CASE("beta_binomial: logits against the oracle") {
    const fixture data{"uncertainty.txt"};
    const auto k = data.as<int>("logit.k"), n = data.as<int>("logit.n");
    const std::vector<double>&q = data["logit.q"], &c = data["logit.c"];
    std::vector<double> d_q(k.size()), d_c(k.size());
    const double sum = beta_binomial_nll_logits(serial, q, c, k, n, {}, {}, d_q, d_c).sum();
    double want = 0.0;
    for (std::size_t i = 0; i < k.size(); ++i) {
        CAPTURE(i);
        want += data["logit.nll"][i];
        CHECK_NEAR(d_q[i], data["logit.d_q"][i], reduction(64).of(1.0 + static_cast<double>(n[i])));
        CHECK_NEAR(d_c[i], data["logit.d_c"][i], reduction(64).of(1.0 + static_cast<double>(n[i])));
    }
    CHECK_NEAR(sum, want, reduction(k.size()));
}

TEST_CASE("beta_binomial: gradients against central differences") {
    const cells c = random_cells(60, 100);
    const std::vector<double> w = random_uniform<double>(60, 0.0, 2.0, 3),
                              other = random_uniform<double>(60, 0.5, 30.0, 8);
    const auto value = [&](vector_view<const double> x) {
        return beta_binomial_nll(serial, x, other, c.k, c.n, w).sum() +
               beta_binomial_nll(serial, other, x, c.k, c.n).sum();
    };
    const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
        beta_binomial_nll(serial, x, other, c.k, c.n, w, out);
        beta_binomial_nll(serial, other, x, c.k, c.n, {}, none{}, out);
    };
    CHECK_LAW(testing::check_gradient(value, gradient, random_uniform<double>(60, 0.5, 20.0, 1)));
    const auto logit_value = [&](vector_view<const double> x) {
        return beta_binomial_nll_logits(serial, x.slice(0, 60), x.slice(60, 60), c.k, c.n, w).sum();
    };
    const auto logit_gradient = [&](vector_view<const double> x, vector_view<double> out) {
        beta_binomial_nll_logits(serial, x.slice(0, 60), x.slice(60, 60), c.k, c.n, w, {}, out.slice(0, 60),
                                 out.slice(60, 60));
    };
    CHECK_LAW(testing::check_gradient(logit_value, logit_gradient, random_normal<double>(120, 0.0, 2.0, 9)));
}

TEST_CASE("beta_binomial: one trial is log-loss and tells nothing of the concentration") {
    const std::vector<double> q{-800.0, -40.0, -2.0, 0.0, 0.3, 5.0, 40.0, 800.0};
    for (const int hit : {0, 1}) {
        const std::vector<int> k(q.size(), hit), n(q.size(), 1);
        const std::vector<double> c = random_normal<double>(q.size(), 0.0, 10.0);
        std::vector<double> d_q(q.size()), d_c(q.size());
        for (std::size_t i = 0; i < q.size(); ++i) {
            const double z = hit == 1 ? -q[i] : q[i];
            const double want = std::fmax(z, 0.0) + std::log1p(std::exp(-std::fabs(z)));
            const double got = beta_binomial_nll_logits(serial, std::vector<double>{q[i]}, std::vector<double>{c[i]},
                                                        std::vector<int>{hit}, std::vector<int>{1})
                                   .sum();
            CHECK_NEAR(got, want, ulp(4));
        }
        beta_binomial_nll_logits(serial, q, c, k, n, {}, {}, d_q, d_c);
        for (std::size_t i = 0; i < q.size(); ++i) {
            CHECK(d_c[i] == 0.0);
            CHECK_NEAR(d_q[i], 1.0 / (1.0 + std::exp(-q[i])) - hit, probability());
        }
    }
}

TEST_CASE("beta_binomial: sums and closed form agree, and the binomial is the limit") {
    for (const double alpha : {0.03, 1.5, 40.0, 2e6}) {
        for (const double beta : {0.7, 90.0, 1e7}) {
            for (int n = 0; n <= 64; n += 4) {
                for (const int k : {0, n / 4, n}) {
                    const double x = n, y = k;
                    const auto sums = reckon::detail::direct_sums(alpha, beta, alpha + beta, y, x, x);
                    const auto closed = reckon::detail::closed_sums(alpha, beta, alpha + beta, y, x);
                    const double magnitude = x * std::log(alpha + beta + x + 3.0);
                    CHECK(std::fabs(sums.logs - closed.logs) <= 1e-12 * (1.0 + magnitude / 64.0));
                    for (int j = 0; j < 3; ++j) {
                        CHECK_NEAR(closed.inverse[j], sums.inverse[j], reduction(64));
                        CHECK_NEAR(closed.fraction[j], sums.fraction[j], reduction(64));
                    }
                }
            }
        }
    }
    for (const std::uint64_t n : {7u, 64u, 65u, 200u}) {
        const std::uint64_t k = n / 3;
        const double m = 0.3,
                     want = -(static_cast<double>(k) * std::log(m) + static_cast<double>(n - k) * std::log1p(-m));
        // They differ by about n^2 / s.
        CHECK(std::fabs(one_loss(m * 1e13, (1 - m) * 1e13, k, n) - want) < 1e-10 * want);
        CHECK(std::fabs(one_loss(m * 1e3, (1 - m) * 1e3, k, n) - want) < 0.05 * want);
    }
}

TEST_CASE("beta_binomial: bad input") {
    const std::vector<double> one(7, 1.0);
    const std::vector<int> k{1, 3, -1, 0, 1, 2, 0}, n{2, 2, 2, -1, 1, 2, 0};
    const std::vector<double> w{1.0, 1.0, 1.0, 1.0, nan, 1.0, 0.0};
    std::vector<double> slope(7, 0.0);
    const counted_loss got = beta_binomial_nll(serial, one, one, k, n, w, slope);
    CHECK(got.seen() == counts{3, 4});
    CHECK(got.weight() == 2.0);
    CHECK_NEAR(got.sum(), std::log(6.0) + std::log(3.0), reduction(8));
    for (const std::size_t i : {1u, 2u, 3u, 4u, 6u}) CHECK(slope[i] == 0.0);
    for (const double bad : {nan, 0.0, -1.0, inf, 1e31}) {
        CAPTURE(bad);
        std::vector<double> d_alpha(5), d_beta(5);
        std::vector<double> alpha(5, 1.5);
        alpha[2] = bad;
        const std::vector<int> hits{1, 0, 1, 40, 80}, tries{3, 1, 2, 64, 100};
        CHECK(std::isnan(beta_binomial_nll(serial, alpha, alpha, hits, tries, {}, d_alpha, d_beta).sum()));
        std::vector<double> clean_alpha(5), clean_beta(5);
        beta_binomial_nll(serial, std::vector<double>(5, 1.5), std::vector<double>(5, 1.5), hits, tries, {},
                          clean_alpha, clean_beta);
        for (std::size_t i = 0; i < 5; ++i) {
            CHECK(std::isnan(d_alpha[i]) == (i == 2));
            if (i != 2) CHECK(d_alpha[i] == clean_alpha[i]);
            if (i != 2) CHECK(d_beta[i] == clean_beta[i]);
        }
    }
    CHECK(std::isnan(
        beta_binomial_nll(serial, std::vector<double>{}, std::vector<double>{}, std::vector<int>{}, std::vector<int>{})
            .finish()));
    const std::vector<double> two(2);
    CHECK_THROWS_WITH_AS(beta_binomial_nll(serial, two, two, k, n),
                         "beta_binomial_nll: 2 and 2 parameters, 7 successes and 7 trials", std::invalid_argument);
    CHECK_THROWS_WITH_AS(beta_binomial_nll(serial, one, one, k, n, two), "beta_binomial_nll: 7 rows but 2 weights",
                         std::invalid_argument);
    std::vector<double> room(2);
    CHECK_THROWS_WITH_AS(beta_binomial_nll(serial, one, one, k, n, {}, room),
                         "beta_binomial_nll: 7 rows but room for 2", std::invalid_argument);
    CHECK_THROWS_AS(beta_binomial_nll_logits(serial, one, one, k, n, {}, {.least_strength = 0.0}),
                    std::invalid_argument);
}

TEST_CASE("beta_binomial: merge law and threads") {
    const std::size_t size = 20000;
    const cells c = random_cells(size, 70);
    const std::vector<double> alpha = random_uniform<double>(size, 0.1, 9.0),
                              beta = random_uniform<double>(size, 0.1, 50.0, 2);
    const reckon::detail::beta_binomial_rows<double, std::uint32_t, std::uint32_t> rows{
        input(alpha), input(beta), input(c.k), input(c.n), {}, {}, {}};
    const reckon::detail::beta_binomial_fold<reckon::detail::prior_parameters, isa::native> identity;
    CHECK_LAW(testing::check_merge(identity, rows, [](const auto& x, const auto& y) {
        return testing_support::near(x.total.sum(), y.total.sum(), reduction(size)).ok &&
               x.total.seen() == y.total.seen();
    }));
    exec::pool pool(3);
    CHECK_LAW(testing::check_map_policy<double>(size, exec::host{pool}, [&](const auto& where, auto out) {
        for (double& x : out) x = 0.0;
        beta_binomial_nll(where, alpha, beta, c.k, c.n, {}, out);
    }));
}

TEST_CASE("variance_split: worked example and oracle") {
    const variance_parts v = beta_variance(1.3, 2.2);
    CHECK(std::fabs(v.aleatoric - 0.181587) < 5e-7);
    CHECK(std::fabs(v.epistemic - 0.051882) < 5e-7);
    CHECK(std::fabs(v.total - 0.233469) < 5e-7);
    const fixture data{"uncertainty.txt"};
    const std::vector<double>&a = data["beta.alpha"], &b = data["beta.beta"];
    for (std::size_t i = 0; i < a.size(); ++i) {
        const variance_parts p = beta_variance(a[i], b[i]);
        CHECK_NEAR(p.epistemic, data["beta.var"][i], ulp(8));
        CHECK_NEAR(p.aleatoric + p.epistemic, p.total, ulp(3));
    }
    const variance_parts nig = normal_inverse_gamma_variance(4.0, 3.0, 6.0);
    CHECK(nig.aleatoric == 3.0);
    CHECK(nig.epistemic == 0.75);
    CHECK(nig.total == 3.75);
    CHECK(normal_inverse_gamma_variance(4.0, 1.0, 6.0).total == inf);
    CHECK(std::isnan(normal_inverse_gamma_variance(0.0, 3.0, 6.0).epistemic));
    CHECK(std::isnan(normal_inverse_gamma_variance(1.0, nan, 6.0).epistemic));
}

TEST_CASE_TEMPLATE("variance_split: columns", T, float, double) {
    for (const std::size_t n : sweep_lengths(simd::pack<T>::lanes, false)) {
        const placed<T> a(random_uniform<T>(n, 0.01, 9.0, 1), 1), b(random_uniform<T>(n, 0.01, 900.0, 2), n % 2);
        std::vector<T> total(n), aleatoric(n), epistemic(n), alone(n);
        variance_split(serial, a, b, total, aleatoric, epistemic);
        variance_split(serial, a, b, none{}, none{}, alone);
        CHECK(alone == epistemic);
        for (std::size_t i = 0; i < n; ++i) {
            const variance_parts p = beta_variance(static_cast<double>(a.data()[i]), static_cast<double>(b.data()[i]));
            CHECK_NEAR(total[i], p.total, ulp(4));
            CHECK_NEAR(aleatoric[i], p.aleatoric, ulp(6));
            CHECK_NEAR(epistemic[i], p.epistemic, ulp(6));
            CHECK_NEAR(static_cast<T>(aleatoric[i] + epistemic[i]), static_cast<double>(total[i]), ulp(3));
        }
    }
    const auto kernel = [](vector_view<const T> in, vector_view<T> out) {
        const std::vector<T> beta(in.size(), T(2));
        variance_split(serial, in, beta, none{}, none{}, out);
    };
    CHECK_LAW(testing::check_tails(kernel, finite_extremes<T>()));
    CHECK_LAW(testing::check_nan_propagates(kernel, random_uniform<T>(40, 0.1, 9.0)));
    std::vector<T> two(2), three(3);
    CHECK_THROWS_AS(variance_split(serial, two, three, none{}, none{}, two), std::invalid_argument);
    CHECK_THROWS_AS(variance_split(serial, two, two, none{}, three, two), std::invalid_argument);
}

TEST_CASE("variance_split: extremes and the posterior") {
    // No part is a difference: a huge strength leaves a small epistemic part with its digits.
    const variance_parts sure = beta_variance(1e20, 3e20);
    CHECK_NEAR(sure.epistemic, 0.1875 / 4e20, reduction(4));
    CHECK(beta_variance(1e300, 1e300).epistemic > 0.0);
    for (const auto& [a, b] : {std::pair{-1.0, 2.0}, {2.0, -1.0}, {0.0, 0.0}, {nan, 1.0}, {inf, 1.0}}) {
        CHECK(std::isnan(beta_variance(a, b).total));
    }
    CHECK(beta_variance(0.0, 2.0).total == 0.0);
    for (const auto& [a, b] : {std::pair{1.3, 2.2}, {0.2, 5.0}, {30.0, 4.0}}) {
        for (const int n : {1, 2, 10, 50}) {
            const double s = a + b, x = n;
            double mean = 0.0;
            for (int k = 0; k <= n; ++k) {
                const double y = k;
                const double choose = std::lgamma(x + 1.0) - std::lgamma(y + 1.0) - std::lgamma(x - y + 1.0);
                const double p =
                    std::exp(choose - one_loss(a, b, static_cast<std::uint64_t>(k), static_cast<std::uint64_t>(n)));
                const double after = beta_posterior_variance(a, b, y, x).epistemic;
                CHECK(after <= 1.0 / (4.0 * (s + x + 1.0)));
                mean += p * after;
            }
            CHECK_NEAR(mean, beta_variance(a, b).epistemic * s / (s + x), reduction(1000));
        }
    }
}

TEST_CASE("beta_prior: oracle") {
    const fixture data{"uncertainty.txt"};
    std::vector<std::uint32_t> all_k, all_n;
    std::vector<int> group;
    const std::string names[3] = {"ctr", "wide", "narrow"};
    for (int g = 0; g < 3; ++g) {
        const auto k = data.as<std::uint32_t>("prior." + names[g] + ".k"),
                   n = data.as<std::uint32_t>("prior." + names[g] + ".n");
        const beta_prior alone = beta_prior::fit(serial, k, n);
        CAPTURE(names[g]);
        CHECK_NEAR(alone.mean(), data.value("prior." + names[g] + ".mean"), fitted());
        CHECK_NEAR(alone.strength(), data.value("prior." + names[g] + ".strength"), fitted());
        CHECK(alone.identifiable());
        all_k.insert(all_k.end(), k.begin(), k.end());
        all_n.insert(all_n.end(), n.begin(), n.end());
        group.insert(group.end(), k.size(), g);
        const beta_parameters p = alone.prior(), after = alone.posterior(3, 5);
        CHECK_NEAR(p.mean(), alone.mean(), ulp(4));
        CHECK(after.alpha == p.alpha + 3);
        CHECK(after.beta == p.beta + 2);
    }
    // One fit with a group column, under threads, and with one group that has no rows.
    exec::pool pool(3);
    const beta_prior fitted_all = beta_prior::fit(exec::host{pool}, all_k, all_n, group, 4);
    for (std::size_t g = 0; g < 3; ++g) {
        CHECK_NEAR(fitted_all.mean(g), data.value("prior." + names[g] + ".mean"), fitted());
        CHECK_NEAR(fitted_all.strength(g), data.value("prior." + names[g] + ".strength"), fitted());
    }
    CHECK(fitted_all.mean(3) == 0.5);
    CHECK(fitted_all.strength(3) == 2.0);
    CHECK_FALSE(fitted_all.identifiable(3));

    // Merged shards are the whole, exactly.
    trial_counts one(4), two(4);
    const std::size_t half = all_k.size() / 3, rest = all_k.size() - half;
    one.absorb(input(all_k).slice(0, half), input(all_n).slice(0, half), input(group).slice(0, half));
    two.absorb(input(all_k).slice(half, rest), input(all_n).slice(half, rest), input(group).slice(half, rest));
    two.merge(one);
    two.merge(trial_counts(4));
    CHECK(to_bytes(beta_prior::from_counts(serial, two)) == to_bytes(fitted_all));
    CHECK_THROWS_AS(two.merge(trial_counts(3)), std::invalid_argument);

    const auto bytes = testing::check_bytes(fitted_all, [](const beta_prior& p) {
        return p.prior(p.groups() - 1).mean() >= 0.0 && p.posterior(1, 2).beta > 0.0;
    });
    CHECK_LAW(bytes);
}

TEST_CASE("beta_prior: what counts do not tell") {
    using column = std::vector<int>;
    const beta_prior nothing = beta_prior::fit(serial, column{}, column{});
    CHECK(nothing.prior().alpha == 1.0);
    CHECK(nothing.prior().beta == 1.0);
    CHECK_FALSE(nothing.identifiable());
    // One trial each: the mean, and the default strength.
    const beta_prior single =
        beta_prior::fit(serial, column{1, 0, 0, 0, 0}, column{1, 1, 1, 1, 0}, {}, 1, {.default_strength = 7.0});
    CHECK(single.mean() == 0.25);
    CHECK(single.strength() == 7.0);
    CHECK_FALSE(single.identifiable());
    // One class.
    const beta_prior none_hit = beta_prior::fit(serial, column{0, 0}, column{5, 4});
    CHECK(none_hit.mean() == 0.05);
    CHECK_FALSE(none_hit.identifiable());
    // Less spread than binomial noise, and cells that are all or nothing: the ends of the range.
    const beta_prior even = beta_prior::fit(serial, column{5, 5, 5, 5}, column{10, 10, 10, 10});
    CHECK(even.strength() == 1e8);
    CHECK(even.identifiable());
    CHECK_NEAR(even.mean(), 0.5, fitted());
    const beta_prior apart = beta_prior::fit(serial, column{0, 8, 0, 0}, column{8, 8, 8, 8});
    CHECK(apart.strength() == 1e-4);
    // s -> 0 leaves one label a cell; its mean moves by 1e-4 of it.
    CHECK(std::fabs(apart.mean() - 0.25) < 1e-3);
    const beta_prior bad = beta_prior::fit(serial, column{3, -1, 1, 1, 1}, column{2, 2, 2, 2000000, 2},
                                           std::vector<std::int8_t>{0, 0, 0, 0, 9}, 2);
    CHECK(bad.seen() == counts{1, 4});
    CHECK_THROWS_WITH_AS(beta_prior::fit(serial, column{1}, column{}), "trial_counts: 1 successes but 0 trials",
                         std::invalid_argument);
    CHECK_THROWS_AS(beta_prior::fit(serial, column{1}, column{1}, {}, 0), std::invalid_argument);
    CHECK_THROWS_WITH_AS(beta_prior::fit(serial, column{1}, column{1}, {}, 1, {.default_strength = 0.0}),
                         "beta_prior: default_strength must be in [1e-6, 1e8], got 0", std::invalid_argument);
}

}  // namespace
