// Tables, charts, progress lines and command line options.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "args.hpp"
#include "charts.hpp"
#include "progress.hpp"
#include "table.hpp"

using namespace reckon_examples;

namespace {

// Whether tags nest and close, and no bare < or & stands between them.
bool well_formed(const std::string& xml) {
    std::vector<std::string> open;
    for (std::size_t at = 0; at < xml.size();) {
        if (xml[at] == '&') {
            const std::size_t end = xml.find(';', at);
            if (end == std::string::npos || end - at > 6) return false;
            at = end;
        } else if (xml[at] == '<') {
            const std::size_t end = xml.find('>', at);
            if (end == std::string::npos) return false;
            const std::string tag = xml.substr(at + 1, end - at - 1);
            if (tag.find('<') != std::string::npos) return false;
            if (tag.front() == '/') {
                if (open.empty() || open.back() != tag.substr(1)) return false;
                open.pop_back();
            } else if (tag.back() != '/') {
                open.push_back(tag.substr(0, tag.find(' ')));
            }
            at = end;
        }
        ++at;
    }
    return open.empty();
}

std::size_t occurrences(const std::string& text, const std::string& part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
    return count;
}

}  // namespace

TEST_CASE("table: alignment, digits and the mark of the best") {
    table t({{"method"}, {"loss", 3, best::low}, {"pcoc", 2, best::near_one}});
    t.add_row({"raw", 0.25, 1.3});
    t.add_row({"über", 0.2, 0.94});
    t.add_row({"oracle", 0.1, 1.0}, false);
    std::ostringstream out;
    t.print(out);
    CHECK(out.str() ==
          "method   loss   pcoc\n"
          "---------------------\n"
          "raw     0.250   1.30\n"
          "über    0.200*  0.94*\n"
          "oracle  0.100   1.00\n");
}

TEST_CASE("table: Markdown") {
    table t({{"a|b"}, {"auc", 2, best::high}});
    t.add_row({"x|y", 0.7512});
    t.add_row({"z", 0.7488});
    t.add_row({"none", std::numeric_limits<double>::quiet_NaN()});
    std::ostringstream out;
    t.markdown(out);
    CHECK(out.str() ==
          "| a\\|b | auc |\n"
          "| --- | ---: |\n"
          "| x\\|y | **0.75** |\n"
          "| z | **0.75** |\n"
          "| none | n/a |\n");
    CHECK_THROWS_AS(t.add_row({"too short"}), std::invalid_argument);
}

TEST_CASE("svg: text is escaped everywhere") {
    CHECK(svg::escape("a<b & \"c\" 'd'>\x01") == "a&lt;b &amp; &quot;c&quot; &#39;d&#39;&gt; ");
    const std::string nasty = "</text><script>&\"'";
    const std::string chart = reliability_diagram({{nasty, nasty, {{nasty, {{0.1, 0.2, 0.1, 0.3, 10}}}}}},
                                                  {.title = nasty, .subtitle = nasty});
    CHECK(well_formed(chart));
    CHECK(occurrences(chart, "<script>") == 0);
    const chart_options options{.title = nasty, .subtitle = nasty, .x_label = nasty, .y_label = nasty};
    for (const std::string& drawing :
         {line_chart({{nasty, {1, 2}, {3, 4}}}, options), bar_chart({nasty, "b"}, {{nasty, {1, 2}}}, options)}) {
        CHECK(well_formed(drawing));
        CHECK(occurrences(drawing, "<script>") == 0);
    }
}

TEST_CASE("svg: numbers and ticks") {
    CHECK(svg::coordinate(1.5) == "1.5");
    CHECK(svg::coordinate(-0.001) == "0");
    CHECK(svg::coordinate(std::nan("")) == "0");
    CHECK(svg::number(0.05) == "0.05");
    CHECK(svg::number(1234567) == "1,234,567");
    CHECK(svg::number(-12345) == "-12,345");
    CHECK(svg::short_number(950) == "950");
    CHECK(svg::short_number(13334) == "13.3k");
    CHECK(svg::short_number(4e6) == "4M");
    const auto close = [](const std::vector<double>& a, const std::vector<double>& b) {
        if (a.size() != b.size()) return false;
        for (std::size_t k = 0; k < a.size(); ++k)
            if (std::abs(a[k] - b[k]) > 1e-12) return false;
        return true;
    };
    CHECK(close(svg::scale(0, 1, false).ticks(), {0, 0.2, 0.4, 0.6, 0.8, 1}));
    CHECK(close(svg::scale(-3, 7, false).ticks(), {-2, 0, 2, 4, 6}));
    CHECK(close(svg::scale(0.004, 0.06, true).ticks(), {0.005, 0.01, 0.02, 0.05}));
    CHECK(close(svg::scale(1e-6, 1, true).ticks(), {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1}));
    svg::scale log(0.01, 1, true);
    log.pixels(0, 200);
    CHECK(log(0.1) == doctest::Approx(100));
    CHECK_THROWS_AS(svg::scale(0, 1, true), std::invalid_argument);
}

