// The shape that every multiclass calibrator shares, and the row softmax that applies one.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/class_batch.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// A multiclass calibrator maps rows of K scores to K probabilities that add up to 1, and travels as bytes.
///
///   C::fit(where, scores, labels, weights = {}, options = {})    scores [N, K] row-major, labels [N] in 0 .. K - 1
///   c.apply(where, scores, out)                                  out [N, K]; may be the scores themselves
///   c.classes(), c.seen()                                        K; rows taken and refused
///   c.write(writer), C::read(reader)
///
/// Scores are probabilities, of which the logarithm is used, or with score_kind::logit any real numbers. A fit counts
/// and skips rows with a NaN or infinite score, a probability outside [0, 1], a label that names no class or a weight
/// that is negative, NaN or infinite. Weights stand for repeated rows; a weight of 0 takes the row out of the fit. A
/// fit to nothing gives the identity, which returns softmax(scores); classes without rows, one class only and data that
/// the scores separate have a finite answer, and each calibrator says which. The result is bit-equal for every policy
/// and number of threads. A NaN makes its row NaN in apply().
template <class C>
concept multiclass_calibrator = std::copyable<C> &&
    requires(const C c, byte_writer& writer, byte_reader& reader, matrix_view<const float> floats,
             matrix_view<float> float_out, matrix_view<const double> doubles, matrix_view<double> double_out,
             vector_view<const std::int32_t> labels, vector_view<const float> weights) {
    { C::fit(exec::serial, floats, labels) } -> std::same_as<C>;
    { C::fit(exec::serial, doubles, labels, weights) } -> std::same_as<C>;
    c.apply(exec::serial, floats, float_out);
    c.apply(exec::serial, doubles, double_out);
    { c.classes() } -> std::same_as<std::size_t>;
    { c.seen() } -> std::convertible_to<counts>;
    c.write(writer);
    { C::read(reader) } -> std::same_as<C>;
    { C::bytes_kind } -> std::convertible_to<std::uint32_t>;
    { C::bytes_version } -> std::convertible_to<std::uint32_t>;
};

namespace detail {

/// ln of a probability that is limited to [1e-7, 1].
///
/// Numerics  NaN in, NaN out.
template <class V>
RECKON_INLINE V clipped_log(V p) noexcept {
    using T = simd::lane_t<V>;
    using simd::maximum;
    using simd::minimum;
    return math::log(maximum(V(T(1e-7)), minimum(V(T(1)), p)));
}

/// The score that a multiclass calibrator works on.
template <class V>
RECKON_INLINE V score_as_log(V score, score_kind kind) noexcept {
    return kind == score_kind::probability ? clipped_log(score) : score;
}

/// Up to this many classes a register holds one class of several rows; beyond it holds several classes of one row, and
/// rows need no scratch.
inline constexpr std::size_t most_classes_in_rows = 32;

/// Largest magnitude of a parameter: float scores up to 1e7 stay finite.
inline constexpr double largest_parameter = 1e30;

/// Parameters in both types, so that apply() need not convert them.
class class_parameters {
  public:
    class_parameters() = default;
    explicit class_parameters(std::vector<double> values)
        : doubles_(std::move(values)), floats_(doubles_.begin(), doubles_.end()) {}
    const std::vector<double>& values() const noexcept { return doubles_; }
    template <class T>
    const T* as() const noexcept {
        if constexpr (std::is_same_v<T, float>) {
            return floats_.data();
        } else {
            return doubles_.data();
        }
    }
    /// Whether every number is finite and not larger than largest_parameter.
    static bool legal(const std::vector<double>& values) noexcept {
        for (const double v : values) {
            if (!(-largest_parameter <= v && v <= largest_parameter)) return false;
        }
        return true;
    }

