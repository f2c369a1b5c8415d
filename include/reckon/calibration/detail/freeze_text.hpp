// Writes the maps of calibrators as C++ that needs nothing but the standard library.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/freeze_trace.hpp"
#include "reckon/calibration/detail/sorted_cuts.hpp"
#include "reckon/core/lane.hpp"

namespace reckon::detail {

/// The shortest decimal that reads back as the same number.
inline std::string decimal(double x) {
    char digits[40];
    return std::string(digits, std::to_chars(digits, digits + sizeof digits, x).ptr);
}

/// A literal of exactly this number.
template <class T>
std::string literal(T x) {
    using bits = typename simd::float_format<T>::bits;
    char digits[48];
    if (!std::isfinite(x)) {
        const auto end = std::to_chars(digits, digits + sizeof digits, std::bit_cast<bits>(x), 16).ptr;
        return (sizeof(T) == 4 ? "number(UINT32_C(0x" : "number(UINT64_C(0x") + std::string(digits, end) + "))";
    }
    const auto end = std::to_chars(digits, digits + sizeof digits, std::fabs(x), std::chars_format::hex).ptr;
    return (std::signbit(x) ? "-0x" : "0x") + std::string(digits, end) + (sizeof(T) == 4 ? "f" : "");
}

inline bool is_cpp_name(std::string_view name) {
    constexpr std::string_view taken =
        " alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class "
        "co_await co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype "
        "default delete do double dynamic_cast else enum explicit export extern false float for friend goto if inline "
        "int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public "
        "register reinterpret_cast requires return short signed sizeof static static_assert static_cast std struct "
        "switch template this thread_local throw true try typedef typeid typename union unsigned using virtual void "
        "volatile wchar_t while xor xor_eq ";
    const auto letter = [](char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    const auto legal = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
    // Names with two underscores, or with one in front, may belong to the compiler.
    return !name.empty() && letter(name.front()) && name.front() != '_' &&
           std::all_of(name.begin(), name.end(), legal) && name.find("__") == std::string_view::npos &&
           taken.find(" " + std::string(name) + " ") == std::string_view::npos;
}

/// Straight lines in double: level + (p - from) * slope; p is the score moved into [lowest, highest].
struct frozen_lines {
    double lowest = 0.0, highest = 1.0;
    std::vector<double> from, level, slope;

    /// Lines between knots. Without knots the score itself, moved into [0, 1].
    static frozen_lines through(const std::vector<double>& scores, const std::vector<double>& levels,
                                beyond_ends ends = beyond_ends::level) {
        // A level of -0 keeps the sign of a zero.
        if (scores.empty()) return {.from = {0.0}, .level = {-0.0}, .slope = {1.0}};
        const line_table table(scores, levels, ends);
        frozen_lines t{.lowest = table.lowest(), .highest = table.highest(), .from = {}, .level = {}, .slope = {}};
        for (const auto& line : table.lines()) {
            t.from.push_back(line.x);
            t.level.push_back(line.y);
            t.slope.push_back(line.slope);
        }
        return t;
    }
};

/// Lines over log-odds, which give log-odds.
struct frozen_logit_lines {
    score_kind input;
    frozen_lines lines;
};

/// One value more than cuts: a score has the value whose number is that of the cuts at or below it. Without cuts there are
/// bins of equal width over [0, 1].
struct frozen_steps {
    std::vector<double> cuts, values;
};

// Products must round as they do in the library, on any compiler. By default g++ fuses a product with a sum behind it
// where the target can, across statements, and clang++ does with -ffp-contract=fast.
inline constexpr const char* frozen_helpers = R"(
inline float least(float a, float b) noexcept { return a < b ? a : b; }  // b when either is NaN
inline float most(float a, float b) noexcept { return a > b ? a : b; }
inline double least(double a, double b) noexcept { return a < b ? a : b; }
inline double most(double a, double b) noexcept { return a > b ? a : b; }
inline ::std::uint32_t bits(float x) noexcept {
    ::std::uint32_t b;
    ::std::memcpy(&b, &x, sizeof b);
    return b;
}
inline ::std::uint64_t bits(double x) noexcept {
    ::std::uint64_t b;
    ::std::memcpy(&b, &x, sizeof b);
    return b;
}
inline float number(::std::uint32_t b) noexcept {
    float x;
    ::std::memcpy(&x, &b, sizeof x);
    return x;
}
inline double number(::std::uint64_t b) noexcept {
    double x;
    ::std::memcpy(&x, &b, sizeof x);
    return x;
}
// Keeps a product from being fused with a sum behind it, where the target could do so.
template <class T>
inline T apart(T x) noexcept {
#if defined(__x86_64__) && !defined(__FMA__) && !defined(__FMA4__)
    return x;
#elif defined(__GNUC__) && defined(__x86_64__)
    __asm__("" : "+x"(x));
    return x;
#elif defined(__GNUC__) && defined(__aarch64__)
    __asm__("" : "+w"(x));
    return x;
#else
    volatile T kept = x;
    return kept;
#endif
}
)";

inline constexpr const char* frozen_search = R"(
// How many of n ascending cuts are at most x; 0 for NaN.
inline ::std::size_t count_up_to(const double* cuts, ::std::size_t n, double x) noexcept {
    ::std::size_t first = 0;
    while (n > 0) {
        const ::std::size_t half = n / 2;
        const bool up = cuts[first + half] <= x;
        first = up ? first + half + 1 : first;
        n = up ? n - half - 1 : half;
    }
    return first;
}
)";

