// An independent optimum of a logistic loss over amounts u, v >= 0 and an intercept: every face of the quadrant is solved by
// Newton's method as the textbook has it, in double, and the lowest legal loss wins.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace reckon::testing_support {

struct rising_problem {
    std::vector<double> u, v;  // columns of the two amounts
    std::vector<double> target, weight;
    bool intercept = true;

    double log_odds(const std::array<double, 3>& t, std::size_t i) const { return t[0] * u[i] + t[1] * v[i] + t[2]; }
    double loss(const std::array<double, 3>& t) const {
        double sum = 0;
        for (std::size_t i = 0; i < u.size(); ++i) {
            const double z = log_odds(t, i);
            sum += weight[i] * (std::log1p(std::exp(-std::fabs(z))) + (z > 0 ? z : 0.0) - target[i] * z);
        }
        return sum;
    }
};

inline std::vector<double> targets_of(const std::vector<double>& y, const std::vector<double>& w, bool smooth) {
    double positive = 0, total = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
        positive += w[i] * y[i];
        total += w[i];
    }
    std::vector<double> t = y;
    const double low = 1 / (total - positive + 2), high = (positive + 1) / (positive + 2);
    if (smooth) {
        for (double& x : t) x = low + (high - low) * x;
    }
    return t;
}

// The optimum with the coordinates outside `free` at 0.
inline std::array<double, 3> face_optimum(const rising_problem& p, std::array<bool, 3> free) {
    std::array<double, 3> t{};
    double here = p.loss(t);
    for (int pass = 0; pass < 200; ++pass) {
        double g[3] = {}, h[3][4] = {};
        for (std::size_t i = 0; i < p.u.size(); ++i) {
            const double x[3] = {p.u[i], p.v[i], 1.0}, q = 1 / (1 + std::exp(-p.log_odds(t, i)));
            for (int j = 0; j < 3; ++j) {
                g[j] += p.weight[i] * (q - p.target[i]) * x[j];
                for (int k = 0; k < 3; ++k) h[j][k] += p.weight[i] * q * (1 - q) * x[j] * x[k];
            }
        }
        for (int j = 0; j < 3; ++j) {
            for (int k = 0; k < 3; ++k) {
                if (!free[static_cast<std::size_t>(j)] || !free[static_cast<std::size_t>(k)]) h[j][k] = j == k ? 1 : 0;
            }
            h[j][3] = free[static_cast<std::size_t>(j)] ? -g[j] : 0.0;
        }
        for (int j = 0; j < 3; ++j) {  // Gauss and Jordan
            for (int k = 0; k < 3; ++k) {
                if (k == j) continue;
                const double r = h[k][j] / h[j][j];
                for (int l = 0; l < 4; ++l) h[k][l] -= r * h[j][l];
            }
        }
        double step[3], size = 0, scale = 1;
        for (int j = 0; j < 3; ++j) step[j] = h[j][3] / h[j][j];
        for (int halving = 0; halving < 60; ++halving, scale /= 2) {
            const std::array<double, 3> to{t[0] + scale * step[0], t[1] + scale * step[1], t[2] + scale * step[2]};
            const double there = p.loss(to);
            if (!(there <= here + 1e-12 * std::fabs(here))) continue;
            t = to;
            here = there;
            break;
        }
        for (const double d : step) size += std::fabs(d);
        if (size < 1e-11) break;
    }
    return t;
}

inline std::array<double, 3> rising_optimum(const rising_problem& p) {
    std::array<double, 3> best{};
    double least = std::numeric_limits<double>::infinity();
    for (const bool u : {true, false}) {
        for (const bool v : {true, false}) {
            const auto t = face_optimum(p, {u, v, p.intercept});
            if (!(t[0] >= 0.0) || !(t[1] >= 0.0) || !(p.loss(t) < least)) continue;
            best = t;
            least = p.loss(t);
        }
    }
    return best;
}

}  // namespace reckon::testing_support
