// Dirichlet calibration and matrix scaling.
#include "reckon/calibration/dirichlet_calibration.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "multiclass_law.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;

std::vector<double> parameters(const dirichlet_calibration& c) {
    const std::size_t K = c.classes();
    std::vector<double> all(c.weights().data(), c.weights().data() + K * K);
    all.insert(all.end(), c.intercepts().begin(), c.intercepts().end());
    return all;
}

}  // namespace

TEST_CASE("dirichlet_calibration: worked example") {
    // Dirichlet(2, 1) and Dirichlet(1, 2) at equal priors have the odds p_1 / p_0: ln odds = ln p_1 - ln p_0, so W is
    // the identity up to what all classes share. Here at three scores with exactly these rates.
    const std::vector<double> p{0.75, 0.25, 0.5, 0.5, 0.25, 0.75};
    std::vector<double> scores;
    std::vector<int> y;
    for (std::size_t i = 0; i < 3; ++i) {
        for (int copy = 0; copy < 4; ++copy) {
            scores.insert(scores.end(), {p[2 * i], p[2 * i + 1]});
            y.push_back(copy < static_cast<int>(4 * p[2 * i]) ? 0 : 1);
        }
    }
    const auto c = dirichlet_calibration::fit(exec::serial, view(scores, 12, 2), y, none{}, {.smooth_targets = false});
    CHECK_ALL_NEAR(mapped_rows(c, p), p, fitted());
    CHECK_NEAR(c.weights()(1, 1) - c.weights()(0, 1), 1.0, fitted());
    CHECK_NEAR(c.weights()(0, 0) - c.weights()(1, 0), 1.0, fitted());
    CHECK_ALL_NEAR(parameters(c), (std::vector<double>{1, 0, 0, 1, 0, 0}), fitted());
}

TEST_CASE("dirichlet_calibration: the Newton pass has the derivatives of the loss") {
    const auto data = random_classes<double>(75, 3);
    const auto batch = make_classified("test", data.rows(), data.labels, data.weights);
    const reckon::detail::class_rows rows(exec::serial, batch, score_kind::logit);
    const reckon::detail::class_targets targets(rows.summary().class_weight, true);
    const std::vector<double> ones(3, 1.0);
    const std::vector<double> theta{0.5, 1.2, -0.3, 0.1, -0.2, 0.8, 0.1, -0.2, 0.4, 0.0, 0.9, 0.3};
    const auto at = [&](std::size_t i, double step) {
        std::vector<double> moved = theta;
        moved[i] += step;
        reckon::detail::matrix_scaling_sums<isa::native> sums{&moved, &ones, &targets, rows.summary().weight,
                                                              reckon::detail::class_newton_sums(12)};
        sums.absorb(batch);
        return sums.sums;
    };
    const auto here = at(0, 0.0);
    double loss = 0;
    for (std::size_t i = 0; i < data.size(); ++i) {
        std::vector<double> t;
        for (std::size_t k = 0; k < 3; ++k) {
            t.push_back(theta[4 * k + 3]);
            for (std::size_t j = 0; j < 3; ++j) t.back() += theta[4 * k + j] * data.rows()(i, j);
        }
        const auto p = plain_softmax(t);
        const auto y = static_cast<std::size_t>(data.labels[i]);
        for (std::size_t k = 0; k < 3; ++k) {
            const double target = k == y ? targets.own[y] : targets.other[y];
            loss -= data.weights[i] / rows.summary().weight * target * std::log(p[k]);
        }
    }
    CHECK_NEAR(here.loss, loss, reduction(data.size()));
    for (std::size_t i = 0; i < 12; ++i) {
        const double h = 1e-4;
        const auto up = at(i, h), down = at(i, -h);
        CHECK_NEAR(here.gradient[i], (up.loss - down.loss) / (2 * h), fitted());
        for (std::size_t j = 0; j < 12; ++j) {
            const double second = (up.gradient[j] - down.gradient[j]) / (2 * h);
            CHECK_NEAR(here.hessian[i > j ? reckon::detail::in_triangle(i, j) : reckon::detail::in_triangle(j, i)],
                       second, fitted());
        }
    }
}

