// What freeze() and to_json() know about each calibrator: its numbers, how to evaluate it in words, and its table when
// it has one. A calibrator without a table is frozen from the steps of its apply().
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/freeze_text.hpp"
#include "reckon/calibration/global_ratio.hpp"
#include "reckon/calibration/histogram_binning.hpp"
#include "reckon/calibration/isotonic.hpp"
#include "reckon/calibration/platt.hpp"
#include "reckon/calibration/prior_shift.hpp"
#include "reckon/calibration/sir.hpp"
#include "reckon/calibration/temperature.hpp"
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

inline calibrator_notes describe(const isotonic& c) {
    return calibrator_notes("isotonic",
                            "straight lines from each knot (score, level) to the next; outside the knots the level of "
                            "the nearest; without knots the score moved into [0, 1]")
        .numbers("knot_scores", c.knot_scores())
        .numbers("knot_levels", c.knot_levels());
}
inline line_table table_of(const isotonic& c) {
    const auto& x = c.knot_scores();
    const auto& y = c.knot_levels();
    // A level of -0 keeps the sign of a zero.
    if (x.empty()) return {.from = {0.0}, .level = {-0.0}, .slope = {1.0}};
    line_table t{.lowest = x.front(), .highest = x.back(), .from = x, .level = y, .slope = {}};
    for (std::size_t i = 0; i + 1 < x.size(); ++i) t.slope.push_back(line_slope(x[i + 1] - x[i], y[i], y[i + 1]));
    t.slope.push_back(0.0);
    return t;
}

inline calibrator_notes describe(const sir& c) {
    return calibrator_notes("sir",
                            "straight lines from each knot (score, value) to the next, the score moved into [0, 1]")
        .numbers("knot_scores", c.knot_scores())
        .numbers("knot_values", c.knot_values());
}
inline line_table table_of(const sir& c) {
    const auto& x = c.knot_scores();
    const auto& y = c.knot_values();
    line_table t;
    for (std::size_t i = 0; i + 1 < x.size(); ++i) {
        t.from.push_back(x[i]);
        t.level.push_back(y[i]);
        t.slope.push_back((y[i + 1] - y[i]) / (x[i + 1] - x[i]));
        t.top.push_back(y[i + 1]);
    }
    return t;
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
               "the value of the bin with edge[k] <= s < edge[k + 1], s = the score moved into [0, 1]; s = "
               "1 belongs to the last bin")
        .numbers("edges", edges)
        .numbers("values", values);
}
inline step_table table_of(const histogram_binning& c) {
    step_table t;
    for (std::size_t k = 0; k < c.bins(); ++k) {
        t.values.push_back(c.value(k));
        if (k > 0 && !c.equal_width()) t.cuts.push_back(c.edge(k));
    }
    return t;
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
    if constexpr (requires { table_of(c); }) {
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
