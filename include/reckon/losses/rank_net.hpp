// Logistic loss over the pairs of a list whose labels differ, with gradient and curvature.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/segments.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/detail/derivatives.hpp"
#include "reckon/losses/detail/label_order.hpp"
#include "reckon/losses/detail/logistic_pairs.simd.hpp"
#include "reckon/losses/ranking_options.hpp"

namespace reckon {

struct rank_net_options {
    /// In (0, 1e30]. How steep the loss is; a difference of 1 / sigma matters.
    double sigma = 1.0;
    /// What is added up: all pairs, or the mean of each list.
    pair_normalisation normalisation = pair_normalisation::sum;
};

namespace detail {

// Whole lists; offsets point into the columns as they are.
template <class T, class Y, class Offset>
struct labelled_lists {
    vector_view<const T> scores;
    vector_view<const Y> labels;
    vector_view<const Offset> offsets;
    vector_view<T> gradient, hessian;

    std::size_t size() const noexcept { return offsets.empty() ? 0 : offsets.size() - 1; }
    labelled_lists slice(std::size_t first, std::size_t count) const noexcept {
        return {scores, labels, offsets.slice(first, count + 1), gradient, hessian};
    }
};

template <class T, class Y, class Isa>
class rank_net_sum {
  public:
    mean_value loss;

    rank_net_sum(const rank_net_options& options, double scale) noexcept : options_(options), scale_(scale) {}
    // A copy starts with memory of its own: parts of a fold run side by side.
    rank_net_sum(const rank_net_sum& other) noexcept
        : loss(other.loss), options_(other.options_), scale_(other.scale_) {}
    rank_net_sum& operator=(const rank_net_sum&) = delete;

    template <class Offset>
    void absorb(const labelled_lists<T, Y, Offset>& lists) {
        for (std::size_t s = 0; s < lists.size(); ++s) {
            const auto first = static_cast<std::size_t>(lists.offsets[s]);
            const auto n = static_cast<std::size_t>(lists.offsets[s + 1]) - first;
            T* const g = lists.gradient.empty() ? nullptr : lists.gradient.data() + first;
            T* const h = lists.hessian.empty() ? nullptr : lists.hessian.data() + first;
            if (h != nullptr) {
                absorb_list<true>(lists.scores.data() + first, lists.labels.data() + first, n, g, h);
            } else {
                absorb_list<false>(lists.scores.data() + first, lists.labels.data() + first, n, g, h);
            }
        }
    }
    void merge(const rank_net_sum& other) noexcept { loss.merge(other.loss); }

  private:
    using pairs = logistic_pairs<T, Isa>;

    // Lists up to this length are compared with themselves in lanes, which takes less than a sort.
    static constexpr std::size_t most_unsorted = 96;
    static constexpr bool lanes_hold_labels =
        std::is_same_v<Y, T> || std::is_same_v<Y, float> || (std::is_integral_v<Y> && sizeof(Y) <= 2);

    void make_room(std::size_t room) {
        if (right_.size() >= room) return;
        for (auto* column : {&left_, &right_, &slopes_, &curves_, &labels_}) column->resize(room);
        slope_.resize(room);
        curve_.resize(room);
    }
    template <bool Curve>
    void clear(std::size_t n) noexcept {
        const std::size_t room = pairs::padded(n);
        std::fill_n(slopes_.data(), room, T(0));
        std::fill_n(slope_.data(), room, 0.0);
        if constexpr (Curve) {
            std::fill_n(curves_.data(), room, T(0));
            std::fill_n(curve_.data(), room, 0.0);
        }
    }

