// Noise that all rows of a group share: what is left of a critic's error above it is ignorance.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/calibration/isotonic.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/uncertainty/detail/counted_map.hpp"
#include "reckon/uncertainty/detail/groups.hpp"
#include "reckon/uncertainty/group_threshold.hpp"

namespace reckon {

struct group_noise_options {
    /// In [0, 1]. Quantile of the expected errors of a group that counts as its noise.
    double quantile = 0.05;
};

/// Noise of each group under the assumption that it is about equal inside a group.
///
///   noise_g = quantile of the critic's expected errors in group g,   excess = max(expected - noise_g, 0)
///
/// With equal noise the expected error is (f* - f)^2 + noise, so the excess orders rows by their true squared error;
/// its size is right where the quantile falls on rows that the model knows well. With unequal noise inside a group
/// neither holds.
///
/// Fit       the quantile between order statistics, at (n - 1) quantile from 0 with a straight line in between. A group
///           without rows: NaN, so that its excess is unknown.
/// Throws    fit: std::invalid_argument when lengths differ or an option is out of range; expected errors that are NaN,
///           infinite or negative and ids outside 0 .. groups - 1 are counted and skipped. excess:
///           std::invalid_argument when sizes differ; NaN for NaN and for ids without a group.
/// Cost      fit: O(N) on average and a copy; groups run in parallel. excess: one subtraction a row.
/// Numerics  in double.
/// Source    the 5th percentile is our choice; quantile of type 7 in Hyndman and Fan 1996.
class group_noise {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("GNOI");
    static constexpr std::uint32_t bytes_version = 1;

    /// One group whose noise is unknown.
    group_noise() : noise_(1, std::numeric_limits<double>::quiet_NaN()) {}

    template <exec::policy Policy, vector_like E, class Groups = none, class Isa = isa::native>
    static group_noise fit(const Policy& where, const E& expected, const Groups& groups = {},
                           std::size_t group_count = 1, const group_noise_options& options = {}) {
        const auto column = input(expected);
        const auto of = detail::make_groups("group_noise", groups, column.size(), group_count);
        expects(0.0 <= options.quantile && options.quantile <= 1.0, "group_noise", "quantile must be in [0, 1], got ",
                options.quantile);
        std::vector<std::vector<double>> values(group_count);
        group_noise fitted;
        for (std::size_t i = 0; i < column.size(); ++i) {
            const auto e = static_cast<double>(column[i]);
            const std::size_t group = of[i];
            const bool ok = 0.0 <= e && e <= (std::numeric_limits<double>::max)() && group < group_count;
            fitted.seen_.absorb(ok);
            if (ok) values[group].push_back(e);
        }
        fitted.noise_.assign(group_count, std::numeric_limits<double>::quiet_NaN());
        exec::for_each_index(where, group_count, [&](std::size_t g) {
            if (!values[g].empty()) fitted.noise_[g] = quantile(values[g], options.quantile);
        });
        return fitted;
    }

    std::size_t groups() const noexcept { return noise_.size(); }
    /// Noise of a group; NaN when there is none.
    double noise(std::size_t group) const noexcept {
        return group < groups() ? noise_[group] : std::numeric_limits<double>::quiet_NaN();
    }
    counts seen() const noexcept { return seen_; }

    /// What an expected error has above the noise of its group; NaN where either is unknown.
    double operator()(double expected, std::size_t group = 0) const noexcept {
        const double over = expected - noise(group);
        return over < 0.0 ? 0.0 : over;
    }
    /// The same for a column.
    ///
    /// Shapes    expected, out [N] of one type, groups [N] or none{}.
    /// Writes    out; may be the memory of `expected`.
    /// Returns   rows with an excess, and rows without one.
    template <exec::policy Policy, vector_like E, class Groups, vector_like Out, class Isa = isa::native>
    counts excess(const Policy& where, const E& expected, const Groups& groups, Out&& out) const {
        const auto column = input(expected);
        const auto of = detail::make_groups("group_noise", groups, column.size(), this->groups());
        const auto to = view(out);
        using T = typename decltype(column)::value_type;
        static_assert(std::is_same_v<T, typename decltype(to)::element_type>,
                      "reckon: the excess has the type of the expected errors");
        expects(to.size() == column.size(), "group_noise", column.size(), " errors but room for ", to.size());
        return detail::counted_map(where, column.size(), [&](std::size_t i) {
            const double over = (*this)(static_cast<double>(column[i]), of[i]);
            to[i] = static_cast<T>(over);
            return over == over;
        });
    }

