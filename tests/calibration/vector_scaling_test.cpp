// Vector scaling.
#include "reckon/calibration/vector_scaling.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "multiclass_law.hpp"
#include "reckon/calibration/platt.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;

constexpr vector_scaling_options plain_logits{.input = score_kind::logit, .smooth_targets = false};

std::vector<double> parameters(const vector_scaling& c) {
    std::vector<double> all = c.slopes();
    all.insert(all.end(), c.intercepts().begin(), c.intercepts().end());
    return all;
}

// Mean loss against targets 1 and 0 or smoothed ones, and its gradient over [a, b], row by row.
std::vector<double> reference_gradient(const class_columns<double>& data, const std::vector<double>& theta, bool smooth,
                                       double ridge, double& loss) {
    const std::size_t K = data.classes;
    std::vector<double> size(K), g(2 * K);
    double total = 0;
    for (std::size_t i = 0; i < data.size(); ++i) size[static_cast<std::size_t>(data.labels[i])] += data.weights[i];
    for (const double n : size) total += n;
    loss = 0;
    for (std::size_t i = 0; i < data.size(); ++i) {
        std::vector<double> t;
        for (std::size_t k = 0; k < K; ++k) t.push_back(theta[k] * data.rows()(i, k) + theta[K + k]);
        const auto p = plain_softmax(t);
        const auto y = static_cast<std::size_t>(data.labels[i]);
        for (std::size_t k = 0; k < K; ++k) {
            const double rest = smooth ? 1 / ((size[y] + 2) * static_cast<double>(K - 1)) : 0.0;
            const double target = k == y ? (smooth ? (size[y] + 1) / (size[y] + 2) : 1.0) : rest;
            const double w = data.weights[i] / total;
            loss -= w * target * std::log(p[k]);
            g[k] += w * (p[k] - target) * data.rows()(i, k);
            g[K + k] += w * (p[k] - target);
        }
    }
    for (std::size_t k = 0; k < K; ++k) {
        const double share = ridge / static_cast<double>(K), slope = theta[k] - 1;
        loss += share * (slope * slope + theta[K + k] * theta[K + k]);
        g[k] += 2 * share * slope;
        g[K + k] += 2 * share * theta[K + k];
    }
    return g;
}

}  // namespace

TEST_CASE("vector_scaling: worked example") {
    // No information in the scores: a = 0 is optimal, and b gives the shares 1/2, 1/4, 1/4.
    std::vector<double> scores;
    std::vector<int> labels;
    for (const double side : {-1.0, 1.0}) {
        for (const int y : {0, 0, 1, 2}) {
            scores.insert(scores.end(), {side, 0.0, 0.0});
            labels.push_back(y);
        }
    }
    const auto c = vector_scaling::fit(exec::serial, view(scores, 8, 3), labels, none{}, plain_logits);
    const double third = std::log(2.0) / 3;
    CHECK_ALL_NEAR(c.intercepts(), (std::vector<double>{2 * third, -third, -third}), fitted());
    CHECK_ALL_NEAR(c.slopes(), (std::vector<double>{0, 0, 0}), fitted());
    CHECK_ALL_NEAR(mapped_rows(c, std::vector<double>{5, 0, 0}), (std::vector<double>{0.5, 0.25, 0.25}), fitted());
}

TEST_CASE("vector_scaling: ends where the gradient of a plain loop is 0") {
    for (const std::size_t classes : {std::size_t{3}, std::size_t{6}, std::size_t{40}}) {
        for (const std::size_t n : {std::size_t{150}, std::size_t{8200}}) {
            if (classes == 40 && n > 1000) continue;
            const auto data = random_classes<double>(n, classes, 0.6, 1.5, n);
            for (const bool smooth : {true, false}) {
                for (const double ridge : {0.0, 0.05}) {
                    // Without smoothing a class may be absent or separable.
                    if (!smooth && ridge == 0.0 && classes == 40) continue;
                    CAPTURE(classes);
                    CAPTURE(smooth);
                    CAPTURE(ridge);
                    const auto c =
                        vector_scaling::fit(exec::serial, data.rows(), data.labels, data.weights,
                                            {.input = score_kind::logit, .smooth_targets = smooth, .ridge = ridge});
                    double loss = 0, intercepts = 0;
                    const auto g = reference_gradient(data, parameters(c), smooth, ridge, loss);
                    for (const double x : g) CHECK_NEAR(x, 0.0, tolerance{.relative = 1e-10}.of(loss));
                    for (const double b : c.intercepts()) intercepts += b;
                    CHECK_NEAR(intercepts, 0.0, fitted());
                }
            }
        }
    }
}

