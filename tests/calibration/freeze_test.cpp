// Frozen headers as text, and JSON. That the headers compile and map every float alike is checked by
// tests/exhaustive/freeze.cpp.
#include "reckon/calibration/freeze.hpp"

#include <doctest/doctest.h>

#include <cctype>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/random_data.hpp"

using namespace reckon;
using namespace reckon::testing_support;

namespace {

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// What JSON may hold here: objects become "outer.inner", arrays lists of numbers.
struct json_values {
    std::map<std::string, std::string> words;
    std::map<std::string, std::vector<double>> numbers;
};

class json_parser {
  public:
    static json_values parse(const std::string& text) {
        json_parser p(text);
        p.object("");
        p.skip();
        REQUIRE(p.at_ == text.size());
        return p.found_;
    }

  private:
    explicit json_parser(const std::string& text) : text_(text) {}

    void skip() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    }
    char next() {
        skip();
        REQUIRE(at_ < text_.size());
        return text_[at_];
    }
    void take(char c) {
        REQUIRE(next() == c);
        ++at_;
    }
    std::string word() {
        take('"');
        const std::size_t end = text_.find('"', at_);
        REQUIRE(end != std::string::npos);
        const std::string w = text_.substr(at_, end - at_);
        CHECK(w.find_first_of("\\\n\t") == std::string::npos);
        at_ = end + 1;
        return w;
    }
    double number() {
        skip();
        char* end = nullptr;
        const double value = std::strtod(text_.c_str() + at_, &end);
        REQUIRE(end != text_.c_str() + at_);
        at_ = static_cast<std::size_t>(end - text_.c_str());
        return value;
    }
    void object(const std::string& prefix) {
        take('{');
        while (true) {
            const std::string key = prefix + word();
            take(':');
            const char c = next();
            if (c == '{') {
                object(key + ".");
            } else if (c == '[') {
                take('[');
                auto& list = found_.numbers[key];
                while (next() != ']') {
                    list.push_back(number());
                    if (next() == ',') take(',');
                }
                take(']');
            } else if (c == '"') {
                found_.words[key] = word();
            } else {
                found_.numbers[key] = {number()};
            }
            if (next() == '}') break;
            take(',');
        }
        take('}');
    }

    const std::string& text_;
    std::size_t at_ = 0;
    json_values found_;
};

// A map over packs that multiplies and adds in two steps.
struct two_roundings {
    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        detail::map_scores<Isa>("two_roundings", where, scores, out, [this](auto x) {
            using V = decltype(x);
            using T = simd::lane_t<V>;
            using simd::maximum;
            return maximum(x * V(T(factor)), V(T(0))) + V(T(1));
        });
    }
    double factor;
};
// A map that looks at the score.
struct branching {
    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        detail::map_scores<Isa>("branching", where, scores, out, [](auto x) {
            using V = decltype(x);
            using T = simd::lane_t<V>;
            using simd::any;
            return any(x < V(T(0))) ? V(T(0)) : x;
        });
    }
};

}  // namespace

TEST_CASE("freeze: worked example") {
    const std::string text = freeze(global_ratio(1.5), {.name = "repaired", .space = "model_7"});
    const std::string want = std::string(R"(// Calibrator "global_ratio", frozen by reckon )") +
                             detail::library_version() +
                             R"(. Needs C++17.
//
//   p = min(1, ratio s), s = the score moved into [0, 1]
//
//   ratio = 1.5
#ifndef FROZEN_model_7_repaired_HPP
#define FROZEN_model_7_repaired_HPP

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __FAST_MATH__
#error "these functions need IEEE arithmetic: compile without -ffast-math"
#endif

namespace model_7 {
namespace repaired_parts {
)" + detail::frozen_helpers +
                             R"(
inline float mapped(float score) noexcept {
    const float v1 = least(0x1p+0f, score);
    const float v2 = most(0x0p+0f, v1);
    const float v3 = v2 * 0x1.8p+0f;
    const float v4 = least(0x1p+0f, v3);
    return v4;
}
inline double mapped(double score) noexcept {
    const double v1 = least(0x1p+0, score);
    const double v2 = most(0x0p+0, v1);
    const double v3 = v2 * 0x1.8p+0;
    const double v4 = least(0x1p+0, v3);
    return v4;
}

}  // namespace repaired_parts

inline float repaired(float score) noexcept { return repaired_parts::mapped(score); }
inline double repaired(double score) noexcept { return repaired_parts::mapped(score); }
// n scores; out may be the scores.
inline void repaired(const float* scores, float* out, ::std::size_t n) noexcept {
    for (::std::size_t i = 0; i < n; ++i) out[i] = repaired_parts::mapped(scores[i]);
}
inline void repaired(const double* scores, double* out, ::std::size_t n) noexcept {
    for (::std::size_t i = 0; i < n; ++i) out[i] = repaired_parts::mapped(scores[i]);
}

}  // namespace model_7

#endif
)";
    CHECK(text == want);
}

