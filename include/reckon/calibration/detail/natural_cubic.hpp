// Natural cubic splines: through given points, and by least squares.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "reckon/calibration/detail/newton.hpp"
#include "reckon/core/config.hpp"

namespace reckon::detail {

/// Most knots of a spline.
inline constexpr std::size_t most_spline_knots = 16;

/// c0 + c1 r + c2 r^2 + c3 r^3, r the distance from the piece's left knot.
struct cubic_piece {
    double c0 = 0.0, c1 = 0.0, c2 = 0.0, c3 = 0.0;

    double slope(double r) const noexcept { return c1 + r * (2.0 * c2 + 3.0 * c3 * r); }
};

/// Pieces between the knots of the natural cubic spline through (x_i, y_i): two or more points, x rising. Beyond both
/// ends the spline is a straight line.
inline std::vector<cubic_piece> natural_cubic(const std::vector<double>& x, const std::vector<double>& y) {
    const std::size_t n = x.size();
    // Second derivatives: a tridiagonal system, diagonally dominant, solved by elimination; 0 at both ends.
    std::vector<double> second(n, 0.0), diagonal(n, 1.0);
    for (std::size_t i = 1; i + 1 < n; ++i) {
        const double left = x[i] - x[i - 1], right = x[i + 1] - x[i];
        const double factor = i > 1 ? left / diagonal[i - 1] : 0.0;
        diagonal[i] = 2.0 * (left + right) - factor * left;
        second[i] = 6.0 * ((y[i + 1] - y[i]) / right - (y[i] - y[i - 1]) / left) - factor * second[i - 1];
    }
    for (std::size_t i = n - 1; i-- > 1;) {
        second[i] = (second[i] - (i + 2 < n ? (x[i + 1] - x[i]) * second[i + 1] : 0.0)) / diagonal[i];
    }
    std::vector<cubic_piece> pieces(n - 1);
    for (std::size_t i = 0; i + 1 < n; ++i) {
        const double h = x[i + 1] - x[i];
        pieces[i] = {y[i], (y[i + 1] - y[i]) / h - h * (2.0 * second[i] + second[i + 1]) / 6.0, 0.5 * second[i],
                     (second[i + 1] - second[i]) / (6.0 * h)};
    }
    return pieces;
}

/// Sums over the points of one piece from which least squares with cubics follow: of w u^q and of w v u^q, u in [0, 1]
/// the place inside the piece, v the value.
struct piece_moments {
    std::array<double, 7> place{};
    std::array<double, 4> value{};

    RECKON_INLINE void absorb(double u, double v, double w) noexcept {
        const double uu = u * u, uuu = uu * u;
        const double powers[7] = {1.0, u, uu, uuu, uu * uu, uu * uuu, uuu * uuu};
        for (std::size_t q = 0; q < 7; ++q) place[q] += w * powers[q];
        for (std::size_t q = 0; q < 4; ++q) value[q] += w * v * powers[q];
    }
};

/// Values at the knots 0, 1, .. of the natural cubic spline with the least squared error, 0 at both end knots. Knots
/// that no point tells about get 0. There are pieces.size() + 1 knots, at most most_spline_knots.
inline std::vector<double> least_squares_knots(const std::vector<piece_moments>& pieces) {
    constexpr std::size_t most = most_spline_knots - 2;
    const std::size_t knots = pieces.size() + 1, inner = knots - 2;
    std::vector<double> x(knots), values(knots, 0.0);
    for (std::size_t i = 0; i < knots; ++i) x[i] = static_cast<double>(i);
    if (inner == 0) return values;
    // Basis function i is 1 at knot i + 1 and 0 at the others.
    std::vector<std::vector<cubic_piece>> basis(inner);
    for (std::size_t i = 0; i < inner; ++i) {
        std::vector<double> unit(knots, 0.0);
        unit[i + 1] = 1.0;
        basis[i] = natural_cubic(x, unit);
    }
    std::array<double, most*(most + 1) / 2> normal{};
    std::array<double, most> right{};
    double largest = 0.0;
    for (std::size_t i = 0; i < most; ++i) {
        if (i >= inner) {
            normal[i * (i + 3) / 2] = 1.0;
            continue;
        }
        for (std::size_t p = 0; p < pieces.size(); ++p) {
            const double a[4] = {basis[i][p].c0, basis[i][p].c1, basis[i][p].c2, basis[i][p].c3};
            for (std::size_t q = 0; q < 4; ++q) right[i] += a[q] * pieces[p].value[q];
            for (std::size_t j = 0; j <= i; ++j) {
                const double b[4] = {basis[j][p].c0, basis[j][p].c1, basis[j][p].c2, basis[j][p].c3};
                double sum = 0.0;
                for (std::size_t q = 0; q < 4; ++q) {
                    for (std::size_t r = 0; r < 4; ++r) sum += a[q] * b[r] * pieces[p].place[q + r];
                }
                normal[i * (i + 1) / 2 + j] += sum;
            }
        }
        largest = (std::max)(largest, normal[i * (i + 3) / 2]);
    }
    if (!(largest > 0.0)) return values;
    const auto solved = solve_spd<most>(normal, right, 1e-13 * largest);
    std::copy(solved.begin(), solved.begin() + static_cast<std::ptrdiff_t>(inner), values.begin() + 1);
    return values;
}

}  // namespace reckon::detail