TEST_CASE("vector_scaling: the Newton pass has the derivatives of the loss") {
    const auto data = random_classes<double>(90, 4);
    const auto batch = make_classified("test", data.rows(), data.labels, data.weights);
    const reckon::detail::class_rows rows(exec::serial, batch, score_kind::logit);
    const reckon::detail::class_targets targets(rows.summary().class_weight, true);
    const std::vector<double> ones(4, 1.0);
    const std::vector<double> theta{0.5, 1.2, -0.3, 0.8, 0.1, -0.2, 0.4, 0.0};
    const auto at = [&](std::size_t i, double step) {
        std::vector<double> moved = theta;
        moved[i] += step;
        reckon::detail::vector_scaling_sums<isa::native> sums{&moved, &ones, &targets, rows.summary().weight,
                                                              reckon::detail::class_newton_sums(8)};
        sums.absorb(batch);
        return sums.sums;
    };
    double loss = 0;
    const auto g = reference_gradient(data, theta, true, 0.0, loss);
    const auto here = at(0, 0.0);
    CHECK_NEAR(here.loss, loss, reduction(data.size()));
    CHECK_ALL_NEAR(here.gradient, g, reduction(data.size()).of(loss));
    for (std::size_t i = 0; i < 8; ++i) {
        const double h = 1e-4;
        const auto up = at(i, h), down = at(i, -h);
        CHECK_NEAR(here.gradient[i], (up.loss - down.loss) / (2 * h), fitted());
        for (std::size_t j = 0; j < 8; ++j) {
            const double second = (up.gradient[j] - down.gradient[j]) / (2 * h);
            CHECK_NEAR(here.hessian[i > j ? reckon::detail::in_triangle(i, j) : reckon::detail::in_triangle(j, i)],
                       second, fitted());
        }
    }
}

TEST_CASE("vector_scaling: equals the oracles") {
    const fixture data("multiclass.txt");
    for (const std::string name : {"three", "weighted", "two", "ten"}) {
        CAPTURE(name);
        const auto z = oracle_classes<double>(data, name, true);
        const auto fit = [&](bool smooth, double ridge) {
            return vector_scaling::fit(exec::serial, z.rows(), z.labels, z.weights,
                                       {.input = score_kind::logit, .smooth_targets = smooth, .ridge = ridge});
        };
        CHECK_ALL_NEAR(parameters(fit(true, 0.0)), data[name + ".vector.smooth"], fitted());
        CHECK_ALL_NEAR(parameters(fit(false, 0.0)), data[name + ".vector.plain"], fitted());
        const auto c = fit(false, 0.02);
        CHECK_ALL_NEAR(parameters(c), data[name + ".vector.ridge"], fitted());
        const std::vector<double> head(z.scores.begin(), z.scores.begin() + static_cast<std::ptrdiff_t>(5 * z.classes));
        CHECK_ALL_NEAR(mapped_rows(c, head), data[name + ".vector.ridge.at"], fitted());
        // Float scores are exact here, and the fit runs in double.
        const auto f = oracle_classes<float>(data, name, true);
        CHECK_ALL_NEAR(parameters(vector_scaling::fit(exec::serial, f.rows(), f.labels, f.weights, plain_logits)),
                       data[name + ".vector.plain"], fitted());
    }
}

TEST_CASE("vector_scaling: two classes, one of them without a score, are Platt scaling") {
    const auto data = random_classes<double>(2000, 2, 0.7, 1.5);
    std::vector<double> f, z;
    for (std::size_t i = 0; i < data.size(); ++i) {
        f.push_back(data.scores[2 * i + 1]);
        z.insert(z.end(), {0.0, f.back()});
    }
    const auto binary =
        platt::fit(exec::serial, f, data.labels, data.weights, platt_options{.input = score_kind::logit});
    const auto c = vector_scaling::fit(exec::serial, view(z, data.size(), 2), data.labels, data.weights,
                                       {.input = score_kind::logit});
    CHECK_NEAR(c.slopes()[1], binary.slope(), fitted());
    CHECK_NEAR(c.intercepts()[1] - c.intercepts()[0], binary.intercept(), fitted());
    CHECK(c.slopes()[0] == 0.0);
}

