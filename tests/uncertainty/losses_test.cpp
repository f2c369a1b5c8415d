// Delayed errors and critic losses: worked examples, references, gradients, merge law, tails, bad input, identities.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/uncertainty/critic_loss.hpp"
#include "reckon/uncertainty/delayed_error.hpp"
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

// The definition of each kind, one row at a time.
double reference_error(error_kind kind, double f, double y) {
    switch (kind) {
        case error_kind::log_loss: {
            const double p = std::fmin(std::fmax(f, 1e-7), 1.0 - 1e-7);
            return -(y * std::log(p) + (1.0 - y) * std::log1p(-p));
        }
        case error_kind::log1p_squared:
            return std::pow(std::log1p(y) - f, 2.0);
        default:
            return std::pow(y - f, 2.0);
    }
}

// The definition of each form, one row at a time.
double reference_loss(critic_form form, double a, double e) {
    const double mean = std::fmax(a, 0.0) + std::log1p(std::exp(-std::fabs(a)));
    switch (form) {
        case critic_form::qlike:
            return e * std::exp(-a) + a;
        case critic_form::squared:
            return std::pow(mean - e, 2.0);
        case critic_form::absolute:
            return std::fabs(mean - e);
        default:
            return std::pow(a - std::log(e), 2.0);
    }
}

constexpr critic_form all_forms[] = {critic_form::qlike, critic_form::squared, critic_form::absolute,
                                     critic_form::log_squared};

// Errors with a heavy tail, some of them missing.
template <class T>
std::vector<T> random_errors(std::size_t n, std::uint64_t seed = 7) {
    std::vector<T> e = random_normal<T>(n, 0.0, 1.5, seed);
    for (std::size_t i = 0; i < n; ++i) e[i] = i % 17 == 5 ? std::numeric_limits<T>::quiet_NaN() : std::exp(e[i]);
    return e;
}

TEST_CASE("delayed_error: worked example") {
    const std::vector<double> f{0.25, 0.5, 0.75, 0.5}, y{1.0, nan, 0.0, 1.0};
    std::vector<double> e(4);
    const counts seen = delayed_error(serial, f, y, e);
    CHECK(seen == counts{3, 1});
    CHECK(e[0] == 0.5625);
    CHECK(std::isnan(e[1]));
    CHECK(e[2] == 0.5625);
    CHECK(e[3] == 0.25);
    delayed_error(serial, f, y, e, {.kind = error_kind::brier, .cap = 0.5});
    CHECK(e[0] == 0.5);
    delayed_error(serial, f, y, e, {.kind = error_kind::log_loss});
    CHECK_NEAR(e[0], -std::log(0.25), ulp(4));
    const std::vector<double> log_time(4, 1.0), time(4, std::exp(1.5) - 1.0);
    delayed_error(serial, log_time, time, e, {.kind = error_kind::log1p_squared});
    CHECK_NEAR(e[0], 0.25, reduction(4));
}

TEST_CASE_TEMPLATE("delayed_error: against the definition", T, float, double) {
    for (const error_kind kind :
         {error_kind::squared, error_kind::brier, error_kind::log_loss, error_kind::log1p_squared}) {
        for (const std::size_t n : sweep_lengths(simd::pack<T>::lanes)) {
            CAPTURE(n);
            CAPTURE(static_cast<int>(kind));
            const placed<T> f(random_uniform<T>(n, 0.0, 1.0, 1), 1), y(random_uniform<T>(n, 0.0, 1.0, 2), n % 2);
            std::vector<T> e(n);
            CHECK(delayed_error(serial, f, y, e, {.kind = kind}) == counts{n, 0});
            std::vector<double> want(n);
            for (std::size_t i = 0; i < n; ++i) {
                want[i] = reference_error(kind, static_cast<double>(f.data()[i]), static_cast<double>(y.data()[i]));
            }
            // The difference is exact up to one rounding of numbers below 1; the logarithms of log_loss reach 16.
            tolerance tol = probability<T>();
            if (kind == error_kind::log_loss) tol.absolute *= 4.0;
            CHECK_ALL_NEAR(e, want, tol);
        }
    }
}

