// What freeze() and to_json() know about each calibrator: its numbers, how to evaluate it in words, and its table when
// it has one. A calibrator without a table is frozen from the steps of its apply().
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "reckon/calibration/bbq.hpp"
#include "reckon/calibration/beta_calibration.hpp"
#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/freeze_text.hpp"
#include "reckon/calibration/gamma_scaling.hpp"
#include "reckon/calibration/gaussian_scaling.hpp"
#include "reckon/calibration/global_ratio.hpp"
#include "reckon/calibration/histogram_binning.hpp"
#include "reckon/calibration/isotonic.hpp"
#include "reckon/calibration/piecewise_linear.hpp"
#include "reckon/calibration/platt.hpp"
#include "reckon/calibration/prior_shift.hpp"
#include "reckon/calibration/scaling_binning.hpp"
#include "reckon/calibration/sir.hpp"
#include "reckon/calibration/spline_calibration.hpp"
#include "reckon/calibration/spline_logit.hpp"
#include "reckon/calibration/temperature.hpp"
#include "reckon/calibration/venn_abers.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/version.hpp"

namespace reckon::detail {

inline std::string library_version() {
    return std::to_string(RECKON_VERSION_MAJOR) + "." + std::to_string(RECKON_VERSION_MINOR) + "." +
           std::to_string(RECKON_VERSION_PATCH);
}

/// Kind, parameters and words of one calibrator.
class calibrator_notes {
  public:
    struct parameter {
        std::string name, json, remark;
    };

    calibrator_notes(const char* kind, std::string words) : kind_(kind), words_(std::move(words)) {}

    calibrator_notes& word(const char* name, const std::string& value) {
        parameters_.push_back({name, "\"" + value + "\"", value});
        return *this;
    }
    calibrator_notes& number(const char* name, double value) {
        parameters_.push_back({name, decimal(value), decimal(value)});
        return *this;
    }
    calibrator_notes& numbers(const char* name, const std::vector<double>& values) {
        std::string json = "[";
        for (const double v : values) json += (json.size() > 1 ? ", " : "") + decimal(v);
        parameters_.push_back({name, json + "]", std::to_string(values.size()) + " numbers"});
        return *this;
    }

    const std::string& kind() const noexcept { return kind_; }
    const std::string& words() const noexcept { return words_; }
    const std::vector<parameter>& parameters() const noexcept { return parameters_; }

