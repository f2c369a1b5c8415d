// The correction of one field value: deviation, intensity, inversion, guard, and the weights of several fields.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "../support/fixture.hpp"
#include "reckon/calibration/confidence_ratio.hpp"
#include "reckon/calibration/field_weights.hpp"
#include "reckon/exec/pool.hpp"

namespace {

using reckon::confidence_log_ratio;
using reckon::confidence_mean;
using reckon::confidence_options;
using reckon::deviation;
using reckon::field_cell;
using reckon::guard_kind;
using reckon::intensity_kind;
using reckon::reduced_deviation;
using reckon::testing_support::fixture;

constexpr intensity_kind intensities[] = {intensity_kind::tanh, intensity_kind::gate, intensity_kind::clamp};
constexpr double inf = std::numeric_limits<double>::infinity();

field_cell cell_of(double pb, double k, double n) {
    return {n, pb * n, k, 0};
}

double mean_of(double pb, double k, double n, intensity_kind intensity, double s) {
    return confidence_mean(cell_of(pb, k, n), {.intensity = intensity, .scale = s});
}

}  // namespace

TEST_CASE("confidence_ratio: worked examples") {
    CHECK(mean_of(.1, 0, 5, intensity_kind::tanh, 1.96) == doctest::Approx(.091912).epsilon(1e-5));
    CHECK(mean_of(.1, 0, 500, intensity_kind::tanh, 1.96) == doctest::Approx(.007610).epsilon(1e-4));
    CHECK(mean_of(.3, 9, 10, intensity_kind::tanh, 1) == doctest::Approx(.766232).epsilon(1e-6));
    CHECK(mean_of(.05, 80, 1000, intensity_kind::tanh, 1) == doctest::Approx(.071837).epsilon(1e-5));
    CHECK(mean_of(.05, 80, 1000, intensity_kind::gate, 1) == doctest::Approx(.079056).epsilon(1e-5));
    CHECK(mean_of(.05, 80, 1000, intensity_kind::clamp, 1.96) == doctest::Approx(.064748).epsilon(1e-5));
    CHECK(deviation(1000, .05, .08) == doctest::Approx(-4.352858).epsilon(1e-7));
    CHECK(confidence_mean_slope(cell_of(.05, 80, 1000), {.scale = 1.96}) == doctest::Approx(0.0604232).epsilon(1e-6));
    // A lucky singleton.
    CHECK(deviation(1, .03, 1) == doctest::Approx(-5.686).epsilon(1e-4));
    CHECK(mean_of(.03, 1, 1, intensity_kind::tanh, 1.96) == doctest::Approx(.208).epsilon(2e-3));
    CHECK(mean_of(.03, 1, 1, intensity_kind::clamp, 1) == doctest::Approx(.5).epsilon(1e-9));
    CHECK(mean_of(.03, 1, 1, intensity_kind::gate, 1.96) == doctest::Approx(.740).epsilon(1e-3));
    // The guard leaves little of it.
    CHECK(std::exp(confidence_log_ratio(cell_of(.03, 1, 1), {.scale = 1.96})) < 1.02);
    CHECK(confidence_log_ratio(cell_of(.03, 1, 1), {.guard = guard_kind::hard}) == 0.0);
}

