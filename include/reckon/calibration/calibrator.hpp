// The shape that every calibrator shares, and the loop that applies one to many scores.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// What the scores handed to a calibrator are.
enum class score_kind : std::uint8_t {
    /// Predicted probabilities in [0, 1]; their log-odds are limited to those of 1e-7 and 1 - 1e-7.
    probability = 0,
    /// Any real numbers, used as they stand: log-odds, margins, distances.
    logit = 1,
};

/// A calibrator maps scores to probabilities and travels as bytes.
///
///   c(score)                       one score, float or double, in and out
///   c.apply(where, scores, out)    a column; out may be the column itself
///   c.write(writer), C::read(reader)
///
/// operator() and apply() give the same bits. Both propagate NaN; neither allocates nor throws below its O(1) checks.
template <class C>
concept calibrator = std::copyable<C> &&
    requires(const C c, byte_writer& writer, byte_reader& reader, vector_view<const float> floats,
             vector_view<float> float_out, vector_view<const double> doubles, vector_view<double> double_out) {
    { c(0.5f) } -> std::same_as<float>;
    { c(0.5) } -> std::same_as<double>;
    c.apply(exec::serial, floats, float_out);
    c.apply(exec::serial, doubles, double_out);
    c.write(writer);
    { C::read(reader) } -> std::same_as<C>;
    { C::bytes_kind } -> std::convertible_to<std::uint32_t>;
    { C::bytes_version } -> std::convertible_to<std::uint32_t>;
};

/// A calibrator that is learned from scores and labels:
///
///   C::fit(where, scores, labels, weights = {}, options = {})    fold, finish
///   c.seen()                                                     examples taken and refused
///
/// Labels are 0, 1 or fractions in between, of any arithmetic type. A fit counts and skips examples with a NaN or
/// infinite score, a probability outside [0, 1], a label outside [0, 1] or a weight that is negative, NaN or infinite.
/// Weights stand for repeated rows; a weight of 0 takes the row out of the fit. A fit to nothing, to one class or to
/// one distinct score never fails; each calibrator says what it gives. The result is bit-equal for every policy and
/// number of threads.
template <class C>
concept fitted_calibrator = calibrator<C> &&
    requires(const C c, vector_view<const float> scores, vector_view<const std::uint8_t> labels,
             vector_view<const float> weights) {
    { C::fit(exec::serial, scores, labels) } -> std::same_as<C>;
    { C::fit(exec::serial, scores, labels, weights) } -> std::same_as<C>;
    { c.seen() } -> std::convertible_to<counts>;
};

namespace detail {

/// Log-odds of 1 - 1e-7: where the log-odds of probabilities are cut off.
inline constexpr double logit_limit = 16.118095550958316;

/// Log-odds of a probability, limited to +-logit_limit. Clipping the log-odds instead of the probability is the same in
/// exact arithmetic and keeps both ends alike in float, where 1 - 1e-7 is no number.
///
/// Numerics  NaN in, NaN out; a probability below 0 or above 1 counts as 0 or 1.
template <class V>
RECKON_INLINE V clipped_logit(V p) noexcept {
    using T = simd::lane_t<V>;
    using simd::maximum;
    using simd::minimum;
    // The constant comes first: minimum and maximum return the second operand for NaN.
    const V inside = maximum(V(T(0)), minimum(V(T(1)), p));
    return maximum(V(T(-logit_limit)), minimum(V(T(logit_limit)), math::logit(inside)));
}

/// The score that a calibrator in log-odds works on.
template <class V>
RECKON_INLINE V score_as_logit(V score, score_kind kind) noexcept {
    return kind == score_kind::probability ? clipped_logit(score) : score;
}

/// Inverse of a byte written for a score_kind.
inline score_kind read_score_kind(byte_reader& reader, const char* kernel) {
    const auto code = reader.get<std::uint8_t>();
    expects_bytes(code <= 1, kernel, "score kind ", code, " is unknown");
    return static_cast<score_kind>(code);
}

/// body(pack) on one score. Runs the same lanes as map_scores, so that both give the same bits.
template <class Isa, class T, class Body>
RECKON_INLINE T map_one(T score, Body&& body) noexcept {
    using pack = simd::pack<T, Isa>;
    T lanes[pack::lanes];
    body(pack(score)).store(lanes);
    return lanes[0];
}

/// Views of a column of scores and of the column for the results, with the checks that every apply() makes.
template <class In, class Out>
auto output_like(const char* kernel, const In& scores, Out& out) {
    const auto to = view(out);
    using T = typename decltype(input(scores))::value_type;
    static_assert(std::is_same_v<T, typename decltype(to)::element_type>,
                  "reckon: the output of apply() has the element type of its scores and is not const");
    expects(to.size() == input(scores).size(), kernel, input(scores).size(), " scores but room for ", to.size());
    return to;
}

/// out[i] = body(scores[i]) over packs; out may be the scores themselves.
///
/// Throws    std::invalid_argument when the sizes differ.
template <class Isa, exec::policy Policy, vector_like In, vector_like Out, class Body>
void map_scores(const char* kernel, const Policy& where, const In& scores, Out& out, Body&& body) {
    const auto from = input(scores);
    const auto to = output_like(kernel, scores, out);
    using T = typename decltype(from)::value_type;
    exec::map_parts(where, from.size(), [&](std::size_t first, std::size_t count) {
        simd::transform<Isa>(from.data() + first, to.data() + first, count, T(0), body);
    });
}

/// out[i] = body(scores[i]) one at a time, for maps that look up tables; out may be the scores themselves.
///
/// Throws    std::invalid_argument when the sizes differ.
template <class Isa, exec::policy Policy, vector_like In, vector_like Out, class Body>
void map_each_score(const char* kernel, const Policy& where, const In& scores, Out& out, Body&& body) {
    const auto from = input(scores);
    const auto to = output_like(kernel, scores, out);
    exec::map_parts(where, from.size(), [&](std::size_t first, std::size_t count) {
        for (std::size_t i = first; i < first + count; ++i) to[i] = body(from[i]);
    });
}

}  // namespace detail

}  // namespace reckon