TEST_CASE("vector_scaling: separable data, absent classes and extreme logits stay finite") {
    // Every class is told by its score: finite by the smoothed targets, and by a ridge.
    std::vector<double> z;
    std::vector<int> y;
    for (int i = 0; i < 90; ++i) {
        for (int k = 0; k < 3; ++k) z.push_back(k == i % 3 ? 2.0 : 0.0);
        y.push_back(i % 3);
    }
    for (const vector_scaling_options& options :
         {vector_scaling_options{.input = score_kind::logit},
          vector_scaling_options{.input = score_kind::logit, .smooth_targets = false, .ridge = 0.01}, plain_logits}) {
        for (const double size : {1.0, 1e4}) {
            auto scaled = z;
            for (double& s : scaled) s *= size;
            const auto c = vector_scaling::fit(exec::serial, view(scaled, 90, 3), y, none{}, options);
            CHECK(all_distributions(mapped_rows(c, scaled), 3));
            std::vector<float> floats(scaled.begin(), scaled.end());
            CHECK(all_distributions(mapped_rows(c, floats), 3));
        }
    }
    // 30 rows a class and one in 32 counted as of another class.
    const auto c = vector_scaling::fit(exec::serial, view(z, 90, 3), y, none{}, {.input = score_kind::logit});
    const auto out = mapped_rows(c, z);
    double own = 0;
    for (int i = 0; i < 90; ++i) own += out[static_cast<std::size_t>(3 * i + i % 3)] / 90;
    CHECK_NEAR(own, 31.0 / 32, fitted());
    // An absent class: its probability is what the targets leave it, 1/(2 (45 + 2)) in every row of 45.
    std::vector<int> two;
    for (int i = 0; i < 90; ++i) two.push_back(i % 2);
    const auto absent = vector_scaling::fit(exec::serial, view(z, 90, 3), two, none{}, {.input = score_kind::logit});
    double third = 0;
    const auto shares = mapped_rows(absent, z);
    for (std::size_t i = 0; i < 90; ++i) third += shares[3 * i + 2] / 90;
    CHECK_NEAR(third, 1.0 / 94, fitted());
}

TEST_CASE("vector_scaling: what every multiclass calibrator owes") {
    check_multiclass<vector_scaling>();
}

TEST_CASE("vector_scaling: classes in lanes") {
    std::vector<double> a, b;
    for (int k = 0; k < 45; ++k) {
        a.push_back(0.5 + 0.02 * k);
        b.push_back(0.1 * (k % 5));
    }
    const vector_scaling c(a, b, score_kind::logit);
    check_row_map<vector_scaling, float>(c);
    const auto data = random_classes<double>(9, 45);
    std::vector<double> want;
    for (std::size_t i = 0; i < 9; ++i) {
        std::vector<double> t;
        for (std::size_t k = 0; k < 45; ++k) t.push_back(a[k] * data.rows()(i, k) + b[k]);
        for (const double q : plain_softmax(t)) want.push_back(q);
    }
    CHECK_ALL_NEAR(mapped_rows(c, data.scores), want, probability<double>());
}

TEST_CASE("vector_scaling: options and parameters out of range throw") {
    const std::vector<double> p(1026, 0.1);
    const std::vector<int> y{0, 1};
    CHECK_THROWS_AS(vector_scaling::fit(exec::serial, view(p, 2, 513), y), std::invalid_argument);
    CHECK_THROWS_AS(
        vector_scaling::fit(exec::serial, matrix_view<const double>(p.data(), 2, 3), y, none{}, {.ridge = -1.0}),
        std::invalid_argument);
    CHECK_THROWS_AS(vector_scaling({1.0, 2.0}, {0.0}), std::invalid_argument);
    CHECK_THROWS_AS(vector_scaling({}, {}), std::invalid_argument);
    CHECK_THROWS_AS(vector_scaling({1e31}, {0.0}), std::invalid_argument);
    CHECK_THROWS_AS(vector_scaling({1.0}, {std::nan("")}), std::invalid_argument);
}
