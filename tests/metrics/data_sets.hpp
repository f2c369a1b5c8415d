// The data sets of tests/fixtures/data.txt as columns, and small checks that several metrics share.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../support/fixture.hpp"
#include "reckon/core/batch.hpp"

namespace reckon::testing_support {

struct data_set {
    std::string name;
    std::vector<float> p;
    std::vector<std::uint8_t> y;
    std::vector<float> w;  // empty: every weight is one
    std::vector<std::vector<std::int32_t>> ids;

    std::size_t size() const { return p.size(); }
    std::vector<double> p_double() const { return {p.begin(), p.end()}; }
};

/// Every set that metrics.txt has records of; `weighted_unit` is `weighted` without its weights.
inline std::vector<data_set> data_sets() {
    const fixture data{"data.txt"};
    std::vector<data_set> sets;
    for (const std::string name : {"ties", "smooth", "weighted", "weighted_unit", "skewed", "negatives", "tiny"}) {
        const std::string source = name == "weighted_unit" ? "weighted" : name;
        data_set set{name, data.as<float>(source + ".p"), data.as<std::uint8_t>(source + ".y"), {}, {}};
        if (name == "weighted") set.w = data.as<float>("weighted.w");
        for (std::size_t f = 0; data.contains(source + ".id" + std::to_string(f)); ++f) {
            set.ids.push_back(data.as<std::int32_t>(source + ".id" + std::to_string(f)));
        }
        sets.push_back(set);
    }
    return sets;
}

/// Equal bits, or both NaN.
inline bool same_bits(double a, double b) {
    return a == b || (std::isnan(a) && std::isnan(b));
}
/// Equal up to the order of summation of positive terms.
inline bool same_sum(double a, double b) {
    return same_bits(a, b) || std::fabs(a - b) <= 1e-12 * (std::fabs(a) + std::fabs(b));
}
/// A figure that is legal after hostile but accepted bytes: NaN, or not negative.
inline bool no_less_than_zero(double x) {
    return std::isnan(x) || x >= 0.0;
}

}  // namespace reckon::testing_support