TEST_CASE("freeze: constants of the calibrator and of the library, once fused and once not") {
    const auto text = freeze(platt(1.3, -0.7, score_kind::logit));
    for (const char* part : {"0x1.4cccccp+0f", "-0x1.666666p-1f", "0x1.4cccccccccccdp+0", "-0x1.6666666666666p-1"}) {
        CAPTURE(part);
        CHECK(contains(text, part));
    }
    CHECK(contains(text, detail::literal(-math::detail::exp_constants<float>::ln2_high)));
    CHECK(contains(text, detail::literal(math::detail::exp_constants<double>::lowest)));
#if defined(__FMA__) || defined(__aarch64__)
    CHECK(detail::mul_add_is_fused<float, isa::native>());
    CHECK(detail::mul_add_is_fused<double, isa::native>());
    CHECK(contains(text, "::std::fma("));
    CHECK(!contains(text, "= apart("));
#else
    CHECK(!detail::mul_add_is_fused<float, isa::native>());
    CHECK(!detail::mul_add_is_fused<double, isa::native>());
    CHECK(!contains(text, "::std::fma("));
    CHECK(contains(text, "= apart("));
#endif
}

TEST_CASE("freeze: products stay apart from sums unless rounding cannot differ") {
    const auto body = [](double factor) { return detail::frozen_curve<isa::native>(two_roundings{factor}, "test"); };
    CHECK(contains(body(0.7), "apart(score * 0x1.666666p-1f)"));
    // Half a score is exact.
    CHECK(contains(body(0.5), "= score * 0x1p-1f;"));
    CHECK(!contains(body(0.5), "apart"));
    CHECK(contains(body(-0.0), "apart(score * -0x0p+0f)"));
}

TEST_CASE("freeze: maps without steps of their own are refused") {
    CHECK_THROWS_WITH_AS(detail::trace_apply<float>(sir{}, "sir"), "freeze: the map of sir is no map over packs",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(detail::trace_apply<double>(branching{}, "test"),
                         "freeze: the map of test branches on the score", std::invalid_argument);
    CHECK(detail::recording == nullptr);
}

TEST_CASE("freeze: literals read back as the same number") {
    const auto check = [](auto x) {
        using T = decltype(x);
        const std::string text = detail::literal(x);
        CAPTURE(text);
        const double back = std::strtod(text.c_str(), nullptr);
        CHECK(static_cast<T>(back) == x);
        CHECK(std::signbit(back) == std::signbit(x));
        CHECK((text.back() == 'f') == (sizeof(T) == 4));
    };
    for (const double x : random_normal<double>(200)) {
        check(x);
        check(static_cast<float>(x));
    }
    for (const double x : {0.0, -0.0, 1.0, -1.0 / 3, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308}) check(x);
    for (const float x : {0.0f, -0.0f, 1e-45f, 3.4028235e38f, 16777216.0f}) check(x);
    CHECK(detail::literal(std::numeric_limits<float>::infinity()) == "number(UINT32_C(0x7f800000))");
    CHECK(detail::literal(-std::numeric_limits<double>::infinity()) == "number(UINT64_C(0xfff0000000000000))");
}

TEST_CASE("freeze: names must be identifiers") {
    for (const char* name : {"", "7up", "two words", "a-b", "class", "float", "xor", "_x", "a__b", "a::b", "p;", "std",
                             "caf\xc3\xa9", "int main() {} //"}) {
        CAPTURE(name);
        CHECK_THROWS_AS(freeze(platt{}, {.name = name}), std::invalid_argument);
        CHECK_THROWS_AS(freeze(platt{}, {.space = name}), std::invalid_argument);
    }
    for (const char* name : {"c", "calibrate_v2", "Klass", "x_", "classes"}) {
        CAPTURE(name);
        CHECK(contains(freeze(platt{}, {.name = name}), std::string("inline float ") + name + "(float score)"));
    }
    CHECK_THROWS_WITH_AS(freeze(platt{}, {.name = "7up"}), "freeze: the name '7up' is no identifier of C++",
                         std::invalid_argument);
}

TEST_CASE("to_json: worked example") {
    CHECK(to_json(prior_shift(0.1)) == R"({
  "kind": "prior_shift",
  "bytes_kind": "PRIO",
  "version": 1,
  "library": "reckon )" + detail::library_version() +
                                           R"(",
  "evaluate": "p = rate s / (rate s + 1 - s), s = the score moved into [0, 1]",
  "parameters": {
    "input": "probability",
    "rate": 0.1
  }
}
)");
}