TEST_CASE("confidence_ratio: mpmath fixture") {
    const fixture f{"confcalib.txt"};
    const auto &n = f["grid.n"], &p = f["grid.P"], &k = f["grid.K"], &mode = f["grid.mode"], &s = f["grid.s"];
    for (std::size_t i = 0; i < n.size(); ++i) {
        const field_cell cell{n[i], p[i], k[i], 0};
        confidence_options o{
            .intensity = static_cast<intensity_kind>(static_cast<int>(mode[i])), .scale = s[i], .ratio_limit = inf};
        const double pb = std::fmin(std::fmax(p[i] / n[i], 1e-7), 1 - 1e-7);
        const double l = deviation(n[i], pb, k[i] / n[i]);
        const double absolute = 1e-15 * pb * std::sqrt(n[i] / (pb * (1 - pb)));
        // 1 - pb has lost digits when pb is close to 1.
        const double relative = 4e-15 + 2e-16 / (1 - pb);
        CHECK(std::fabs(l - f["grid.lam"][i]) <= 4 * absolute + relative * std::fabs(l));
        CHECK(reduced_deviation(o.intensity, l, o.scale) ==
              doctest::Approx(f["grid.lp"][i]).epsilon(1e-11).scale(1 + absolute * 1e12));
        // The oracle bisects [0, 1] 260 times, which leaves 1e-78 between its ends.
        CHECK(std::fabs(confidence_mean(cell, o) - f["grid.q"][i]) <= (1e-11 + relative) * f["grid.q"][i] + 1e-78);
        const auto log_ratio = [&](guard_kind guard, double limit) {
            o.guard = guard;
            o.ratio_limit = limit;
            return confidence_log_ratio(cell, o);
        };
        CHECK(log_ratio(guard_kind::off, inf) == doctest::Approx(f["grid.log_r.floor"][i]).epsilon(1e-11));
        CHECK(log_ratio(guard_kind::soft, inf) == doctest::Approx(f["grid.log_r.soft"][i]).epsilon(1e-11));
        CHECK(log_ratio(guard_kind::soft, 8) == doctest::Approx(f["grid.log_r.soft_clip"][i]).epsilon(1e-11));
        CHECK(log_ratio(guard_kind::hard, 8) == doctest::Approx(f["grid.log_r.hard_clip"][i]).epsilon(1e-11));
        if (std::isfinite(f["grid.dq_dpb"][i])) {
            CHECK(confidence_mean_slope(cell, o) == doctest::Approx(f["grid.dq_dpb"][i]).epsilon(1e-8));
        }
    }
}

TEST_CASE("confidence_ratio: slopes against central differences") {
    for (const double n : {20.0, 1000.0}) {
        for (const double pb : {0.03, 0.3, 0.8}) {
            for (const double yb : {0.05, 0.5}) {
                const double h = 1e-6;
                const double l_slope = (deviation(n, pb + h, yb) - deviation(n, pb - h, yb)) / (2 * h);
                CHECK(reckon::deviation_slope(n, pb, yb) == doctest::Approx(l_slope).epsilon(1e-6));
                for (const double l : {-2.5, -0.4, 0.3, 1.7}) {
                    const double q = reckon::deviated_mean(n, yb * n, l);
                    const double q_slope =
                        (reckon::deviated_mean(n, yb * n, l + h) - reckon::deviated_mean(n, yb * n, l - h)) / (2 * h);
                    CHECK(reckon::deviated_mean_slope(n, q, l) == doctest::Approx(q_slope).epsilon(1e-6));
                    for (const auto g : intensities) {
                        const double g_slope =
                            (reduced_deviation(g, l + h, 0.9) - reduced_deviation(g, l - h, 0.9)) / (2 * h);
                        CHECK(reckon::reduced_deviation_slope(g, l, 0.9) == doctest::Approx(g_slope).epsilon(1e-6));
                    }
                }
                for (const auto g : intensities) {
                    const confidence_options o{.intensity = g, .scale = 1.5};
                    const double mean_slope = (confidence_mean(cell_of(pb + h, yb * n, n), o) -
                                               confidence_mean(cell_of(pb - h, yb * n, n), o)) /
                                              (2 * h);
                    CHECK(confidence_mean_slope(cell_of(pb, yb * n, n), o) ==
                          doctest::Approx(mean_slope).epsilon(1e-6).scale(0.01));
                }
            }
        }
    }
}

TEST_CASE("confidence_ratio: q lies between prediction and observation, and solves the inversion") {
    for (const auto g : intensities) {
        for (const double n : {1.0, 7.0, 300.0, 1e6, 1e10}) {
            for (const double pb : {1e-4, 0.02, 0.4, 0.999}) {
                for (const double share : {0.0, 0.01, 0.3, 1.0}) {
                    for (const double s : {0.25, 1.0, 1.96}) {
                        const double k = share * n, q = mean_of(pb, k, n, g, s);
                        CHECK(q >= std::fmin(pb, share) * (1 - 1e-15));
                        CHECK(q <= std::fmax(pb, share) * (1 + 1e-15));
                        const double l = reduced_deviation(g, deviation(n, pb, share), s);
                        if (q > 0 && q < 1 && l != 0) {
                            // In units of q: the division by a small standard error only magnifies rounding.
                            CHECK(std::fabs(q - share - l * std::sqrt(q * (1 - q) / n)) <= 1e-10 * std::fmax(q, 1e-6));
                        }
                    }
                }
            }
        }
    }
}