TEST_CASE("charts: empty bins are skipped, odd input gives a drawing or an error, never nan") {
    const reliability_bin full{0.1, 0.2, 0.1, 0.3, 10}, empty{0.5, std::nan(""), std::nan(""), std::nan(""), 0};
    const std::string one = reliability_diagram({{"p", "", {{"s", {full, empty, full}}}}});
    CHECK(occurrences(one, "<circle") == 3);  // two points and the legend
    for (const bool logarithmic : {false, true}) {
        const std::vector<std::string> drawings = {
            reliability_diagram({{"p", "", {}}}, {.logarithmic = logarithmic}),
            reliability_diagram({{"p", "", {{"s", {{0.001, 0, 0, 0.004, 900}, full}}}}}, {.logarithmic = logarithmic}),
            line_chart({}, {.log_x = logarithmic, .log_y = logarithmic}),
            line_chart({{"s", {0, 1, std::nan(""), 3}, {-1, 1, 1, 1}}}, {.log_x = logarithmic, .log_y = logarithmic}),
            bar_chart({}, {}),
            bar_chart({"a"}, {{"s", {std::nan("")}}})};
        for (const std::string& drawing : drawings) {
            CHECK(well_formed(drawing));
            CHECK(occurrences(drawing, "nan\"") + occurrences(drawing, "inf\"") + occurrences(drawing, ">nan") == 0);
        }
    }
    CHECK_THROWS_AS(reliability_diagram({}), std::invalid_argument);
    CHECK_THROWS_AS(line_chart({{"s", {1, 2}, {1}}}), std::invalid_argument);
    CHECK_THROWS_AS(bar_chart({"a", "b"}, {{"s", {1}}}), std::invalid_argument);
    CHECK_THROWS_AS(bar_chart({"a"}, {{"s", {1}}}, {.log_y = true}), std::invalid_argument);
}

TEST_CASE("progress: silent at first, then one line for each tenth") {
    std::ostringstream out;
    {
        progress quick("work", 100, {.quiet_seconds = 1000, .out = &out, .terminal = false});
        for (std::size_t k = 0; k <= 100; ++k) quick.update(k);
    }
    CHECK(out.str().empty());
    {
        progress slow("work", 1000, {.quiet_seconds = 0, .out = &out, .terminal = false});
        for (std::size_t k = 0; k <= 1000; ++k) slow.update(k);
    }
    CHECK(occurrences(out.str(), "\n") == 10);
    CHECK(out.str().starts_with("work:  10 %"));
}

TEST_CASE("args: values, flags, lists, help and what is refused") {
    const char* words[] = {"tool", "--rows", "12", "--rate=-0.5", "--quiet", "--fields", "job,,month"};
    args good(7, words, "About.");
    CHECK(good.integer("rows", 5, "how many") == 12);
    CHECK(good.number("rate", 0.25, "how fast") == -0.5);
    CHECK(good.number("other", 0.25, "unset") == 0.25);
    CHECK(good.flag("quiet", "say less"));
    CHECK(!good.flag("loud", "say more"));
    CHECK(good.list("fields", "", "columns") == std::vector<std::string>{"job", "month"});
    std::ostringstream out;
    CHECK(!good.finish(out));

    const char* help[] = {"tool", "--help"};
    args asked(2, help, "About.");
    asked.integer("rows", 5, "how many");
    CHECK(asked.finish(out));
    CHECK(out.str() == "About.\n\nUsage: tool [options]\n\n  --rows VALUE  how many [5]\n");

    const auto refuse = [](std::vector<const char*> line) {
        args a(static_cast<int>(line.size()), line.data(), "");
        a.integer("rows", 5, "");
        a.flag("quiet", "");
        std::ostringstream sink;
        a.finish(sink);
    };
    CHECK_THROWS_WITH_AS(refuse({"t", "--row", "3"}), "unknown option '--row'; --help lists the options",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(refuse({"t", "--quiet", "3"}), "unexpected word '3'; --help lists the options",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(refuse({"t", "--rows"}), "option --rows needs a value", std::invalid_argument);
    CHECK_THROWS_WITH_AS(refuse({"t", "--rows", "--quiet"}), "option --rows needs a value", std::invalid_argument);
    CHECK_THROWS_WITH_AS(refuse({"t", "--rows", "3x"}), "option --rows: '3x' is not a whole number",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(refuse({"t", "--rows", "3", "--rows", "4"}), "option --rows is given twice",
                         std::invalid_argument);
}