TEST_CASE("to_json: parses, and every number reads back") {
    auto data = random_scored<double>(900, {.slope = 1.5, .shift = 0.3});
    data.scores[7] = std::numeric_limits<double>::quiet_NaN();
    const auto fit = [&](auto c) { return decltype(c)::fit(exec::serial, data.scores, data.labels); };
    const auto common = [&](const json_values& v, const std::string& kind, const std::string& letters) {
        CHECK(v.words.at("kind") == kind);
        CHECK(v.words.at("bytes_kind") == letters);
        CHECK(!v.words.at("evaluate").empty());
        CHECK(v.numbers.at("version") == std::vector<double>{1});
        CHECK(v.numbers.at("seen.accepted") == std::vector<double>{899});
        CHECK(v.numbers.at("seen.rejected") == std::vector<double>{1});
    };
    {
        const auto c = fit(platt{});
        const auto v = json_parser::parse(to_json(c));
        common(v, "platt", "PLAT");
        CHECK(v.words.at("parameters.input") == "probability");
        CHECK(v.numbers.at("parameters.slope") == std::vector<double>{c.slope()});
        CHECK(v.numbers.at("parameters.intercept") == std::vector<double>{c.intercept()});
    }
    {
        const auto c = fit(temperature{});
        const auto v = json_parser::parse(to_json(c));
        common(v, "temperature", "TEMP");
        CHECK(v.numbers.at("parameters.beta") == std::vector<double>{c.beta()});
    }
    {
        const auto c = fit(global_ratio{});
        const auto v = json_parser::parse(to_json(c));
        common(v, "global_ratio", "GLOB");
        CHECK(v.numbers.at("parameters.ratio") == std::vector<double>{c.ratio()});
    }
    {
        const auto c = fit(isotonic{});
        const auto v = json_parser::parse(to_json(c));
        common(v, "isotonic", "ISOT");
        CHECK(v.numbers.at("parameters.knot_scores") == c.knot_scores());
        CHECK(v.numbers.at("parameters.knot_levels") == c.knot_levels());
    }
    {
        const auto c = fit(sir{});
        const auto v = json_parser::parse(to_json(c));
        common(v, "sir", "SIR ");
        CHECK(v.numbers.at("parameters.knot_scores") == c.knot_scores());
        CHECK(v.numbers.at("parameters.knot_levels") == c.knot_values());
    }
    {
        const auto c = fit(histogram_binning{});
        const auto v = json_parser::parse(to_json(c));
        common(v, "histogram_binning", "HIST");
        REQUIRE(v.numbers.at("parameters.values").size() == c.bins());
        REQUIRE(v.numbers.at("parameters.edges").size() == c.bins() + 1);
        for (std::size_t k = 0; k < c.bins(); ++k) {
            CHECK(v.numbers.at("parameters.values")[k] == c.value(k));
            CHECK(v.numbers.at("parameters.edges")[k] == c.edge(k));
        }
    }
    CHECK(json_parser::parse(to_json(platt(1, 0, score_kind::logit))).words.at("parameters.input") == "logit");
    CHECK(json_parser::parse(to_json(isotonic{})).numbers.at("parameters.knot_scores").empty());
}

TEST_CASE("to_json: kinds and numbers of calibrators built by hand") {
    using list = std::vector<double>;
    const auto parsed = [](const auto& c, const std::string& kind) {
        const auto v = json_parser::parse(to_json(c));
        CHECK(v.words.at("kind") == kind);
        CHECK(!v.words.at("evaluate").empty());
        CHECK(contains(freeze(c), "// Calibrator \"" + kind + "\", frozen by reckon "));
        return v;
    };
    const auto beta = parsed(beta_calibration(0.7, 1.3, -0.1, score_kind::logit), "beta_calibration");
    CHECK(beta.words.at("parameters.input") == "logit");
    CHECK(beta.numbers.at("parameters.a") == list{0.7});
    CHECK(beta.numbers.at("parameters.b") == list{1.3});
    CHECK(beta.numbers.at("parameters.c") == list{-0.1});
    const gaussian_scaling g(0.4, 1.7, -0.3, -2.0, 4.5, 0.2);
    const auto gaussian = parsed(g, "gaussian_scaling");
    CHECK(gaussian.numbers.at("parameters.centre_slope") == list{g.centre_slope()});
    CHECK(gaussian.numbers.at("parameters.lowest") == list{-2.0});
    const gamma_scaling m(0.4, 1.7, -0.3, 0.1, 4.5, 0.2);
    CHECK(parsed(m, "gamma_scaling").numbers.at("parameters.b") == list{m.b()});
    const auto spline = parsed(spline_logit({-3, -1, 2.5}, {-2, 1, 0.1}), "spline_logit");
    CHECK(spline.numbers.at("parameters.values") == list{-2, 1, 0.1});
    const auto lines = parsed(piecewise_linear({-3, 0.1, 2.5}, {-2, 0.3, 1}), "piecewise_linear");
    CHECK(lines.numbers.at("parameters.knots") == list{-3, 0.1, 2.5});
    CHECK(parsed(spline_calibration{}, "spline_calibration").numbers.at("parameters.knot_scores").empty());
    CHECK(parsed(bbq({0.1, 0.5}, {0.2, 0.1, 0.9}), "bbq").numbers.at("parameters.values") == list{0.2, 0.1, 0.9});
    CHECK(parsed(scaling_binning{}, "scaling_binning").numbers.at("parameters.values") == list{0.5});
    const auto venn = parsed(venn_abers({0.3}, {0.1, 0.2}, {0.4, 0.7}), "venn_abers");
    CHECK(venn.numbers.at("parameters.lower") == list{0.1, 0.2});
    CHECK(venn.numbers.at("parameters.upper") == list{0.4, 0.7});
}
