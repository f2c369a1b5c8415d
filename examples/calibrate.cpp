// Calibrates columns of numbers that NumPy wrote: fits a calibrator, applies one, or judges predictions.
//
//   calibrate fit --method platt --scores s.npy --labels y.npy --out model.reckon [--weights w.npy] [--logits]
//                 [--header model.hpp] [--name calibrate] [--json model.json]
//   calibrate apply --model model.reckon --scores s.npy --out p.npy
//   calibrate report --scores s.npy,p.npy --labels y.npy [--weights w.npy] [--bins 15] [--svg reliability.svg]

#include "calibrate/methods.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "reckon/metrics/auc.hpp"
#include "reckon/metrics/calibration_report.hpp"
#include "reckon/metrics/reliability.hpp"
#include "support/args.hpp"
#include "support/charts.hpp"
#include "support/npy.hpp"
#include "support/table.hpp"

using namespace reckon_examples;

namespace {

void write_file(const std::string& path, const char* data, std::size_t size) {
    std::ofstream file(path, std::ios::binary);
    file.write(data, static_cast<std::streamsize>(size));
    file.close();
    if (!file) throw std::runtime_error(path + ": cannot be written");
}
void write_file(const std::string& path, const std::string& text) {
    write_file(path, text.data(), text.size());
}

std::vector<std::byte> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + ": cannot be opened");
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    std::vector<std::byte> bytes(text.size());
    std::transform(text.begin(), text.end(), bytes.begin(), [](char c) { return static_cast<std::byte>(c); });
    return bytes;
}

std::string needed(args& options, const char* name, const char* about) {
    return options.text(name, "", about);
}
void require(const std::string& value, const char* command, const char* name) {
    if (value.empty()) throw std::invalid_argument(std::string(command) + " needs --" + name);
}

npy_column load(const std::string& path) {
    npy_column column(path);
    if (const std::size_t nans = column.nan_count(); nans > 0)
        std::cout << path << ": " << nans << " of " << column.size() << " numbers are NaN\n";
    return column;
}
npy_column load_like(const std::string& path, const npy_column& scores) {
    npy_column column = load(path);
    if (column.size() != scores.size())
        column.fail("holds " + std::to_string(column.size()) + " numbers, but " + scores.path() + " holds " +
                    std::to_string(scores.size()));
    return column;
}

int fit(args& options) {
    const std::string name =
        needed(options, "method", ("one of " + method_names([](const method& m) { return m.fit != nullptr; })).c_str());
    const std::string scores = needed(options, "scores", ".npy file of probabilities, or of log-odds with --logits");
    const std::string labels = needed(options, "labels", ".npy file of 0 and 1, or fractions in between");
    const std::string weights = needed(options, "weights", ".npy file of weights");
    const bool logits = options.flag("logits", "the scores are log-odds or margins");
    const std::string out = needed(options, "out", "file for the model");
    const std::string header = needed(options, "header", "file for a C++ header that does the same");
    const std::string function = options.text("name", "calibrate", "name of the function in that header");
    const std::string json = needed(options, "json", "file for the parameters as JSON");
    if (options.finish(std::cout)) return 0;
    const method& how = method_called(name);
    require(scores, "fit", "scores");
    require(labels, "fit", "labels");
    require(out, "fit", "out");
    if (logits && !how.takes_logits)
        throw std::invalid_argument("--method " + name + " takes probabilities only; --logits go with " +
                                    method_names([](const method& m) { return m.fit != nullptr && m.takes_logits; }));

    const npy_column s = load(scores), y = load_like(labels, s);
    columns rows{
        s.as<double>(), y.as<double>(), {}, logits ? reckon::score_kind::logit : reckon::score_kind::probability};
    if (!weights.empty()) rows.weights = load_like(weights, s).as<double>();
    reckon::exec::pool pool;
    const auto fitted = how.fit(host(pool), rows);
    const reckon::counts seen = fitted->seen();
    const bool outside =
        !logits && std::any_of(rows.scores.begin(), rows.scores.end(), [](double p) { return p < 0.0 || p > 1.0; });
    const std::string hint = outside ? "; some scores lie outside [0, 1]: log-odds need --logits" : "";
    if (seen.accepted == 0) s.fail("none of the " + std::to_string(s.size()) + " rows can be used" + hint);
    const auto bytes = fitted->bytes();
    const std::string source = header.empty() ? "" : fitted->header(function);  // refuses a bad name
    write_file(out, reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!header.empty()) write_file(header, source);
    if (!json.empty()) write_file(json, fitted->json());
    std::cout << out << ": " << name << " fitted on " << seen.accepted << " rows, " << seen.rejected << " left out"
              << hint << ", " << bytes.size() << " bytes\n";
    return 0;
}

int apply(args& options) {
    const std::string path = needed(options, "model", "file that fit wrote");
    const std::string scores = needed(options, "scores", ".npy file of scores like those of the fit");
    const std::string out = needed(options, "out", ".npy file for the probabilities: f4 for f4, otherwise f8");
    if (options.finish(std::cout)) return 0;
    require(path, "apply", "model");
    require(scores, "apply", "scores");
    require(out, "apply", "out");
    std::unique_ptr<model> c;
    const auto bytes = read_file(path);
    try {
        c = read_model(bytes);
    } catch (const std::runtime_error& error) {
        throw std::runtime_error(path + ": " + error.what());
    }
    const npy_column s = load(scores);
    reckon::exec::pool pool;
    const auto run = [&](auto column) {
        c->apply(host(pool), column, column);
        write_npy(out, column);
    };
    if (s.type() == "f4") {
        run(s.as<float>());
    } else {
        run(s.as<double>());
    }
    std::cout << out << ": " << s.size() << " probabilities\n";
    return 0;
}