TEST_CASE("confidence_ratio: intensity is odd, bounded by the deviation, and 1 at 0") {
    for (const auto g : intensities) {
        for (const double s : {0.3, 1.0, 4.0}) {
            for (const double l : {1e-9, 0.1, 1.0, 5.0, 800.0, 1e6}) {
                const double r = reduced_deviation(g, l, s);
                CHECK(r >= 0);
                CHECK(r <= l);
                CHECK(reduced_deviation(g, -l, s) == -r);
            }
            CHECK(reduced_deviation(g, 1e-9, s) == doctest::Approx(1e-9).epsilon(1e-7).scale(0));
        }
    }
    CHECK(reduced_deviation(intensity_kind::full, 3, 1) == 0);
    CHECK(reduced_deviation(intensity_kind::gate, 1e6, 1) == 0);
    // tanh in its logistic form.
    CHECK(reduced_deviation(intensity_kind::tanh, 1.3, 0.7) ==
          doctest::Approx(0.7 * (2 / (1 + std::exp(-2 * 1.3 / 0.7)) - 1)).epsilon(1e-14));
}

TEST_CASE("confidence_ratio: limits in s and n") {
    for (const auto g : intensities) {
        CHECK(mean_of(.05, 80, 1000, g, 1e9) == doctest::Approx(.05).epsilon(1e-8));
        CHECK(mean_of(.05, 80, 1000, g, 1e-9) == doctest::Approx(.08).epsilon(1e-8));
        CHECK(mean_of(.08, 80, 1000, g, 1) == doctest::Approx(.08).epsilon(1e-12));
        CHECK(mean_of(.05, 80, 1000, g, inf) == doctest::Approx(.05).epsilon(1e-12));
    }
    // With fixed rates, more rows bring q to the observation, and tanh within s standard errors of it.
    for (const auto g : {intensity_kind::tanh, intensity_kind::gate}) {
        double last = 1;
        for (const double n : {10.0, 100.0, 1e3, 1e4, 1e6, 1e9}) {
            const double q = mean_of(.05, .08 * n, n, g, 1);
            CHECK(.08 - q <= last);
            last = .08 - q;
            if (g == intensity_kind::tanh) CHECK(std::fabs(q - .08) <= std::sqrt(q * (1 - q) / n) * (1 + 1e-9));
        }
        CHECK(last < 1e-5);
    }
    CHECK(mean_of(.05, 80, 1000, intensity_kind::full, 1) == .08);
}

TEST_CASE("confidence_ratio: empty, all of one class, clip and floor") {
    CHECK(confidence_log_ratio({}, {}) == 0.0);
    CHECK(confidence_log_ratio({}, {}, 0.5) == 0.5);
    const confidence_options open{.intensity = intensity_kind::full, .guard = guard_kind::off, .ratio_limit = inf};
    CHECK(std::exp(confidence_log_ratio(cell_of(.1, 0, 50), open)) == doctest::Approx(1e-3));
    CHECK(std::exp(confidence_log_ratio(cell_of(.1, 50, 50), open)) == doctest::Approx(10));
    confidence_options clipped = open;
    clipped.ratio_limit = 8;
    CHECK(confidence_log_ratio(cell_of(.1, 0, 50), clipped) == -std::log(8.0));
    CHECK(confidence_log_ratio(cell_of(.1, 50, 50), clipped) == std::log(8.0));
    // No expected event at all.
    CHECK(confidence_log_ratio(cell_of(0, 0, 50), {}) == doctest::Approx(0).epsilon(1e-12));
    CHECK(std::isfinite(confidence_log_ratio(cell_of(0, 50, 50), open)));
    CHECK(std::isfinite(confidence_log_ratio(cell_of(1, 0, 50), {})));
    for (const double kappa : {0.0, 2.0, inf}) {
        const confidence_options o{.intensity = intensity_kind::empirical_bayes, .kappa = kappa, .ratio_limit = inf};
        CHECK(std::isfinite(confidence_log_ratio(cell_of(0, 0, 50), o)));
        CHECK(std::isfinite(confidence_log_ratio(cell_of(0, 50, 50), o)));
        if (kappa == 2) CHECK(std::exp(confidence_log_ratio(cell_of(.1, 13, 50), o)) == doctest::Approx(15.0 / 7.0));
    }
}