/// Turns the steps of a map into statements.
template <class T>
class step_writer {
  public:
    /// fused     whether the library's mul_add rounds once.
    step_writer(const trace& map, bool fused) : fused_(fused) {
        std::vector<std::uint32_t> place(map.steps.size(), unplaced);
        map_.result = put_in_order(map, map.result, place);
    }

    std::string function(const std::string& name) const {
        std::string text = "inline " + type() + " " + name + "(" + type() + " score) noexcept {\n";
        for (std::uint32_t i = 0; i < map_.steps.size(); ++i) {
            const trace_op what = map_.steps[i].what;
            if (what == trace_op::score || what == trace_op::constant) continue;
            const bool truth = trace_op::less <= what && what <= trace_op::either;
            text += "    const " + (truth ? "bool" : type()) + " " + this->name(i) + " = " + expression(i) + ";\n";
        }
        return text + "    return " + this->name(map_.result) + ";\n}\n";
    }

  private:
    using format = simd::float_format<T>;
    static constexpr std::uint32_t unplaced = 0xffffffffu;

    // What `step` needs, from left to right, and then the step itself: an order that does not depend on the one in which
    // a compiler evaluates operands. Returns the place of the step in map_.
    std::uint32_t put_in_order(const trace& map, std::uint32_t step, std::vector<std::uint32_t>& place) {
        if (place[step] != unplaced) return place[step];
        trace_step s = map.steps[step];
        const std::size_t count = operands(s).size();
        if (count > 0) s.a = put_in_order(map, s.a, place);
        if (count > 1) s.b = put_in_order(map, s.b, place);
        if (count > 2) s.c = put_in_order(map, s.c, place);
        place[step] = static_cast<std::uint32_t>(map_.steps.size());
        map_.steps.push_back(s);
        numbers_.push_back(count > 0 ? ++statements_ : 0);
        return place[step];
    }

    static std::string type() { return sizeof(T) == 4 ? "float" : "double"; }

    static std::vector<std::uint32_t> operands(const trace_step& s) {
        if (s.what == trace_op::score || s.what == trace_op::constant) return {};
        if (s.what == trace_op::mul_add || s.what == trace_op::select) return {s.a, s.b, s.c};
        if (trace_op::absolute <= s.what && s.what <= trace_op::shift_right) return {s.a};
        return {s.a, s.b};
    }
    T value(std::uint32_t i) const { return std::bit_cast<T>(static_cast<typename format::bits>(map_.steps[i].bits)); }
    std::string name(std::uint32_t i) const {
        if (map_.steps[i].what == trace_op::score) return "score";
        if (map_.steps[i].what == trace_op::constant) return literal(value(i));
        return "v" + std::to_string(numbers_[i]);
    }
    std::string mask(std::uint64_t bits) const {
        char digits[24];
        const auto end = std::to_chars(digits, digits + sizeof digits, bits, 16).ptr;
        return (sizeof(T) == 4 ? "UINT32_C(0x" : "UINT64_C(0x") + std::string(digits, end) + ")";
    }