TEST_CASE("delayed_error: what cannot be used is NaN and counted") {
    const std::vector<double> f{0.5, nan, inf, 0.5, 1.5, 0.5, -0.1, 0.5}, y{inf, 1.0, 1.0, -0.5, 0.5, 1.5, 0.0, 0.0};
    std::vector<double> e(8);
    CHECK(delayed_error(serial, f, y, e) == counts{5, 3});
    CHECK(delayed_error(serial, f, y, e, {.kind = error_kind::brier}) == counts{1, 7});
    CHECK(delayed_error(serial, f, y, e, {.kind = error_kind::log_loss}) == counts{1, 7});
    CHECK(std::isnan(e[6]));
    CHECK(delayed_error(serial, f, y, e, {.kind = error_kind::log1p_squared}) == counts{4, 4});
    // Certain and wrong: the limit of the logarithm, alike at both ends and in float.
    const std::vector<float> sure{0.0F, 1.0F, 1.0F}, seen{1.0F, 0.0F, 1.0F};
    std::vector<float> loss(3);
    CHECK(delayed_error(serial, sure, seen, loss, {.kind = error_kind::log_loss}) == counts{3, 0});
    CHECK(loss[0] == static_cast<float>(-std::log(1e-7)));
    CHECK(loss[1] == loss[0]);
    CHECK(loss[2] == static_cast<float>(-std::log1p(-1e-7)));
    // A square that overflows is the largest number, or the cap.
    const std::vector<float> far{3e38F}, near_by{-3e38F};
    std::vector<float> square(1);
    CHECK(delayed_error(serial, far, near_by, square) == counts{1, 0});
    CHECK(square[0] == (std::numeric_limits<float>::max)());
    delayed_error(serial, far, near_by, square, {.cap = 9.0});
    CHECK(square[0] == 9.0F);
    std::vector<float> nothing;
    CHECK(delayed_error(serial, nothing, nothing, nothing) == counts{});
}