    // False when the scores span too much.
    template <bool Curve>
    bool absorb_unsorted(const T* scores, const Y* labels, std::size_t n, T* gradient, T* hessian) {
        make_room(pairs::padded(n));
        std::copy_n(scores, n, right_.data());
        pairs::pad(right_.data(), n);
        const auto range = pairs::range(options_.sigma, right_.data(), n);
        if (!range.narrow) return false;
        for (std::size_t i = 0; i < n; ++i) labels_[i] = static_cast<T>(labels[i]);
        for (std::size_t i = n; i < pairs::padded(n); ++i) labels_[i] = simd::float_format<T>::quiet_nan;
        pairs sweep(options_.sigma);
        sweep.powers(right_.data(), n, range.centre, left_.data(), right_.data());
        clear<Curve>(n);
        const typename pairs::columns to{right_.data(), slopes_.data(), curves_.data()};
        simd::lane_counts<T, Isa> found;
        for (std::size_t r = 0; r < n; r += pairs::rows) {
            typename pairs::row_sums sums;
            sweep.template narrow_below<Curve>(left_.data() + r, labels_.data() + r, to, labels_.data(), n, sums,
                                               found);
            for (std::size_t k = 0; k < pairs::rows && r + k < n; ++k) {
                slope_[r + k] -= sums.slope[k];
                if constexpr (Curve) curve_[r + k] += sums.curve[k];
            }
        }
        flush<Curve>(n);
        const std::uint64_t count = reduce_add(found);
        if (count > 0) {
            finish<Curve>(
                sweep.take_loss(), count, n, [](std::size_t r) { return r; }, gradient, hessian);
        }
        return true;
    }
    template <bool Curve>
    void absorb_list(const T* scores, const Y* labels, std::size_t count, T* gradient, T* hessian) {
        if (count < 2) return;
        if constexpr (lanes_hold_labels) {
            if (count <= most_unsorted && absorb_unsorted<Curve>(scores, labels, count, gradient, hessian)) return;
        }
        order_.sort(labels, count);
        const std::size_t n = order_.size();
        // Rows of the smallest label stand above nobody.
        std::size_t above = n;
        while (above > 0 && order_.end(above - 1) == n) --above;
        if (above == 0) return;
        make_room(pairs::padded(n));
        for (std::size_t r = 0; r < n; ++r) right_[r] = scores[order_.row(r)];
        pairs::pad(right_.data(), n);
        const auto range = pairs::range(options_.sigma, right_.data(), n);
        pairs sweep(options_.sigma);
        if (range.narrow) {
            sweep.powers(right_.data(), n, range.centre, left_.data(), right_.data());
        } else {
            std::copy_n(right_.data(), n, left_.data());
        }
        clear<Curve>(n);
        const typename pairs::columns to{right_.data(), slopes_.data(), curves_.data()};
        const std::uint32_t* const ends = order_.ends();
        std::uint64_t count_of_pairs = 0;
        for (std::size_t r = 0; r < above; r += pairs::rows) {
            const std::size_t here = (std::min)(pairs::rows, above - r);
            typename pairs::row_sums sums;
            for (std::size_t k = 0; k < here; ++k) count_of_pairs += n - ends[r + k];
            if (range.narrow) {
                // Where all rows of the block stand above a column, and the stairs before that.
                std::uint32_t starts[pairs::rows];
                for (std::size_t k = 0; k < pairs::rows; ++k) starts[k] = k < here ? ends[r + k] : starts[k - 1];
                T block[pairs::rows];
                for (std::size_t k = 0; k < pairs::rows; ++k) block[k] = k < here ? left_[r + k] : T(0);
                const std::size_t common = starts[pairs::rows - 1];
                if (starts[0] < common) sweep.template narrow_stairs<Curve>(block, to, starts, common, sums);
                sweep.template narrow<Curve>(block, to, common, n, sums);
            } else {
                for (std::size_t k = 0; k < here; ++k) {
                    sweep.template wide<Curve>(left_[r + k], to, ends[r + k], n, sums.slope[k], sums.curve[k]);
                }
            }
            for (std::size_t k = 0; k < here; ++k) {
                slope_[r + k] -= sums.slope[k];
                if constexpr (Curve) curve_[r + k] += sums.curve[k];
            }
            if ((r + pairs::rows) % pairs::rows_a_flush == 0) flush<Curve>(n);
        }
        flush<Curve>(n);
        finish<Curve>(
            sweep.take_loss(), count_of_pairs, n, [&](std::size_t r) { return order_.row(r); }, gradient, hessian);
    }
    // Adds the value of a list and its derivatives, which stand on the places of the sweep.
    template <bool Curve, class Row>
    void finish(double value, std::uint64_t count, std::size_t n, Row&& row_of, T* gradient, T* hessian) noexcept {
        const double z = static_cast<double>(count);
        double factor = scale_ * options_.sigma;
        if (options_.normalisation == pair_normalisation::mean_per_group) {
            loss.merge(mean_value(value / z, 1.0));
            factor /= z;
        } else {
            loss.merge(mean_value(value, z));
        }
        if (gradient != nullptr) {
            for (std::size_t r = 0; r < n; ++r) gradient[row_of(r)] += static_cast<T>(factor * slope_[r]);
        }
        if constexpr (Curve) {
            factor *= options_.sigma;
            for (std::size_t r = 0; r < n; ++r) hessian[row_of(r)] += static_cast<T>(factor * curve_[r]);
        }
    }
    // Lanes hold the sums of a few rows only.
    template <bool Curve>
    void flush(std::size_t n) noexcept {
        for (std::size_t r = 0; r < n; ++r) {
            slope_[r] += static_cast<double>(slopes_[r]);
            slopes_[r] = T(0);
        }
        if constexpr (Curve) {
            for (std::size_t r = 0; r < n; ++r) {
                curve_[r] += static_cast<double>(curves_[r]);
                curves_[r] = T(0);
            }
        }
    }

