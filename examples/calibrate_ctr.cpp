// Repairs predicted click and conversion probabilities: trains a small model on a log, calibrates it in many ways, and
// compares the results in a table and a picture. Without a file it works on simulated clicks with known truth.
//
//   calibrate_ctr --data log.csv --label click --positive 1 --fields site,ad --features site,ad,hour --time hour
//   calibrate_ctr --dataset adult
//   calibrate_ctr                     simulated clicks
//   calibrate_ctr --check             the claims that the documentation makes, on simulated clicks

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "calibrate_ctr/claims.hpp"
#include "calibrate_ctr/log.hpp"
#include "calibrate_ctr/methods.hpp"
#include "calibrate_ctr/pictures.hpp"
#include "calibrate_ctr/report.hpp"
#include "calibrate_ctr/words.hpp"
#include "support/args.hpp"
#include "support/charts.hpp"
#include "support/progress.hpp"

using namespace reckon_examples;

namespace {

struct settings {
    std::string data, dataset, delimiter, split, form, out;
    log_columns columns;
    log_options log;
    std::size_t rows = 0;
    bool no_header = false, blind = false, check = false, markdown = false, help = false;
};

settings read_settings(args& options) {
    settings s;
    s.data = options.text("data", "", "delimited text file with a header");
    s.columns.label = options.text("label", "", "column of the label");
    s.columns.positive = options.text("positive", "1", "value of the label that counts as positive");
    s.columns.fields = options.list("fields", "", "columns that are calibrated value by value");
    s.columns.texts = options.list("features", "", "columns for the base model, taken as text; none: the fields");
    s.columns.numbers = options.list("numbers", "", "columns for the base model, cut into buckets at their quantiles");
    s.columns.time = options.text("time", "", "column to split by: the earliest rows train, the latest test");
    s.delimiter = options.text("delimiter", "", "one character, or tab; none: looks at the first line");
    s.no_header = options.flag("no-header", "columns are named 1, 2, 3 ...");
    s.dataset =
        options.text("dataset", "", "bank, shoppers, adult, credit, openbandit, or any: the first that is there");
    s.split = options.text("split", "auto", "auto, time (order of the rows) or random");
    s.blind = options.flag("blind", "the base model does not see the calibrated fields");
    s.log.keep_negatives = options.number("keep-negatives", 1, "share of the negatives that the base model trains on");
    s.form = options.text("form", "auto",
                          "how ConfCalib corrects: ratio, logit, or auto: logit if many predictions exceed 1/2");
    s.log.seed = static_cast<std::uint64_t>(options.integer("seed", 1, "of split, training and simulation"));
    const std::int64_t rows = options.integer("rows", 200'000, "simulated rows to calibrate, and to test");
    if (rows < 1 || rows > 100'000'000) throw std::invalid_argument("--rows must lie in 1 .. 100000000");
    s.rows = static_cast<std::size_t>(rows);
    s.out = options.text("out", ".", "folder for the pictures");
    s.markdown = options.flag("markdown", "prints the table in Markdown");
    s.check = options.flag("check", "checks the documented claims on simulated clicks; exit code 1 if one fails");
    s.help = options.finish(std::cout);
    return s;
}

std::string full_name(const std::string& name) {
    if (name == "bank") return "bank_marketing";
    if (name == "shoppers") return "online_shoppers";
    if (name == "credit") return "credit_default";
    if (name == "openbandit") return "open_bandit";
    return name;
}

scored_log load(const std::string& path, const csv_options& csv, log_columns columns, const settings& s) {
    if (s.split != "auto" && s.split != "time" && s.split != "random")
        throw std::invalid_argument("--split must be auto, time or random, not '" + s.split + "'");
    if (s.split != "auto") columns.rows_by_time = s.split == "time";
    if (s.split == "random") columns.time.clear();
    if (columns.texts.empty() && columns.numbers.empty()) columns.texts = columns.fields;
    if (s.blind) {
        const auto calibrated = [&](const std::string& name) {
            return std::find(columns.fields.begin(), columns.fields.end(), name) != columns.fields.end();
        };
        std::erase_if(columns.texts, calibrated);
        std::erase_if(columns.numbers, calibrated);
        if (columns.texts.empty() && columns.numbers.empty())
            throw std::invalid_argument("--blind leaves the base model without a column; name some by --features");
    }
    scored_log log = make_log(path, csv, columns, s.log);
    if (s.blind) log.notes.push_back("The base model does not see the fields that are calibrated.");
    return log;
}

// Empty title: no data set was found.
scored_log load_dataset(const settings& s) {
    const std::vector<std::string> names =
        s.dataset == "any"
            ? std::vector<std::string>{"adult", "bank_marketing", "online_shoppers", "credit_default", "open_bandit"}
            : std::vector<std::string>{full_name(s.dataset)};
    std::string missing;
    for (const std::string& name : names) {
        const found_dataset found = find_dataset(name);
        if (!found.found()) {
            missing += found.message + ".\n";
            continue;
        }
        log_columns columns = columns_of(*found.info);
        if (!s.columns.fields.empty()) columns.fields = s.columns.fields;
        scored_log log = load(found.path, found.csv, columns, s);
        log.title = found.info->title + ", " + found.info->licence;
        log.name = found.info->title.substr(0, found.info->title.find(" ("));
        return log;
    }
    if (names.size() > 1) missing = "No known data set lies below " + joined(data_folders()) + ".\n";
    std::cout << missing << "Simulated clicks take its place; sh examples/get_data.sh brings public data.\n\n";
    return {};
}

scored_log load_log(const settings& s) {
    if (!s.data.empty()) {
        if (!s.dataset.empty()) throw std::invalid_argument("--data and --dataset cannot both be given");
        if (s.columns.label.empty()) throw std::invalid_argument("--data needs --label, the column of the label");
        csv_options csv;
        if (s.delimiter.size() > 1 && s.delimiter != "tab")
            throw std::invalid_argument("--delimiter must be one character or tab, not '" + s.delimiter + "'");
        if (!s.delimiter.empty()) csv.delimiter = s.delimiter == "tab" ? '\t' : s.delimiter[0];
        csv.header = !s.no_header;
        return load(s.data, csv, s.columns, s);
    }
    scored_log log;
    if (!s.dataset.empty()) log = load_dataset(s);
    if (log.title.empty()) {
        simulator_options simulator;
        simulator.seed = s.log.seed;
        simulator.calibration_rows = simulator.test_rows = s.rows;
        log = simulated(simulator);
    }
    return log;
}

void run(const settings& s, const host& where) {
    const scored_log log = load_log(s);
    std::cout << log.title << '\n';
    for (const std::string& note : log.notes) std::cout << note << '\n';

    if (s.form != "auto" && s.form != "ratio" && s.form != "logit")
        throw std::invalid_argument("--form must be auto, ratio or logit, not '" + s.form + "'");
    const auto form = s.form == "ratio"   ? reckon::correction_kind::ratio
                      : s.form == "logit" ? reckon::correction_kind::logit
                                          : fitting_form(log.calibration.p);
    std::cout << "ConfCalib on " << joined(log.fields) << ", "
              << (form == reckon::correction_kind::logit ? "logit" : "ratio") << " form.\n\n";

    const reckon::confcalib_options selected = tuned(where, log, form);
    const std::vector<method> methods = all_methods(log, form, selected, choose_by_scores(where, log.calibration));
    std::vector<result> results;
    std::size_t choice = 0;
    {
        progress line("calibrating", methods.size());
        for (const method& m : methods) {
            line.update(results.size());
            std::vector<float> p = m.predict(where, log);
            const figures score = judge(where, log, p, 30);
            if (m.name == "ConfCalib: tuned") choice = results.size();
            results.push_back({m, std::move(p), score});
        }
        line.update(methods.size());
    }
    const table figures_table = results_table(log, results);
    figures_table.write(std::cout, s.markdown);
    std::cout
        << "\nNE: normalized entropy. PCOC: predicted over observed positives. ECE: " << ece_bins
        << " bins of equal mass.\nRCE: relative calibration error over the values of a field; MF-RCE: mean over "
           "the fields.\nFloor: MF-RCE that chance alone leaves, were the predictions the true probabilities.\n\n";
    say_in_words(std::cout, log, results, choice, name_of(selected));
    std::cout << '\n';

    const result &raw = results.front(), &mine = results[choice];
    save_picture(std::cout, s.out, "reliability.svg", reliability_picture(where, log, raw, mine),
                 "reliability before and after");
    save_picture(std::cout, s.out, "fields.svg", fields_picture(log, raw, mine), "the calibration of field values");
}

}  // namespace

int main(int argc, char** argv) {
    try {
        args options(argc, argv,
                     "Repairs predicted click and conversion probabilities, and compares the ways to do it.\n"
                     "Without --data or --dataset it works on simulated clicks with known truth.");
        const settings s = read_settings(options);
        if (s.help) return 0;
        reckon::exec::pool threads;
        const host where(threads);
        if (s.check) return check_claims(where, std::cout, {}, {1, 2, 3}) == 0 ? 0 : 1;
        run(s, where);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "calibrate_ctr: " << error.what() << '\n';
        return 2;
    }
}
