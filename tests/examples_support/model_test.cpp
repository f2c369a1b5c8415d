// The base model learns a known truth; the list of data sets fits the files where they are present.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "datasets.hpp"
#include "hashed_logistic.hpp"
#include "split.hpp"

using namespace reckon_examples;

namespace {

struct toy {
    categorical colour{{}, {"red", "green", "blue"}};
    std::vector<float> x;
    std::vector<std::uint8_t> y;
    std::vector<double> truth;
};

// log-odds -1 + x + {-0.8, 0, 0.8} by colour
toy make_toy(std::size_t rows) {
    const counter_random a(1, 0), b(1, 1), c(1, 2);
    toy out;
    for (std::size_t i = 0; i < rows; ++i) {
        const auto id = static_cast<std::int32_t>(a.below(i, 3));
        out.colour.ids.push_back(id);
        out.x.push_back(static_cast<float>(b.normal(i)));
        out.truth.push_back(1 / (1 + std::exp(1 - static_cast<double>(out.x.back()) - 0.8 * (id - 1))));
        out.y.push_back(c.uniform(i) < out.truth.back() ? std::uint8_t{1} : std::uint8_t{0});
    }
    return out;
}

// Mean of KL(truth || p) over some rows.
double divergence(const toy& data, const std::vector<float>& p, const std::vector<std::size_t>& rows) {
    double sum = 0;
    for (std::size_t k = 0; k < rows.size(); ++k) {
        const double t = data.truth[rows[k]], q = static_cast<double>(p[k]);
        sum += t * std::log(t / q) + (1 - t) * std::log((1 - t) / (1 - q));
    }
    return sum / static_cast<double>(rows.size());
}

}  // namespace

TEST_CASE("hashed_logistic: comes close to the truth, the same for the same seed") {
    const toy data = make_toy(40'000);
    const split_rows split = random_split(data.y.size());
    hashed_features scaled(data.y.size(), 16), bucketed(data.y.size(), 16), blind(data.y.size(), 16);
    scaled.add_category("colour", data.colour);
    scaled.add_scaled("x", data.x, split.train);
    bucketed.add_category("colour", data.colour);
    bucketed.add_quantiles("x", data.x, split.train, 32);

    hashed_logistic model, again, coarse, constant;
    model.fit(scaled, data.y, split.train);
    again.fit(scaled, data.y, split.train);
    coarse.fit(bucketed, data.y, split.train);
    constant.fit(blind, data.y, split.train);
    const auto p = model.probabilities(scaled, split.test);
    CHECK(p == again.probabilities(scaled, split.test));
    const double base = divergence(data, constant.probabilities(blind, split.test), split.test);
    CHECK(divergence(data, p, split.test) < 0.02 * base);
    CHECK(divergence(data, coarse.probabilities(bucketed, split.test), split.test) < 0.1 * base);

    const auto z = model.logits(scaled, split.test);
    CHECK(p[0] == doctest::Approx(1 / (1 + std::exp(-static_cast<double>(z[0])))).epsilon(1e-5));
    hashed_logistic other;
    other.fit(scaled, data.y, split.train, {.seed = 2});
    CHECK(other.probabilities(scaled, split.test) != p);
}

TEST_CASE("hashed_logistic: bad input") {
    CHECK_THROWS_AS(hashed_features(3, 0), std::invalid_argument);
    CHECK_THROWS_AS(hashed_features(3, 31), std::invalid_argument);
    hashed_features features(3, 8);
    CHECK_THROWS_AS(features.add_scaled("x", {1, 2}, {0}), std::invalid_argument);
    features.add_scaled("constant", {1, 1, 1}, {0, 1, 2});
    hashed_logistic model;
    CHECK_THROWS_AS(model.fit(features, {0, 1, 0}, {}), std::invalid_argument);
    CHECK_THROWS_AS(model.fit(features, {0, 1}, {0}), std::invalid_argument);
    model.fit(features, {1, 1, 1}, {0, 1, 2});  // one class: finite
    CHECK(std::isfinite(model.logit(features, 0)));
}

TEST_CASE("datasets: unknown names throw, missing files are told") {
    CHECK_THROWS_AS(find_dataset("nothing"), std::invalid_argument);
    const found_dataset missing = find_dataset("adult", {"no/such/folder"});
    CHECK(!missing.found());
    const auto path = [](const char* file) { return (std::filesystem::path("no/such/folder") / file).string(); };
    CHECK(missing.message ==
          "data set adult is missing; looked for " + path("adult/adult.data") + ", " + path("adult/adult.csv"));
}

TEST_CASE("datasets: the columns of the files that are present") {
    for (const dataset_info& info : known_datasets()) {
        CAPTURE(info.name);
        const found_dataset found = find_dataset(info.name);
        if (!found.found()) {
            MESSAGE("skipped: " << found.message);
            continue;
        }
        const csv_table table(found.path, {}, found.csv);
        const auto labels = table.labels(info.label, info.positive);
        const auto positives = std::count(labels.begin(), labels.end(), std::uint8_t{1});
        CHECK(positives > 0);
        CHECK(2 * static_cast<std::size_t>(positives) < table.rows());
        for (const std::string& name : info.numbers) CHECK(table.numbers<float>(name).size() == table.rows());
        for (const auto* columns : {&info.categories, &info.fields, &info.left_out})
            for (const std::string& name : *columns) CHECK(table.categories(name).ids.size() == table.rows());
        for (const std::string& name : info.left_out) {
            CHECK(std::find(info.numbers.begin(), info.numbers.end(), name) == info.numbers.end());
            CHECK(std::find(info.categories.begin(), info.categories.end(), name) == info.categories.end());
        }
    }
}