int report(args& options) {
    const std::vector<std::string> files = options.list("scores", "", ".npy files of probabilities");
    const std::string labels = needed(options, "labels", ".npy file of 0 and 1, or fractions in between");
    const std::string weights = needed(options, "weights", ".npy file of weights");
    const std::int64_t bins = options.integer("bins", 15, "bins of ECE, MCE and the picture");
    const std::string svg = needed(options, "svg", "file for a reliability diagram");
    const bool markdown = options.flag("markdown", "prints the table in Markdown");
    if (options.finish(std::cout)) return 0;
    require(files.empty() ? "" : files[0], "report", "scores");
    require(labels, "report", "labels");
    if (bins < 1 || bins > 1000) throw std::invalid_argument("--bins must lie in 1 .. 1000");
    const auto count = static_cast<std::size_t>(bins);

    table out({{"scores", 0, best::none},
               {"rows", 0, best::none},
               {"left out", 0, best::none},
               {"log-loss", 5, best::low},
               {"NE", 4, best::low},
               {"Brier", 5, best::low},
               {"AUC", 4, best::high},
               {"PCOC", 3, best::near_one},
               {"ECE x1000", 2, best::low},
               {"ECE mass x1000", 2, best::low},
               {"MCE x1000", 2, best::low},
               {"z", 2, best::none}});
    std::vector<reliability_panel> panels;
    bool rare = true;
    reckon::exec::pool pool;
    const host where(pool);
    for (const std::string& file : files) {
        const npy_column s = load(file), labelled = load_like(labels, s);
        const auto p = s.as<double>(), y = labelled.as<double>();
        std::vector<double> w;
        if (!weights.empty()) w = load_like(weights, s).as<double>();
        const auto summary = reckon::calibration_report(where, p, y, w, {.bins = reckon::score_bins::width(count)});
        const auto figures = summary.finish();
        const auto mass = reckon::reliability(where, p, y, w, reckon::score_bins::mass(p, count));
        const auto area = reckon::auc(where, p, y, w);
        if (summary.seen().accepted == 0)
            s.fail("none of the " + std::to_string(s.size()) + " rows can be used; probabilities in [0, 1] are needed");
        out.add_row({file, static_cast<double>(summary.seen().accepted), static_cast<double>(summary.rejected()),
                     figures.log_loss, figures.normalized_entropy, figures.brier, area.value, figures.pcoc,
                     1000 * figures.ece, 1000 * mass.ece(), 1000 * figures.mce, figures.spiegelhalter_z});
        reliability_series series{file, {}};
        for (std::size_t b = 0; b < mass.size(); ++b) {
            const reckon::reliability_row row = mass.row(b);
            if (row.weight > 0)
                series.bins.push_back({row.mean_score, row.rate, row.bar.lower, row.bar.upper, row.weight});
        }
        const auto total = mass.total();
        rare = rare && total.label < 0.1 * total.weight;
        char note[64];
        std::snprintf(note, sizeof note, "log-loss %.4f, ECE %.4f", figures.log_loss, figures.ece);
        panels.push_back({file, note, {std::move(series)}});
    }
    out.write(std::cout, markdown);
    if (!svg.empty()) {
        const std::string title = "Reliability, " + std::to_string(count) + " bins of equal mass";
        write_file(svg, reliability_diagram(panels, {.title = title, .logarithmic = rare}));
        std::cout << "wrote " << svg << '\n';
    }
    return 0;
}

constexpr const char* commands =
    "calibrate fit     learns a calibrator from scores and labels and writes it to a file\n"
    "calibrate apply   maps scores to probabilities by such a file\n"
    "calibrate report  tells how good probabilities are\n\n"
    "calibrate fit --help lists the options of fit.\n";

}  // namespace

int main(int argc, char** argv) {
    try {
        const std::string command = argc > 1 ? argv[1] : "";
        if (command == "--help") {
            std::cout << commands;
            return 0;
        }
        const std::string program = "calibrate " + command;
        std::vector<const char*> words{program.c_str()};
        for (int k = 2; k < argc; ++k) words.push_back(argv[k]);
        const auto options = [&](const char* about) {
            return args(static_cast<int>(words.size()), words.data(), about);
        };
        if (command == "fit") {
            args a = options("Learns a calibrator from columns of numbers that NumPy wrote.");
            return fit(a);
        }
        if (command == "apply") {
            args a = options("Maps a column of scores to probabilities.");
            return apply(a);
        }
        if (command == "report") {
            args a = options("Tells how good probabilities are; several files, separated by commas, are compared.");
            return report(a);
        }
        throw std::invalid_argument((command.empty() ? "a command is needed" : "unknown command '" + command + "'") +
                                    "\n" + commands);
    } catch (const std::exception& error) {
        std::cerr << "calibrate: " << error.what() << '\n';
        return 2;
    }
}