  private:
    std::string kind_, words_;
    std::vector<parameter> parameters_;
};

/// Notes on a calibrator of the log-odds f of a score.
inline calibrator_notes notes_on_logits(const char* kind, const std::string& words, score_kind input) {
    const bool probability = input == score_kind::probability;
    const std::string limit = decimal(logit_limit);
    const std::string f = probability ? "f = log(score / (1 - score)) with the score moved into [0, 1], limited to [-" +
                                            limit + ", " + limit + "]"
                                      : "f = score";
    calibrator_notes notes(kind, words + ", " + f);
    notes.word("input", probability ? "probability" : "logit");
    return notes;
}

inline calibrator_notes describe(const platt& c) {
    return notes_on_logits("platt", "p = 1 / (1 + exp(-(slope f + intercept)))", c.input_kind())
        .number("slope", c.slope())
        .number("intercept", c.intercept());
}
inline calibrator_notes describe(const temperature& c) {
    return notes_on_logits("temperature", "p = 1 / (1 + exp(-beta f))", c.input_kind()).number("beta", c.beta());
}
inline calibrator_notes describe(const beta_calibration& c) {
    const bool probability = c.input_kind() == score_kind::probability;
    const std::string least = decimal(-least_beta_log);
    return calibrator_notes(
               "beta_calibration",
               "p = 1 / (1 + exp(-(a l - b m + c))), l = log(s), m = log(1 - s), neither below -" + least +
                   (probability ? ", s = the score moved into [0, 1]"
                                : ", s = 1 / (1 + exp(-f)), f = the score moved into [-" + least + ", " + least + "]"))
        .word("input", probability ? "probability" : "logit")
        .number("a", c.a())
        .number("b", c.b())
        .number("c", c.c());
}
inline calibrator_notes describe(const gaussian_scaling& c) {
    return calibrator_notes("gaussian_scaling",
                            "p = 1 / (1 + exp(-(a d^2 + centre_slope d + intercept))), d = s - centre, s = the score "
                            "moved into [lowest, highest]")
        .number("a", c.a())
        .number("centre_slope", c.centre_slope())
        .number("intercept", c.intercept())
        .number("centre", c.centre())
        .number("lowest", c.lowest())
        .number("highest", c.highest());
}
inline calibrator_notes describe(const gamma_scaling& c) {
    return calibrator_notes("gamma_scaling",
                            "p = 1 / (1 + exp(-(a log(s / centre) + b (s - centre) + intercept))), s = the score moved "
                            "into [lowest, highest]")
        .number("a", c.a())
        .number("b", c.b())
        .number("intercept", c.intercept())
        .number("centre", c.centre())
        .number("lowest", c.lowest())
        .number("highest", c.highest());
}
inline calibrator_notes describe(const spline_logit& c) {
    return notes_on_logits(
               "spline_logit",
               "p = 1 / (1 + exp(-spline(f))), spline the natural cubic spline through (knots, values), straight "
               "outside",
               c.input_kind())
        .numbers("knots", c.knots())
        .numbers("values", c.values());
}
inline calibrator_notes describe(const prior_shift& c) {
    const bool probability = c.input_kind() == score_kind::probability;
    return calibrator_notes("prior_shift", probability
                                               ? "p = rate s / (rate s + 1 - s), s = the score moved into [0, 1]"
                                               : "p = 1 / (1 + exp(-(score + log(rate))))")
        .word("input", probability ? "probability" : "logit")
        .number("rate", c.rate());
}
inline calibrator_notes describe(const global_ratio& c) {
    return calibrator_notes("global_ratio", "p = min(1, ratio s), s = the score moved into [0, 1]")
        .number("ratio", c.ratio());
}

// Calibrators with a table. table_of() returns what frozen_map() writes down.

inline constexpr const char* words_on_lines =
    "straight lines from each knot (score, level) to the next; outside the knots the level of the nearest; without "
    "knots "
    "the score moved into [0, 1]";
inline constexpr const char* words_on_steps = "values[k], k = the number of cuts at or below the score";

inline calibrator_notes describe(const isotonic& c) {
    return calibrator_notes("isotonic", words_on_lines)
        .numbers("knot_scores", c.knot_scores())
        .numbers("knot_levels", c.knot_levels());
}
inline frozen_lines table_of(const isotonic& c) {
    return frozen_lines::through(c.knot_scores(), c.knot_levels());
}

inline calibrator_notes describe(const sir& c) {
    return calibrator_notes("sir", words_on_lines)
        .numbers("knot_scores", c.knot_scores())
        .numbers("knot_levels", c.knot_values());
}
inline frozen_lines table_of(const sir& c) {
    return frozen_lines::through(c.knot_scores(), c.knot_values());
}

inline calibrator_notes describe(const spline_calibration& c) {
    return calibrator_notes("spline_calibration", words_on_lines)
        .numbers("knot_scores", c.knot_scores())
        .numbers("knot_levels", c.knot_levels());
}
inline frozen_lines table_of(const spline_calibration& c) {
    return frozen_lines::through(c.knot_scores(), c.knot_levels());
}

inline calibrator_notes describe(const piecewise_linear& c) {
    return notes_on_logits("piecewise_linear",
                           "p = 1 / (1 + exp(-g)), g on the straight lines from each knot (f, level) to the next, the "
                           "outer lines going on",
                           c.input_kind())
        .numbers("knots", c.knots())
        .numbers("levels", c.levels());
}
inline frozen_logit_lines table_of(const piecewise_linear& c) {
    return {c.input_kind(), frozen_lines::through(c.knots(), c.levels(), beyond_ends::straight)};
}

inline calibrator_notes describe(const histogram_binning& c) {
    std::vector<double> edges, values;
    for (std::size_t k = 0; k < c.bins(); ++k) {
        edges.push_back(c.edge(k));
        values.push_back(c.value(k));
    }
    edges.push_back(1.0);
    return calibrator_notes(
               "histogram_binning",
               "the value of the bin with edges[k] <= s < edges[k + 1], s = the score moved into [0, 1]; s "
               "= 1 belongs to the last bin")
        .numbers("edges", edges)
        .numbers("values", values);
}
inline frozen_steps table_of(const histogram_binning& c) {
    frozen_steps t;
    for (std::size_t k = 0; k < c.bins(); ++k) {
        t.values.push_back(c.value(k));
        if (k > 0 && !c.equal_width()) t.cuts.push_back(c.edge(k));
    }
    return t;
}

inline std::vector<double> as_vector(vector_view<const double> numbers) {
    return {numbers.begin(), numbers.end()};
}
inline calibrator_notes describe(const bbq& c) {
    return calibrator_notes("bbq", words_on_steps).numbers("cuts", as_vector(c.cuts())).numbers("values", c.values());
}
inline frozen_steps table_of(const bbq& c) {
    return {as_vector(c.cuts()), c.values()};
}
inline calibrator_notes describe(const scaling_binning& c) {
    return calibrator_notes("scaling_binning", words_on_steps)
        .number("slope", c.curve().slope())
        .number("intercept", c.curve().intercept())
        .numbers("cuts", as_vector(c.cuts()))
        .numbers("values", c.values());
}
inline frozen_steps table_of(const scaling_binning& c) {
    return {as_vector(c.cuts()), c.values()};
}

inline calibrator_notes describe(const venn_abers& c) {
    const bool log_loss = c.point() == venn_abers_point::log_loss;
    return calibrator_notes(
               "venn_abers",
               std::string("p = ") + (log_loss ? "p1 / (1 - p0 + p1)" : "p1 + p0^2 / 2 - p1^2 / 2") +
                   ", p0 = lower[k], k = the number of knots at or below the score, p1 = upper[j], j = the "
                   "number of knots below the score; without knots the score moved into [0, 1]")
        .numbers("knots", c.knots())
        .numbers("lower", c.lower())
        .numbers("upper", c.upper());
}
// A knot has a value of its own, so it gives two cuts: itself, and the number after it.
inline std::variant<frozen_lines, frozen_steps> table_of(const venn_abers& c) {
    if (c.knots().empty()) return frozen_lines::through({}, {});
    constexpr double inf = std::numeric_limits<double>::infinity();
    frozen_steps t{{}, {c(-inf)}};
    for (const double knot : c.knots()) {
        for (const double cut : {knot, std::nextafter(knot, inf)}) {
            if (!t.cuts.empty() && !(t.cuts.back() < cut)) {  // the neighbour of the knot before
                t.cuts.pop_back();
                t.values.pop_back();
            }
            t.cuts.push_back(cut);
            t.values.push_back(c(cut));
        }
    }
    return t;
}
inline std::string frozen_map(const std::variant<frozen_lines, frozen_steps>& table) {
    return std::visit([](const auto& t) { return frozen_map(t); }, table);
}

template <class Isa, class C>
std::string frozen_header(const C& c, const std::string& name, const std::string& space) {
    const calibrator_notes notes = describe(c);
    std::string text = "// Calibrator \"" + notes.kind() + "\", frozen by reckon " + library_version() +
                       ". Needs C++17.\n//\n//   " + notes.words() + "\n//\n";
    for (const auto& p : notes.parameters()) text += "//   " + p.name + " = " + p.remark + "\n";
    const std::string guard = "FROZEN_" + space + "_" + name + "_HPP", parts = name + "_parts";
    text += "#ifndef " + guard + "\n#define " + guard + R"(

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __FAST_MATH__
#error "these functions need IEEE arithmetic: compile without -ffast-math"
#endif

)" + "namespace " +
            space + " {\nnamespace " + parts + " {\n" + frozen_helpers;
    if constexpr (requires { table_of(c).input; }) {
        text += frozen_logit_map<Isa>(table_of(c), notes.kind().c_str());
    } else if constexpr (requires { table_of(c); }) {
        text += frozen_map(table_of(c));
    } else {
        text += frozen_curve<Isa>(c, notes.kind().c_str());
    }
    text += "\n}  // namespace " + parts + "\n\n";
    for (const std::string type : {"float", "double"}) {
        text +=
            "inline " + type + " " + name + "(" + type + " score) noexcept { return " + parts + "::mapped(score); }\n";
    }
    text += "// n scores; out may be the scores.\n";
    for (const std::string type : {"float", "double"}) {
        text += "inline void " + name + "(const " + type + "* scores, " + type +
                "* out, ::std::size_t n) noexcept {\n"
                "    for (::std::size_t i = 0; i < n; ++i) out[i] = " +
                parts + "::mapped(scores[i]);\n}\n";
    }
    return text + "\n}  // namespace " + space + "\n\n#endif\n";
}

template <class C>
std::string json_text(const C& c) {
    const calibrator_notes notes = describe(c);
    std::string letters;
    for (int k = 0; k < 4; ++k) letters += static_cast<char>((C::bytes_kind >> (8 * k)) & 0xffu);
    std::string text = "{\n  \"kind\": \"" + notes.kind() + "\",\n  \"bytes_kind\": \"" + letters +
                       "\",\n  \"version\": " + std::to_string(C::bytes_version) + ",\n  \"library\": \"reckon " +
                       library_version() + "\",\n";
    if constexpr (requires { c.seen(); }) {
        const counts seen = c.seen();
        text += "  \"seen\": {\"accepted\": " + std::to_string(seen.accepted) +
                ", \"rejected\": " + std::to_string(seen.rejected) + "},\n";
    }
    text += "  \"evaluate\": \"" + notes.words() + "\",\n  \"parameters\": {\n";
    bool first = true;
    for (const auto& p : notes.parameters()) {
        text += (first ? "" : ",\n") + ("    \"" + p.name + "\": ") + p.json;
        first = false;
    }
    return text + "\n  }\n}\n";
}

}  // namespace reckon::detail