    void write(byte_writer& out) const {
        out.put_array(noise_);
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static group_noise read(byte_reader& in) {
        group_noise n;
        n.noise_ = in.get_array<double>(detail::max_groups);
        expects_bytes(!n.noise_.empty(), "group_noise", "no groups");
        for (double& noise : n.noise_) {
            expects_bytes(std::isnan(noise) || (noise >= 0.0 && std::isfinite(noise)), "group_noise", "noise ", noise,
                          " is negative or infinite");
        }
        n.seen_.accepted = in.get<std::uint64_t>();
        n.seen_.rejected = in.get<std::uint64_t>();
        return n;
    }

  private:
    static double quantile(std::vector<double>& values, double level) {
        const double place = static_cast<double>(values.size() - 1) * level;
        const auto below = (std::min)(static_cast<std::size_t>(place), values.size() - 1);
        const auto at = values.begin() + static_cast<std::ptrdiff_t>(below);
        std::nth_element(values.begin(), at, values.end());
        if (below + 1 == values.size()) return *at;
        const double next = *std::min_element(at + 1, values.end());
        return *at + (next - *at) * (place - static_cast<double>(below));
    }

    std::vector<double> noise_;
    counts seen_;
};

/// One point of an error curve: the rows that share an expected error.
struct error_curve_point {
    double expected = 0.0;  ///< what the critic said
    double fitted = 0.0;    ///< isotonic mean of the errors that came
    double count = 0.0;
};

/// Isotonic regression of errors on expected errors: what a critic's numbers mean, if its order is right.
struct error_curve {
    std::vector<error_curve_point> points;  ///< ascending in `expected`, not descending in `fitted`
    counts seen;

    /// Slope of the line through the origin that is nearest to the points; 1 for a critic that is right in scale, below
    /// 1 where it overstates. NaN without a point.
    double slope() const noexcept {
        double product = 0.0, square = 0.0;
        for (const error_curve_point& p : points) {
            product += p.count * p.fitted * p.expected;
            square += p.count * p.expected * p.expected;
        }
        return square > 0.0 ? product / square : std::numeric_limits<double>::quiet_NaN();
    }
};

/// Error curve of one group.
///
/// Shapes    expected, errors [N] of one type, groups [N] or none{}.
/// Returns   one point for each distinct expected error of the group.
/// Throws    std::invalid_argument when lengths differ or group_count is out of range. Counts and skips rows with an
///           expected error or error that is NaN, infinite or negative, and ids outside 0 .. group_count - 1; rows of
///           other groups are neither.
/// Cost      a sort of the group's rows.
/// Numerics  sums in double.
/// Source    Ayer et al. 1955.
template <vector_like P, vector_like E, class Groups = none, class Isa = isa::native>
error_curve isotonic_error_curve(const P& expected, const E& errors, const Groups& groups = {},
                                 std::size_t group_count = 1, std::size_t group = 0) {
    const auto p = input(expected);
    const auto e = input(errors);
    const auto of = detail::make_groups("isotonic_error_curve", groups, p.size(), group_count);
    expects(p.size() == e.size(), "isotonic_error_curve", p.size(), " expected errors but ", e.size(), " errors");
    expects(group < group_count, "isotonic_error_curve", "group ", group, " of ", group_count);
    constexpr double most = (std::numeric_limits<double>::max)();
    error_curve curve;
    std::vector<double> said, came;
    for (std::size_t i = 0; i < p.size(); ++i) {
        const auto x = static_cast<double>(p[i]), y = static_cast<double>(e[i]);
        const std::size_t home = of[i];
        if (home < group_count && home != group) continue;
        const bool ok = home == group && 0.0 <= x && x <= most && 0.0 <= y && y <= most;
        curve.seen.absorb(ok);
        if (!ok) continue;
        said.push_back(x);
        came.push_back(y);
    }
    std::vector<double> means, weights;
    for (const std::uint32_t row : ascending_order<Isa>(vector_view<const double>(said.data(), said.size()))) {
        if (curve.points.empty() || curve.points.back().expected != said[row]) {
            curve.points.push_back({said[row], 0.0, 0.0});
            means.push_back(0.0);
            weights.push_back(0.0);
        }
        weights.back() += 1.0;
        means.back() += (came[row] - means.back()) / weights.back();
    }
    isotonic_regression<std::vector<double>, std::vector<double>&, std::vector<double>, Isa>(means, means, weights);
    for (std::size_t k = 0; k < means.size(); ++k) {
        curve.points[k].fitted = means[k];
        curve.points[k].count = weights[k];
    }
    return curve;
}

}  // namespace reckon
