// Gradients against central differences of the value.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/core/views.hpp"
#include "reckon/testing/report.hpp"

namespace reckon::testing {

struct gradient_options {
    /// Allowed relative error of a component.
    double tolerance = 1e-6;
    /// Relative error of one evaluation of the value; 6e-8 and a larger tolerance for kernels that compute in float.
    double noise = 2.3e-16;
    /// Gradients are added into the output by default; false when the kernel overwrites it.
    bool adds = true;
    /// Components that are checked one by one, at random places; a random direction through all of them comes on top.
    std::size_t max_components = 64;
    std::uint64_t seed = 1;
};

/// Checks a gradient at a point where the value is smooth.
///
///   Richardson's extrapolation of central differences, (4 D(h / 2) - D(h)) / 3, with h ~ noise^(1/5): the truncation
///   error falls with h^4 and the rounding error grows with noise / h.
///
/// value     value(vector_view<const double> x) returns a double.
/// gradient  gradient(vector_view<const double> x, vector_view<double> out) adds the gradient into `out`.
template <class Value, class Gradient>
report check_gradient(Value&& value, Gradient&& gradient, std::vector<double> point,
                      const gradient_options& options = {}) {
    detail::recorder record("check_gradient");
    const std::size_t n = point.size();
    const auto at = [](std::vector<double>& x) { return vector_view<const double>(x.data(), x.size()); };

    // Prefilled with two backgrounds: an output that is added into keeps them, one that is overwritten does not.
    std::vector<double> found(n, 0.0), again(n, 1.0);
    gradient(at(point), vector_view<double>(found.data(), n));
    gradient(at(point), vector_view<double>(again.data(), n));
    for (std::size_t i = 0; i < n; ++i) {
        const double want = found[i] + (options.adds ? 1.0 : 0.0);
        record.expect(std::fabs(again[i] - want) <= 1e-12 * (1.0 + std::fabs(want)), "component ", i,
                      options.adds ? " is not added into the output" : " depends on what the output held before");
    }

    const double step = std::pow(options.noise, 0.2);
    // Derivative along `direction`, compared with what the gradient says.
    const auto compare = [&](const std::vector<double>& direction, double scale, double got, const char* what,
                             std::size_t index) {
        const double h = step * scale;
        double largest = 0.0;
        const auto central = [&](double width) {
            std::vector<double> ahead = point, behind = point;
            for (std::size_t i = 0; i < n; ++i) {
                ahead[i] += width * direction[i];
                behind[i] -= width * direction[i];
            }
            const double up = value(at(ahead));
            const double down = value(at(behind));
            largest = (std::fmax)(largest, (std::fmax)(std::fabs(up), std::fabs(down)));
            return (up - down) / (2.0 * width);
        };
        const double coarse = central(h);
        const double fine = central(0.5 * h);
        const double want = (4.0 * fine - coarse) / 3.0;
        const double bound = options.tolerance * std::fabs(want) + 8.0 * options.noise * largest / h;
        record.expect(std::fabs(got - want) <= bound, what, index, " is ", got, ", central differences give ", want);
    };

    detail::dice roll(options.seed);
    const std::size_t components = n < options.max_components ? n : options.max_components;
    for (std::size_t k = 0; k < components; ++k) {
        const std::size_t i = components == n ? k : roll.below(n);
        std::vector<double> direction(n, 0.0);
        direction[i] = 1.0;
        compare(direction, (std::fmax)(1.0, std::fabs(point[i])), found[i], "component ", i);
    }
    for (std::size_t k = 0; k < 3 && n > 0; ++k) {
        std::vector<double> direction(n);
        double norm = 0.0, along = 0.0;
        for (double& d : direction) {
            d = roll.normal();
            norm += d * d;
        }
        for (std::size_t i = 0; i < n; ++i) {
            direction[i] /= std::sqrt(norm);
            along += direction[i] * found[i];
        }
        compare(direction, 1.0, along, "the derivative along random direction ", k);
    }
    return record.finish();
}

}  // namespace reckon::testing