  private:
    std::vector<double> doubles_;
    std::vector<float> floats_;
};

/// softmax(scale * t) of one or several rows, t[k * step] being the packs of class k; `scale` > 0.
///
/// Numerics  the largest t gives exp(0), which no other exceeds; finite t give no NaN.
template <class V>
RECKON_INLINE void softmax_in_rows(V* t, std::size_t classes, V scale) noexcept {
    using T = simd::lane_t<V>;
    V most = t[0];
    for (std::size_t k = 1; k < classes; ++k) most = maximum(t[k], most);
    V sum(T(0));
    for (std::size_t k = 0; k < classes; ++k) {
        t[k] = math::exp(scale * (t[k] - most));
        sum += t[k];
    }
    const V factor = V(T(1)) / sum;
    for (std::size_t k = 0; k < classes; ++k) t[k] = t[k] * factor;
}

/// out[i] = softmax(scale * map(scores[i])) with rows in lanes: map(t, classes) works on one pack per class, in place.
template <class Isa, class T, class Map>
void map_rows_in_lanes(matrix_view<const T> from, matrix_view<T> to, T scale, Map&& map) noexcept {
    using V = simd::pack<T, Isa>;
    constexpr std::size_t L = V::lanes;
    const std::size_t classes = from.cols();
    T lanes[most_classes_in_rows * L];
    V t[most_classes_in_rows];
    for (std::size_t first = 0; first < from.rows(); first += L) {
        const std::size_t count = from.rows() - first < L ? from.rows() - first : L;
        for (std::size_t r = 0; r < L; ++r) {
            // Lanes without a row of their own repeat the last one.
            const T* const row = from.data() + (first + (r < count ? r : count - 1)) * from.stride();
            for (std::size_t k = 0; k < classes; ++k) lanes[k * L + r] = row[k];
        }
        for (std::size_t k = 0; k < classes; ++k) t[k] = V::load(lanes + k * L);
        map(t, classes);
        softmax_in_rows(t, classes, V(scale));
        for (std::size_t k = 0; k < classes; ++k) t[k].store(lanes + k * L);
        for (std::size_t r = 0; r < count; ++r) {
            T* const row = to.data() + (first + r) * to.stride();
            for (std::size_t k = 0; k < classes; ++k) row[k] = lanes[k * L + r];
        }
    }
}

/// The same with classes in lanes: map(score, k, n) gets the pack of classes k .. k + n - 1.
template <class Isa, class T, class Map>
void map_classes_in_lanes(matrix_view<const T> from, matrix_view<T> to, T scale, Map&& map) noexcept {
    using V = simd::pack<T, Isa>;
    constexpr std::size_t L = V::lanes;
    constexpr T lowest = -std::numeric_limits<T>::infinity();
    const std::size_t classes = from.cols(), whole = classes / L * L, left = classes - whole;
    const V factor(scale);
    for (std::size_t r = 0; r < from.rows(); ++r) {
        const T* const in = from.data() + r * from.stride();
        T* const out = to.data() + r * to.stride();
        V most(lowest);
        for (std::size_t k = 0; k < whole; k += L) {
            const V t = map(V::load(in + k), k, L);
            most = maximum(t, most);
            t.store(out + k);
        }
        if (left > 0) {
            const V t = map(V::load_padded(in + whole, left, in[0]), whole, left);
            t.store_head(out + whole, left);
            most = maximum(V::load_padded(out + whole, left, lowest), most);
        }
        T lanes[L];
        most.store(lanes);
        T largest = lanes[0];
        for (std::size_t i = 1; i < L; ++i) largest = simd::maximum(lanes[i], largest);
        V sum(T(0));
        for (std::size_t k = 0; k < whole; k += L) {
            const V e = math::exp(factor * (V::load(out + k) - V(largest)));
            sum += e;
            e.store(out + k);
        }
        if (left > 0) {
            // exp(-inf) = 0 in the lanes beyond the end.
            const V e = math::exp(factor * (V::load_padded(out + whole, left, lowest) - V(largest)));
            sum += e;
            e.store_head(out + whole, left);
        }
        const V share = V(T(1) / reduce_add(sum));
        for (std::size_t k = 0; k < whole; k += L) (V::load(out + k) * share).store(out + k);
        if (left > 0) (V::load_padded(out + whole, left, T(0)) * share).store_head(out + whole, left);
    }
}

/// Views of rows of scores and of the room for the results, with the checks that every apply() makes.
template <matrix_like In, matrix_like Out>
auto rows_like(const char* kernel, const In& scores, Out& out, std::size_t classes) {
    const auto from = input(scores);
    const auto to = view(out);
    using T = typename decltype(from)::value_type;
    static_assert(std::is_same_v<T, typename decltype(to)::element_type>,
                  "reckon: the output of apply() has the element type of its scores and is not const");
    expects(from.cols() == classes, kernel, "fitted for ", classes, " classes, got scores of ", from.cols());
    expects(to.rows() == from.rows() && to.cols() == from.cols(), kernel, from.rows(), " x ", from.cols(),
            " scores but room for ", to.rows(), " x ", to.cols());
    return to;
}

/// Rows per part of a map: about 16384 scores.
inline std::size_t rows_of_map_part(std::size_t classes) noexcept {
    return exec::default_part_size / classes + 64;
}

}  // namespace detail

}  // namespace reckon