    // Whether a * b + c is the same with one rounding and with two. A product with a power of two is exact unless it
    // leaves the range of normal numbers, and then c decides the sum.
    bool rounds_alike(std::uint32_t a, std::uint32_t b, std::uint32_t c) const {
        const auto power_of_two = [this](std::uint32_t i) {
            const trace_step& s = map_.steps[i];
            if (s.what == trace_op::shift_left) return s.bits == format::mantissa_bits;
            return s.what == trace_op::constant && std::isnormal(value(i)) && (s.bits & format::mantissa_mask) == 0;
        };
        const bool decides = map_.steps[c].what == trace_op::constant && std::fabs(value(c)) >= T(0x1p-100) &&
                             std::fabs(value(c)) <= T(0x1p100);
        return decides && (power_of_two(a) || power_of_two(b));
    }
    // Whether the product may meet a sum, at once or by way of a choice, that a fused operation would round otherwise.
    bool must_stay_apart(std::uint32_t product, std::uint32_t at) const {
        const trace_step& p = map_.steps[product];
        for (std::uint32_t i = at + 1; i < map_.steps.size(); ++i) {
            const trace_step& s = map_.steps[i];
            switch (s.what) {
                case trace_op::add:
                case trace_op::subtract:
                    if (s.a == at && !rounds_alike(p.a, p.b, s.b)) return true;
                    if (s.b == at && !rounds_alike(p.a, p.b, s.a)) return true;
                    break;
                case trace_op::mul_add:
                    if (s.c == at && !fused_) return true;
                    break;
                case trace_op::minimum:
                case trace_op::maximum:
                    if ((s.a == at || s.b == at) && must_stay_apart(product, i)) return true;
                    break;
                case trace_op::select:
                    if ((s.b == at || s.c == at) && must_stay_apart(product, i)) return true;
                    break;
                default:
                    break;
            }
        }
        return false;
    }

    std::string expression(std::uint32_t i) const {
        const trace_step& s = map_.steps[i];
        const auto a = [&] { return name(s.a); };
        const auto b = [&] { return name(s.b); };
        const auto c = [&] { return name(s.c); };
        const auto infix = [&](const char* sign) { return a() + sign + b(); };
        switch (s.what) {
            case trace_op::add:
                return infix(" + ");
            case trace_op::subtract:
                return infix(" - ");
            case trace_op::multiply:
                return must_stay_apart(i, i) ? "apart(" + infix(" * ") + ")" : infix(" * ");
            case trace_op::divide:
                return infix(" / ");
            case trace_op::mul_add:
                if (fused_) return "::std::fma(" + a() + ", " + b() + ", " + c() + ")";
                if (rounds_alike(s.a, s.b, s.c)) return infix(" * ") + " + " + c();
                return "apart(" + infix(" * ") + ") + " + c();
            case trace_op::minimum:
                return "least(" + infix(", ") + ")";
            case trace_op::maximum:
                return "most(" + infix(", ") + ")";
            case trace_op::absolute:
                return "::std::fabs(" + a() + ")";
            case trace_op::square_root:
                return "::std::sqrt(" + a() + ")";
            case trace_op::bits_and:
                return "number(bits(" + a() + ") & " + mask(s.bits) + ")";
            case trace_op::bits_or:
                return "number(bits(" + a() + ") | " + mask(s.bits) + ")";
            case trace_op::shift_left:
                return "number(bits(" + a() + ") << " + std::to_string(s.bits) + ")";
            case trace_op::shift_right:
                return "number(bits(" + a() + ") >> " + std::to_string(s.bits) + ")";
            case trace_op::less:
                return infix(" < ");
            case trace_op::less_equal:
                return infix(" <= ");
            case trace_op::equal:
                return infix(" == ");
            case trace_op::both:
                return infix(" && ");
            case trace_op::either:
                return infix(" || ");
            case trace_op::select:
                return a() + " ? " + b() + " : " + c();
            case trace_op::score:
            case trace_op::constant:
                break;
        }
        return name(i);
    }