TEST_CASE("dirichlet_calibration: equals the oracles") {
    const fixture data("multiclass.txt");
    for (const std::string name : {"three", "weighted", "two", "ten"}) {
        CAPTURE(name);
        const auto z = oracle_classes<double>(data, name, true), p = oracle_classes<double>(data, name, false);
        const auto plain = dirichlet_calibration::fit(exec::serial, z.rows(), z.labels, z.weights,
                                                      {.input = score_kind::logit, .smooth_targets = false});
        CHECK_ALL_NEAR(parameters(plain), data[name + ".matrix.plain"], fitted());
        const auto odir = dirichlet_calibration::fit(
            exec::serial, z.rows(), z.labels, z.weights,
            {.input = score_kind::logit, .smooth_targets = false, .off_diagonal = 0.05, .intercept = 0.1});
        CHECK_ALL_NEAR(parameters(odir), data[name + ".matrix.odir"], fitted());
        const auto smooth = dirichlet_calibration::fit(exec::serial, p.rows(), p.labels, p.weights);
        CHECK_ALL_NEAR(parameters(smooth), data[name + ".dirichlet.smooth"], fitted());
        const std::vector<double> head(p.scores.begin(), p.scores.begin() + static_cast<std::ptrdiff_t>(5 * p.classes));
        CHECK_ALL_NEAR(mapped_rows(smooth, head), data[name + ".dirichlet.smooth.at"], fitted());
        const std::vector<float> floats(head.begin(), head.end());
        CHECK_ALL_NEAR(mapped_rows(smooth, floats), data[name + ".dirichlet.smooth.at"],
                       reduction<float>(p.classes * p.classes).of(4.0));
    }
}

TEST_CASE("dirichlet_calibration: a start from a sample does not change the optimum") {
    const auto data = random_classes<double>(9000, 3);
    // The same rows in an order where every sixteenth row is of one kind.
    std::vector<std::int32_t> labels;
    std::vector<double> scores;
    for (std::size_t first = 0; first < 16; ++first) {
        for (std::size_t i = first; i < data.size(); i += 16) {
            labels.push_back(data.labels[i]);
            for (const double s : data.rows().row(i)) scores.push_back(s);
        }
    }
    const auto a =
        dirichlet_calibration::fit(exec::serial, data.rows(), data.labels, none{}, {.input = score_kind::logit});
    const auto b = dirichlet_calibration::fit(exec::serial, view(scores, labels.size(), 3), labels, none{},
                                              {.input = score_kind::logit});
    CHECK_ALL_NEAR(parameters(a), parameters(b), fitted());
}

TEST_CASE("dirichlet_calibration: separable data, absent classes and extreme logits stay finite") {
    std::vector<double> z;
    std::vector<int> y, two;
    for (int i = 0; i < 90; ++i) {
        for (int k = 0; k < 3; ++k) z.push_back((k == i % 3 ? 2.0 : 0.0) + 0.01 * ((i * 7 + k * 5) % 11));
        y.push_back(i % 3);
        two.push_back(i % 2);
    }
    using options = dirichlet_calibration_options;
    for (const options& o : {options{.input = score_kind::logit},
                             options{.input = score_kind::logit, .smooth_targets = false, .off_diagonal = 0.01},
                             options{.input = score_kind::logit, .smooth_targets = false}}) {
        for (const double size : {1.0, 1e4}) {
            auto scaled = z;
            for (double& s : scaled) s *= size;
            const auto c = dirichlet_calibration::fit(exec::serial, view(scaled, 90, 3), y, none{}, o);
            CHECK(all_distributions(mapped_rows(c, scaled), 3));
            CHECK(all_distributions(mapped_rows(c, std::vector<float>(scaled.begin(), scaled.end())), 3));
        }
    }
    const auto absent =
        dirichlet_calibration::fit(exec::serial, view(z, 90, 3), two, none{}, {.input = score_kind::logit});
    double third = 0;
    const auto shares = mapped_rows(absent, z);
    for (std::size_t i = 0; i < 90; ++i) third += shares[3 * i + 2] / 90;
    CHECK_NEAR(third, 1.0 / 94, fitted());
}

TEST_CASE("dirichlet_calibration: what every multiclass calibrator owes") {
    check_multiclass<dirichlet_calibration>();
}

TEST_CASE("dirichlet_calibration: options and parameters out of range throw") {
    const std::vector<double> p(66, 0.1);
    const std::vector<int> y{0, 1};
    CHECK_THROWS_AS(dirichlet_calibration::fit(exec::serial, view(p, 2, 33), y), std::invalid_argument);
    const matrix_view<const double> three(p.data(), 2, 3);
    CHECK_THROWS_AS(dirichlet_calibration::fit(exec::serial, three, y, none{}, {.off_diagonal = -1.0}),
                    std::invalid_argument);
    CHECK_THROWS_AS(dirichlet_calibration::fit(exec::serial, three, y, none{}, {.intercept = std::nan("")}),
                    std::invalid_argument);
    CHECK_THROWS_AS(dirichlet_calibration({1.0, 0.0}, {0.0}), std::invalid_argument);
    CHECK_THROWS_AS(dirichlet_calibration({}, {}), std::invalid_argument);
    CHECK_THROWS_AS(dirichlet_calibration({std::nan("")}, {0.0}), std::invalid_argument);
}