    rank_net_options options_;
    double scale_;
    label_order<Y, Isa> order_;
    std::vector<T> left_, right_, slopes_, curves_, labels_;
    std::vector<double> slope_, curve_;
};

}  // namespace detail

/// Logistic loss over pairs: every row of a list against every row of it with a smaller label.
///
///   loss = sum over lists, over i, j of the list with labels_i > labels_j, of softplus(-sigma (scores_i - scores_j))
///
/// or, with pair_normalisation::mean_per_group, of the mean over these pairs of each list.
///
/// Shapes    scores [N] float or double; labels [N] of numbers, such as grades, clicks or dwell times; offsets [S + 1],
///           unsigned: list s has the rows offsets[s] .. offsets[s + 1] - 1, fewer than 2^32. gradient, hessian [N] of
///           the type of the scores, or none.
/// Writes    adds scale * d loss / d scores into `gradient` and scale times the diagonal of the second derivative into
///           `hessian` when they are given; they may not overlap the inputs.
/// Returns   mean_value{sum, pairs}; with mean_per_group {sum of means, lists with a pair}. Merges over shards that
///           hold whole lists.
/// Throws    std::invalid_argument on shapes, offsets, a list of 2^32 rows, and sigma not in (0, 1e30]. A row with a
///           NaN label is in no pair and gets nothing added; a NaN score reaches the loss and every row that it is
///           compared with. A list without two different labels adds nothing, neither to the mean.
/// Cost      a power and a sort of labels a row (a count when they are integers below 32, neither for lists up to 96);
///           then 12 operations and a quarter of a division a pair. Lists whose scores, times sigma, span more than 21
///           (double: 170) take a power and a division a pair. Threads share lists, not one list. Scratch for one list
///           a part.
/// Numerics  derivatives: relative error of a few roundings of the scores and of the type, lanes add up 1024 columns or
///           256 rows, double above. Loss: 1 + e^-d is rounded in the type, so a pair is off by up to 6e-8 in float
///           (1.1e-16 in double) however small its loss. Finite scores never give NaN, whatever sigma; what
///           goes beyond the type is infinite.
/// Source    Burges et al. 2005, equation 3; sums per row as in Burges 2010, section 2.1.
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, class G = none, class H = none,
          class Isa = isa::native>
mean_value rank_net(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
                    const rank_net_options& options = {}, G&& gradient = {}, double scale = 1.0, H&& hessian = {}) {
    constexpr const char* kernel = "rank_net";
    const auto s = input(scores);
    const auto y = input(labels);
    using T = typename decltype(s)::value_type;
    using label = typename decltype(y)::value_type;
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "reckon: scores must be float or double");
    static_assert(std::is_arithmetic_v<label>, "reckon: labels must be numbers");
    exec::detail::require_host_policy<Policy>();
    expects(s.size() == y.size(), kernel, s.size(), " scores but ", y.size(), " labels");
    expects(options.sigma > 0.0 && options.sigma <= 1e30, kernel, "sigma must be positive and finite, got ",
            options.sigma);
    const auto output = [&](auto& column) { return detail::derivative_output<T>(kernel, column, s.size(), "scores"); };
    const auto g = output(gradient), h = output(hessian);
    const auto checked = make_segments(kernel, offsets, s.size());
    expect_numbered_lists(kernel, checked, s.size());
    const detail::labelled_lists<T, label, typename decltype(input(offsets))::value_type> lists{s, y, checked.offsets,
                                                                                                g, h};
    if (lists.size() == 0) return {};
    const std::size_t part = exec::detail::rows_a_part(s.size() / lists.size());
    return exec::fold_parts(where, detail::rank_net_sum<T, label, Isa>(options, scale), lists, part).loss;
}

}  // namespace reckon