    trace map_;  // only the steps that the result needs
    bool fused_;
    std::vector<std::uint32_t> numbers_;  // of the variables
    std::uint32_t statements_ = 0;
};

inline std::string constant_array(const char* name, const std::vector<double>& values) {
    std::string text = "inline constexpr double " + std::string(name) + "[] = {";
    for (std::size_t i = 0; i < values.size(); ++i) {
        text += (i % 4 == 0 ? "\n    " : " ") + literal(values[i]) + ",";
    }
    // An array has an element at least; it is not read then.
    return text + (values.empty() ? "0.0" : "\n") + "};\n";
}
inline std::string constant_size(const char* name, std::size_t size) {
    return "inline constexpr ::std::size_t " + std::string(name) + " = " + std::to_string(size) + ";\n";
}

/// Two functions `mapped`, for float and double.
inline constexpr const char* frozen_float = R"(inline float mapped(float score) noexcept {
    return static_cast<float>(mapped(static_cast<double>(score)));
}
)";
inline std::string frozen_map(const frozen_lines& t) {
    std::string text = frozen_search;
    text +=
        "\n// The line from score `from` on: level + (score - from) * slope. The first is the one below all others.\n" +
        constant_size("lines", t.from.size()) + constant_array("from", t.from) + constant_array("level", t.level) +
        constant_array("slope", t.slope);
    const bool fused = mul_add_is_fused<double, isa::scalar>();
    text += "\ninline double mapped(double score) noexcept {\n    const double p = most(" + literal(t.lowest) +
            ", least(" + literal(t.highest) +
            ", score));\n"
            "    const ::std::size_t i = count_up_to(from + 1, lines - 1, p);\n    return " +
            (fused ? "::std::fma(p - from[i], slope[i], level[i])" : "apart((p - from[i]) * slope[i]) + level[i]") +
            ";\n}\n";
    return text + frozen_float;
}
inline std::string frozen_map(const frozen_steps& t) {
    const bool equal_width = t.cuts.empty();
    std::string text = equal_width ? "\n" : std::string(frozen_search) + "\n" + constant_array("cuts", t.cuts);
    text += constant_size("bins", t.values.size()) + constant_array("value", t.values) +
            "\ninline double mapped(double score) noexcept {\n    if (!(score == score)) return score;\n";
    if (equal_width) {
        text += "    const double p = most(0.0, least(1.0, score)) * " + literal(static_cast<double>(t.values.size())) +
                ";\n    const ::std::size_t i = static_cast<::std::size_t>(p);\n"
                "    return value[i < bins ? i : bins - 1];\n}\n";
    } else {
        text += "    return value[count_up_to(cuts, bins - 1, score)];\n}\n";
    }
    return text + frozen_float;
}
template <class Isa, class C>
std::string frozen_curve(const C& c, const char* kind, const std::string& name = "mapped") {
    const auto single = trace_apply<float>(c, kind);
    const auto twice = trace_apply<double>(c, kind);
    return "\n" + step_writer<float>(single, mul_add_is_fused<float, Isa>()).function(name) +
           step_writer<double>(twice, mul_add_is_fused<double, Isa>()).function(name);
}

/// A map over packs that is no calibrator.
template <class Body>
struct pack_map {
    Body body;
    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        map_scores<Isa>("freeze", where, scores, out, body);
    }
};
template <class Body>
pack_map(Body) -> pack_map<Body>;  // for clang 14
template <class Isa>
std::string frozen_logit_map(const frozen_logit_lines& t, const char* kind) {
    const pack_map before{[input = t.input](auto score) { return score_as_logit(score, input); }};
    const pack_map after{[](auto eta) { return math::sigmoid(eta); }};
    std::string text = frozen_curve<Isa>(before, kind, "log_odds") + frozen_curve<Isa>(after, kind, "sigmoid");
    std::string lines = frozen_map(t.lines);
    for (std::size_t at = 0; (at = lines.find("mapped", at)) != std::string::npos;) lines.replace(at, 6, "line");
    text += lines;
    for (const std::string type : {"float", "double"}) {
        text += "inline " + type + " mapped(" + type + " score) noexcept { return sigmoid(line(log_odds(score))); }\n";
    }
    return text;
}

}  // namespace reckon::detail