TEST_CASE("delayed_error: tails, threads, checks") {
    for (const error_kind kind : {error_kind::squared, error_kind::log_loss, error_kind::log1p_squared}) {
        const auto kernel = [kind](vector_view<const float> in, vector_view<float> out) {
            const std::vector<float> y(in.size(), 0.25F);
            delayed_error(serial, in, y, out, {.kind = kind});
        };
        CHECK_LAW(testing::check_tails(kernel, finite_extremes<float>()));
        CHECK_LAW(testing::check_nan_propagates(kernel, random_uniform<float>(40, 0.0, 1.0)));
    }
    const std::vector<double> f = random_normal<double>(40000), y = random_errors<double>(40000);
    exec::pool pool(3);
    CHECK_LAW(testing::check_map_policy<double>(f.size(), exec::host{pool}, [&](const auto& where, auto out) {
        CHECK(delayed_error(where, f, y, out).rejected == (40000 - 5 + 16) / 17);
    }));
    std::vector<double> two(2), three(3);
    CHECK_THROWS_WITH_AS(delayed_error(serial, two, three, two), "delayed_error: 2 predictions but 3 outcomes",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(delayed_error(serial, two, two, three), "delayed_error: 2 predictions but room for 3 errors",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(delayed_error(serial, two, two, two, {.cap = 0.0}), "delayed_error: cap must be > 0, got 0",
                         std::invalid_argument);
    CHECK_THROWS_AS(delayed_error(serial, two, two, two, {.epsilon = 0.5}), std::invalid_argument);
}

TEST_CASE("delayed_error: mean of the error is squared bias plus noise, and the Brier identity") {
    // f* and sigma known: E e = (f* - f)^2 + sigma^2 in each of ten bins of bias, within three standard errors.
    const std::size_t n = 20000;
    for (int bin = 0; bin < 10; ++bin) {
        const double bias = 0.2 * bin, sigma = 0.6;
        const std::vector<double> f(n, 0.5),
            y = random_normal<double>(n, 0.5 + bias, sigma, 100 + static_cast<std::uint64_t>(bin));
        std::vector<double> e(n);
        delayed_error(serial, f, y, e);
        moments m;
        for (const double x : e) m.absorb(x);
        CHECK(std::fabs(m.mean() - (bias * bias + sigma * sigma)) < 3.0 * std::sqrt(m.sample_variance() / n));
    }
    // A binary head: E (y - p)^2 - p (1 - p) = d (1 - 2 p) with d = p* - p, which is signed. Exact over both outcomes.
    const double p = 0.3, truth = 0.55, d = truth - p;
    std::vector<double> e(2);
    delayed_error(serial, std::vector<double>{p, p}, std::vector<double>{1.0, 0.0}, e, {.kind = error_kind::brier});
    CHECK_NEAR(truth * e[0] + (1.0 - truth) * e[1] - p * (1.0 - p), d * (1.0 - 2.0 * p), probability());
    CHECK_NEAR(d * (1.0 - 2.0 * p), 0.1, probability());
}

TEST_CASE("critic_loss: worked example") {
    const std::vector<double> a{0.0, 1.0, std::log(2.0)}, e{1.0, nan, 2.0}, w{1.0, 1.0, 2.0};
    std::vector<double> gradient(3, 1.0);
    const counted_loss loss = critic_loss(serial, a, e, w, {}, gradient, 3.0);
    CHECK_NEAR(loss.sum(), 1.0 + 2.0 * (1.0 + std::log(2.0)), reduction(4));
    CHECK(loss.weight() == 3.0);
    CHECK(loss.seen() == counts{2, 1});
    CHECK_ALL_NEAR(gradient, (std::vector<double>{1.0, 1.0, 1.0}), probability());
    CHECK_NEAR(critic_floor(serial, e, w), 1e-6 * 5.0 / 3.0, reduction(4));
    CHECK(critic_floor(serial, std::vector<double>{nan}) == 0.0);
    CHECK(std::isnan(critic_loss(serial, std::vector<double>{}, std::vector<double>{}).finish()));
}

TEST_CASE_TEMPLATE("critic_loss: against the definition", T, float, double) {
    for (const critic_form form : all_forms) {
        for (const std::size_t n : sweep_lengths(simd::pack<T>::lanes)) {
            CAPTURE(n);
            CAPTURE(static_cast<int>(form));
            const placed<T> a(random_normal<T>(n, 0.0, 2.0, 1), n % 2), e(random_errors<T>(n), 1);
            const placed<T> w(random_uniform<T>(n, 0.0, 2.0, 3), 0);
            double sum = 0.0, magnitude = 0.0, weight = 0.0;
            for (std::size_t i = 0; i < n; ++i) {
                const auto error = static_cast<double>(e.data()[i]), each = static_cast<double>(w.data()[i]);
                if (std::isnan(error)) continue;
                const double one = each * reference_loss(form, static_cast<double>(a.data()[i]), error + 0.125);
                sum += one;
                magnitude += std::fabs(one);
                weight += each;
            }
            const counted_loss got = critic_loss(serial, a, e, w, {form, 0.125});
            CHECK_NEAR(got.sum(), sum, reduction<T>(256).of(magnitude));
            CHECK_NEAR(got.weight(), weight, reduction<T>(256));
        }
    }
}

TEST_CASE("critic_loss: gradient") {
    const std::vector<double> e = random_errors<double>(200), w = random_uniform<double>(200, 0.0, 2.0, 3);
    std::vector<double> at = random_normal<double>(200, 0.0, 2.0, 4);
    at[0] = 25.0;  // on the tangent
    at[1] = -24.0;
    for (const critic_form form : all_forms) {
        CAPTURE(static_cast<int>(form));
        const critic_loss_options options{form, 0.01};
        const auto value = [&](vector_view<const double> x) { return critic_loss(serial, x, e, w, options).sum(); };
        const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
            critic_loss(serial, x, e, w, options, out);
        };
        std::vector<double> point = at;
        // e^24 beside the other rows would leave nothing of them in a difference of sums.
        if (form == critic_form::qlike) point[1] = -8.0;
        CHECK_LAW(testing::check_gradient(value, gradient, point));
    }
    // The tangent at -20, and at 20.
    std::vector<double> slope(2, 0.0);
    const std::vector<double> far{-24.0, 25.0}, one{2.0, 2.0};
    const counted_loss loss = critic_loss(serial, far, one, {}, {}, slope);
    CHECK_NEAR(slope[0], 1.0 - 2.0 * std::exp(20.0), reduction(4));
    CHECK_NEAR(slope[1], 1.0 - 2.0 * std::exp(-20.0), reduction(4));
    const double low = 2.0 * std::exp(20.0) - 20.0 - 4.0 * slope[0],
                 high = 2.0 * std::exp(-20.0) + 20.0 + 5.0 * slope[1];
    CHECK_NEAR(loss.sum(), low + high, reduction(4));
}

TEST_CASE("critic_loss: what a fitted critic estimates") {
    // Constant features: one output for all rows, found by Newton's method or bisection on the gradient.
    const std::vector<double> e = random_errors<double>(500);
    std::vector<double> known;
    for (const double x : e) {
        if (!std::isnan(x)) known.push_back(x);
    }
    double mean = 0.0, log_mean = 0.0;
    for (const double x : known) {
        mean += x / static_cast<double>(known.size());
        log_mean += std::log(x) / static_cast<double>(known.size());
    }
    std::sort(known.begin(), known.end());
    const auto fit = [&](const std::vector<double>& errors, critic_form form) {
        double low = -19.0, high = 19.0;
        for (int step = 0; step < 80; ++step) {
            const double a = 0.5 * (low + high);
            std::vector<double> slopes(errors.size());
            critic_loss(serial, std::vector<double>(errors.size(), a), errors, {}, {form, 0.0}, slopes);
            double sum = 0.0;
            for (const double s : slopes) sum += s;
            (sum < 0.0 ? low : high) = a;
        }
        return 0.5 * (low + high);
    };
    const auto softplus = [](double a) { return std::log1p(std::exp(a)); };
    CHECK_NEAR(std::exp(fit(e, critic_form::qlike)), mean, fitted());
    CHECK_NEAR(softplus(fit(e, critic_form::squared)), mean, fitted());
    CHECK_NEAR(fit(e, critic_form::log_squared), log_mean, fitted());
    const double median = softplus(fit(e, critic_form::absolute));
    CHECK(median >= known[known.size() / 2 - 1] - 1e-9);
    CHECK(median <= known[known.size() / 2] + 1e-9);
    CHECK(median < 0.8 * mean);  // not proper for the mean: the tail is heavy

    // A factor on all errors moves the fit by its logarithm, and there the gradients are the same.
    std::vector<double> scaled = e;
    for (double& x : scaled) x *= 8.0;
    const double a = fit(e, critic_form::qlike), moved = fit(scaled, critic_form::qlike);
    CHECK_NEAR(moved, a + std::log(8.0), fitted());
    std::vector<double> one(e.size()), other(e.size());
    critic_loss(serial, std::vector<double>(e.size(), 0.3), e, {}, {}, one);
    critic_loss(serial, std::vector<double>(e.size(), 0.3 + std::log(8.0)), scaled, {}, {}, other);
    for (std::size_t i = 0; i < e.size(); ++i) CHECK_NEAR(other[i], one[i], reduction(16).of(1.0 + std::fabs(one[i])));
}

TEST_CASE("critic_loss: bad rows, extremes, zero weights") {
    const double most = (std::numeric_limits<double>::max)();
    const std::vector<double> a(8, 0.5), e{1.0, -1.0, inf, nan, most, 0.0, 1.0, 1.0};
    const std::vector<double> w{1.0, 1.0, 1.0, 1.0, 1e-300, 1.0, nan, -1.0};
    std::vector<double> slope(8, 0.0);
    const counted_loss got = critic_loss(serial, a, e, w, {}, slope);
    CHECK(got.seen() == counts{3, 5});
    CHECK(std::isfinite(got.sum()));
    for (const std::size_t i : {1u, 2u, 3u, 6u, 7u}) CHECK(slope[i] == 0.0);
    CHECK(slope[5] == 1.0);  // an error of 0 pushes down
    // A NaN output comes out, unless its row is not used.
    CHECK(std::isnan(critic_loss(serial, std::vector<double>{nan}, std::vector<double>{1.0}).sum()));
    CHECK(critic_loss(serial, std::vector<double>{nan}, std::vector<double>{nan}).sum() == 0.0);
    CHECK(critic_loss(serial, std::vector<double>{nan}, std::vector<double>{1.0}, std::vector<double>{0.0}).sum() ==
          0.0);
    // No output is too large.
    for (const critic_form form : all_forms) {
        for (const float x : {-1e30F, -200.0F, 200.0F, 1e4F}) {
            std::vector<float> g(1);
            const counted_loss loss =
                critic_loss(serial, std::vector<float>{x}, std::vector<float>{3.0F}, {}, {form, 0.0}, g);
            CHECK(std::isfinite(g[0]));
            if (std::fabs(x) < 1e20F) CHECK(std::isfinite(loss.sum()));
        }
    }
    const std::vector<float> two(2), three(3);
    std::vector<float> out(3);
    CHECK_THROWS_WITH_AS(critic_loss(serial, two, three), "critic_loss: 2 outputs but 3 errors", std::invalid_argument);
    CHECK_THROWS_WITH_AS(critic_loss(serial, two, two, three), "critic_loss: 2 errors but 3 weights",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(critic_loss(serial, two, two, {}, {}, out),
                         "critic_loss: 2 outputs but room for 3 derivatives", std::invalid_argument);
    CHECK_THROWS_WITH_AS(critic_loss(serial, two, two, {}, {.floor = -1.0}),
                         "critic_loss: floor must be finite and >= 0, got -1", std::invalid_argument);
}

TEST_CASE("critic_loss: merge law, threads, tails") {
    const std::vector<double> a = random_normal<double>(40000), e = random_errors<double>(40000);
    const reckon::detail::critic_rows<double> rows{input(a), input(e), {}, {}};
    const reckon::detail::critic_fold<isa::native> identity;
    CHECK_LAW(testing::check_merge(identity, rows, [](const auto& x, const auto& y) {
        return testing_support::near(x.total.sum(), y.total.sum(), reduction(40000)).ok &&
               x.total.weight() == y.total.weight() && x.total.seen() == y.total.seen();
    }));
    exec::pool pool(3);
    CHECK_LAW(testing::check_fold_policy(identity, rows, exec::host{pool}, [](const auto& x, const auto& y) {
        return x.total.sum() == y.total.sum() && x.total.seen() == y.total.seen();
    }));
    for (const critic_form form : all_forms) {
        const auto kernel = [form](vector_view<const float> in, vector_view<float> out) {
            const std::vector<float> outputs(in.begin(), in.end()), errors(in.size(), 0.75F);
            for (float& x : out) x = 0.0F;
            critic_loss(serial, outputs, errors, {}, {form, 0.0}, out);
        };
        CHECK_LAW(testing::check_tails(kernel, finite_extremes<float>()));
        CHECK_LAW(testing::check_nan_propagates(kernel, random_normal<float>(40)));
    }
}

}  // namespace