TEST_CASE("field_weights: SciPy fixture") {
    const fixture f{"confcalib.txt"};
    const auto &p = f["fusion.held.p"], &y = f["fusion.held.y"];
    std::vector<double> x;
    for (int field = 0; field < 3; ++field) {
        const auto& table = f["fusion.log_r" + std::to_string(field)];
        for (const double id : f["fusion.held.id" + std::to_string(field)]) {
            x.push_back(id >= 0 && id < double(table.size()) ? table[std::size_t(id)] : 0.0);
        }
    }
    const std::size_t n = p.size();
    const reckon::matrix_view<const double> rows(x.data(), 3, n);
    const auto weights = reckon::fit_field_weights(reckon::exec::serial, p, y, rows);
    REQUIRE(weights.size() == 3);
    for (std::size_t k = 0; k < 3; ++k) {
        CHECK(weights[k] == doctest::Approx(f["fusion.learned.weights"][k]).epsilon(1e-6));
    }
    for (const unsigned threads : {1u, 2u, 3u}) {
        reckon::exec::pool pool{threads};
        CHECK(reckon::fit_field_weights(reckon::exec::host{pool}, p, y, rows) == weights);
    }
    std::vector<double> turned(x);
    for (std::size_t i = 0; i < n; ++i) turned[i] = -turned[i];
    const auto bound =
        reckon::fit_field_weights(reckon::exec::serial, p, y, reckon::matrix_view<const double>(turned.data(), 3, n));
    CHECK(bound[0] == 0.0);
    for (std::size_t k = 1; k < 3; ++k) {
        CHECK(bound[k] == doctest::Approx(f["fusion.learned_bound.weights"][k]).epsilon(1e-6));
    }

    // Gradients of both forms, against the fixture and against central differences.
    using reckon::correction_kind;
    for (const auto kind : {correction_kind::logit, correction_kind::ratio}) {
        const auto& expected = f[kind == correction_kind::logit ? "fusion.gradient.logit" : "fusion.gradient.ratio"];
        const auto batch = reckon::detail::corrected_rows<reckon::scored<double, double>, double>{
            reckon::make_scored("test", p, y), rows};
        const auto at = [&](std::vector<double> w) {
            reckon::field_weight_loss loss(kind, std::move(w));
            loss.absorb(batch);
            return loss;
        };
        const auto w = f["fusion.gradient.w"];
        const auto loss = at(w);
        for (std::size_t k = 0; k < 3; ++k) {
            CHECK(loss.gradient()[k] / loss.weight() == doctest::Approx(expected[k]).epsilon(1e-9));
            auto up = w, down = w;
            up[k] += 1e-5;
            down[k] -= 1e-5;
            CHECK((at(up).loss() - at(down).loss()) / 2e-5 == doctest::Approx(loss.gradient()[k]).epsilon(1e-6));
        }
    }
}

TEST_CASE("field_weights: nothing to learn from") {
    const std::vector<double> none;
    const std::vector<float> p(4, 0.25f), y{0, 1, 0, 0}, bad(4, 2.0f);
    const std::vector<double> zeros(8, 0.0);
    const std::vector<double> half{0.5, 0.5};
    const auto fit = [&](const auto& scores, const auto& labels, std::size_t rows) {
        return reckon::fit_field_weights(reckon::exec::serial, scores, labels,
                                         reckon::matrix_view<const double>(zeros.data(), 2, rows));
    };
    CHECK(fit(none, none, 0) == half);
    CHECK(fit(p, y, 4) == half);
    CHECK(fit(bad, y, 4) == half);
    CHECK_THROWS_AS(fit(p, y, 3), std::invalid_argument);
}
