// The error that a benchmark's correctness gate looks at.
#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>

namespace reckon::bench {

/// Largest |got - expected| / max(|expected|, floor) over two ranges of the same length.
template <class Got, class Expected>
double relative_error(const Got& got, const Expected& expected, double floor = 1e-30) {
    if (std::size(got) != std::size(expected)) return HUGE_VAL;
    double worst = 0;
    auto e = std::begin(expected);
    for (const auto& g : got) {
        const double error = std::abs(double(g) - double(*e)) / (std::max)(std::abs(double(*e)), floor);
        if (!(error <= worst)) worst = error;  // keeps a NaN
        if (std::isnan(worst)) return worst;
        ++e;
    }
    return worst;
}

}  // namespace reckon::bench
