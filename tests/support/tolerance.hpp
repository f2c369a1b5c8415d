// Tolerance families: a test names what kind of number it compares, and never a bound of its own.
//
//   CHECK_NEAR(got, want, ulp(2));
//   CHECK_ALL_NEAR(got, want, probability<float>());
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <limits>
#include <string>
#include <type_traits>

#include "reckon/core/views.hpp"

namespace reckon::testing_support {

/// How far a value may lie from its reference: ulps * ULP(want) + relative * scale + absolute, where the ULP is that of
/// the type compared and the scale is |want| or the given sum of magnitudes. NaN is near NaN and nothing else; an
/// infinity is near itself.
struct tolerance {
    double ulps = 0.0;
    double relative = 0.0;
    double absolute = 0.0;
    double magnitude = -1.0;  // negative: |want|

    /// The same bound relative to a sum of magnitudes, for results that may cancel.
    constexpr tolerance of(double sum_of_magnitudes) const noexcept {
        tolerance changed = *this;
        changed.magnitude = sum_of_magnitudes;
        return changed;
    }
};

/// The same value (0 equals -0, NaN equals NaN).
constexpr tolerance exact() noexcept {
    return {};
}

/// k units in the last place of the type of `got`: elementwise maps.
constexpr tolerance ulp(double k) noexcept {
    return {.ulps = k};
}

/// Sum of n terms accumulated in T: rounding errors of random sign grow with sqrt(n); 8 standard deviations. Combine
/// with of() where terms have both signs.
template <class T = double>
tolerance reduction(std::size_t n) noexcept {
    return {.relative = 8.0 * std::sqrt(static_cast<double>(n) + 1.0) * std::numeric_limits<T>::epsilon()};
}

/// Sum of n terms accumulated in T, the bound that holds for any data: errors of one sign grow with n.
template <class T = double>
constexpr tolerance worst_reduction(std::size_t n) noexcept {
    return {.relative = (static_cast<double>(n) + 4.0) * std::numeric_limits<T>::epsilon()};
}

/// A probability computed in T by a short chain of operations: absolute, 8 roundings at 1.
template <class T = double>
constexpr tolerance probability() noexcept {
    return {.absolute = 8.0 * std::numeric_limits<T>::epsilon()};
}

/// A parameter found by iteration, against an oracle that stops by a rule of its own.
constexpr tolerance fitted() noexcept {
    return {.relative = 1e-7, .absolute = 1e-8};
}

/// Outcome of a comparison; the text is empty when it is good.
struct comparison {
    bool ok = true;
    std::string text;
    explicit operator bool() const noexcept { return ok; }
};

namespace detail {

/// Distance between neighbours of type T at |want|, as if the exponent range of T were used for normal numbers and
/// denormals both.
template <class T>
double ulp_size(double want) noexcept {
    using limits = std::numeric_limits<T>;
    const double at = std::fabs(want);
    if (!(at >= static_cast<double>((limits::min)()))) return static_cast<double>(limits::denorm_min());
    int exponent = 0;
    std::frexp((std::fmin)(at, static_cast<double>((limits::max)())), &exponent);
    return std::ldexp(1.0, exponent - limits::digits);
}

template <class T>
double allowed(double want, const tolerance& tol) noexcept {
    using ulp_type = std::conditional_t<std::is_same_v<T, float>, float, double>;
    const double scale = tol.magnitude < 0.0 ? std::fabs(want) : tol.magnitude;
    // A family of width 0 stays exact where the ULP is not a finite number.
    const double ulps = tol.ulps > 0.0 ? tol.ulps * ulp_size<ulp_type>(want) : 0.0;
    const double relative = tol.relative > 0.0 ? tol.relative * scale : 0.0;
    return ulps + relative + tol.absolute;
}

inline bool within(double got, double want, double bound) noexcept {
    if (std::isnan(want)) return std::isnan(got);
    return got == want || std::fabs(got - want) <= bound;
}

inline std::string describe(double got, double want, double bound) {
    char text[160];
    std::snprintf(text, sizeof text, "got %.17g, want %.17g, difference %.3g, allowed %.3g", got, want, got - want,
                  bound);
    return text;
}

}  // namespace detail

/// Compares one value with its reference.
template <class T>
    requires std::is_arithmetic_v<T> comparison near(T got, double want, const tolerance& tol) {
        const double value = static_cast<double>(got);
        // An infinite bound would accept everything.
        const double bound = std::isfinite(want) ? detail::allowed<T>(want, tol) : 0.0;
        if (detail::within(value, want, bound)) return {};
        return {false, detail::describe(value, want, bound)};
    }

/// Compares two columns element by element; the text tells the first bad element and how many there are.
template <vector_like Got, vector_like Want>
comparison near(const Got& got, const Want& want, const tolerance& tol) {
    const auto g = input(got);
    const auto w = input(want);
    if (g.size() != w.size()) {
        return {false, "got " + std::to_string(g.size()) + " elements, want " + std::to_string(w.size())};
    }
    std::size_t bad = 0;
    std::string first;
    for (std::size_t i = 0; i < g.size(); ++i) {
        const comparison one = near(g[i], static_cast<double>(w[i]), tol);
        if (one) continue;
        if (bad++ == 0) first = "element " + std::to_string(i) + ": " + one.text;
    }
    if (bad == 0) return {};
    return {false, first + " (" + std::to_string(bad) + " of " + std::to_string(g.size()) + " elements)"};
}

/// Logits of embeddings, an absolute error: a logit is a sum of `depth` products in T, and so is an exponent.
template <class T>
tolerance logit_error(std::size_t depth, double largest_logit) {
    return reduction<T>(depth + 16).of((std::fmax)(1.0, largest_logit));
}

/// Where a check stands and what it compares.
struct check_place {
    const char* file;
    int line;
    const char* what;
};

/// Counts a doctest check; a failed one names its place, what it compares and the text. A function, because the macros
/// of doctest with a message cost as much to compile as a small test.
inline void check_that(bool ok, const std::string& text, const check_place& place) {
    if (ok) {
        CHECK(ok);
    } else {
        const std::string message = std::string(place.what) + ": " + text;
        ADD_FAIL_CHECK_AT(place.file, place.line, message);
    }
}

/// near() as a doctest check.
template <class Got, class Want>
void check_near(const Got& got, const Want& want, const tolerance& tol, const check_place& place) {
    const comparison result = near(got, want, tol);
    check_that(result.ok, result.text, place);
}

}  // namespace reckon::testing_support

/// doctest checks over near().
#define CHECK_NEAR(got, want, tol)                                                 \
    ::reckon::testing_support::check_near((got), static_cast<double>(want), (tol), \
                                          {__FILE__, __LINE__, #got " against " #want})
#define CHECK_ALL_NEAR(got, want, tol) \
    ::reckon::testing_support::check_near((got), (want), (tol), {__FILE__, __LINE__, #got " against " #want})
