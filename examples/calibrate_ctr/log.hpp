// The log that calibrate_ctr works on: predictions, labels and field values of calibration and test rows.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "../support/csv.hpp"
#include "../support/datasets.hpp"
#include "../support/hashed_logistic.hpp"
#include "../support/random.hpp"
#include "../support/simulator.hpp"
#include "../support/split.hpp"
#include "reckon/core/views.hpp"

namespace reckon_examples {

/// Rows that are scored already.
struct log_part {
    std::vector<float> p;           // prediction of the base model
    std::vector<std::uint8_t> y;    // label
    std::vector<std::int32_t> ids;  // [F, N], one row of value ids per field
    std::vector<double> truth;      // true probability; empty if nobody knows it

    std::size_t rows() const { return p.size(); }
    reckon::matrix_view<const std::int32_t> id_rows(std::size_t fields) const { return {ids.data(), fields, rows()}; }
    double rate() const {
        double positives = 0;
        for (const std::uint8_t label : y) positives += label;
        return positives / static_cast<double>(rows());
    }
};

struct scored_log {
    std::string title;                             // what it is, with its source
    std::string name;                              // the same in a few words
    std::vector<std::string> notes;                // how the log was made, in sentences
    std::vector<std::string> fields;               // names
    std::vector<std::vector<std::string>> values;  // names of the values of each field; empty if they are numbers
    std::vector<std::size_t> cardinalities;        // values per field
    bool by_time = false;                          // rows are in order of time
    double kept_negatives = 1;                     // share of the negatives that the base model was trained on
    double training_rate = std::nan("");           // share of positives among all training rows; NaN without training
    log_part calibration, test;
};

/// Which columns of a file play which part.
struct log_columns {
    std::string label, positive, time;  // time may be empty
    std::vector<std::string> fields;    // calibrated per value
    std::vector<std::string> texts;     // features of the base model, taken as text
    std::vector<std::string> numbers;   // features of the base model, cut into buckets at their quantiles
    bool rows_by_time = false;          // the file itself is in order of time
};

struct log_options {
    split_fractions fractions = {};
    double keep_negatives = 1;
    std::uint64_t seed = 1;
};

inline std::string joined(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
    return out;
}

inline std::string percent(double share, int digits = 1) {
    char text[32];
    std::snprintf(text, sizeof text, "%.*f %%", digits, 100 * share);
    return text;
}

/// Splits by a column that is numbers or, if its first cell is not a number, text that sorts by time (ISO dates).
inline split_rows split_by_column(const csv_table& file, const std::string& column, const split_fractions& fractions) {
    if (file.rows() == 0) return {};
    const std::string_view first = file.text(column, 0);
    double ignored = 0;
    const auto [end, code] = std::from_chars(first.data(), first.data() + first.size(), ignored);
    if (code == std::errc{} && end == first.data() + first.size())
        return time_split(file.numbers<double>(column), fractions);
    std::vector<std::string_view> times(file.rows());
    for (std::size_t row = 0; row < times.size(); ++row) times[row] = file.text(column, row);
    return time_split(times, fractions);
}

/// Reads the columns, splits the rows, trains the base model on the first part and scores the other two.
inline scored_log make_log(const std::string& path, const csv_options& csv, const log_columns& columns,
                           const log_options& options) {
    if (columns.fields.empty()) throw std::invalid_argument("at least one field is needed: --fields a,b,c");
    if (!(options.keep_negatives > 0 && options.keep_negatives <= 1))
        throw std::invalid_argument("--keep-negatives must lie in (0, 1]");
    std::vector<std::string> wanted = columns.fields;
    wanted.insert(wanted.end(), columns.texts.begin(), columns.texts.end());
    wanted.insert(wanted.end(), columns.numbers.begin(), columns.numbers.end());
    wanted.push_back(columns.label);
    if (!columns.time.empty()) wanted.push_back(columns.time);
    const csv_table file(path, wanted, csv);
    const std::vector<std::uint8_t> y = file.labels(columns.label, columns.positive);
    std::vector<std::vector<float>> numbers;
    for (const std::string& name : columns.numbers) numbers.push_back(file.numbers<float>(name));

    scored_log log;
    log.title = log.name = path;
    log.by_time = columns.rows_by_time || !columns.time.empty();
    split_rows rows;
    if (!columns.time.empty()) {
        rows = split_by_column(file, columns.time, options.fractions);
    } else if (columns.rows_by_time) {
        std::vector<std::size_t> order(file.rows());
        for (std::size_t row = 0; row < order.size(); ++row) order[row] = row;
        rows = time_split(order, options.fractions);
    } else {
        rows = random_split(file.rows(), options.fractions, options.seed);
    }
    if (rows.train.empty() || rows.calibrate.empty() || rows.test.empty())
        throw std::runtime_error(path + ": " + std::to_string(file.rows()) +
                                 " rows are too few to train, calibrate and test");

    double positives = 0;
    for (const std::size_t row : rows.train) positives += y[row];
    log.training_rate = positives / static_cast<double>(rows.train.size());
    log.kept_negatives = options.keep_negatives;
    const std::size_t trained_on = rows.train.size();
    if (options.keep_negatives < 1) {
        constexpr std::uint64_t sampling_stream = 0x6E6567617469;  // apart from those of split and training
        const counter_random random(options.seed, sampling_stream);
        std::erase_if(rows.train,
                      [&](std::size_t row) { return y[row] == 0 && random.uniform(row) >= options.keep_negatives; });
        if (rows.train.empty()) throw std::runtime_error(path + ": no training row is left, keep more negatives");
    }

    hashed_features features(file.rows());
    for (const std::string& name : columns.texts) features.add_category(name, file.categories(name));
    for (std::size_t k = 0; k < numbers.size(); ++k) features.add_quantiles(columns.numbers[k], numbers[k], rows.train);
    hashed_logistic model;
    model.fit(features, y, rows.train, {.seed = options.seed});

    for (log_part* part : {&log.calibration, &log.test}) {
        const std::vector<std::size_t>& from = part == &log.test ? rows.test : rows.calibrate;
        part->p = model.probabilities(features, from);
        part->y = take(y, from);
    }
    for (const std::string& name : columns.fields) {
        const categorical column = file.categories(name);
        log.fields.push_back(name);
        log.values.push_back(column.values);
        log.cardinalities.push_back(column.values.size());
        for (log_part* part : {&log.calibration, &log.test})
            for (const std::size_t row : part == &log.test ? rows.test : rows.calibrate)
                part->ids.push_back(column.ids[row]);
    }

    log.notes.push_back(std::string("Split ") + (log.by_time ? "by time" : "at random") + ": " +
                        std::to_string(trained_on) + " rows to train, " + std::to_string(log.calibration.rows()) +
                        " to calibrate, " + std::to_string(log.test.rows()) + " to test; positives " +
                        percent(log.training_rate) + ", " + percent(log.calibration.rate()) + ", " +
                        percent(log.test.rate()) + ".");
    log.notes.push_back("Base model: logistic regression on " +
                        std::to_string(columns.texts.size() + columns.numbers.size()) + " hashed columns" +
                        (options.keep_negatives < 1 ? ", trained on all positives and " +
                                                          percent(options.keep_negatives, 0) + " of the negatives."
                                                    : "."));
    return log;
}

/// What a known data set says about its columns.
inline log_columns columns_of(const dataset_info& info) {
    return {.label = info.label,
            .positive = info.positive,
            .time = {},
            .fields = info.fields,
            .texts = info.categories,
            .numbers = info.numbers,
            .rows_by_time = info.by_time};
}

inline scored_log simulated(const simulator_options& options) {
    simulated_log drawn = simulate(options);
    scored_log log;
    log.title = log.name = "Simulated clicks with known truth";
    log.notes.push_back("Simulated: " + std::to_string(options.calibration_rows) + " rows to calibrate, " +
                        std::to_string(options.test_rows) +
                        " to test; three fields of 50, 2000 and 20000 values, most of them rare.");
    log.notes.push_back("The base model ignores the fields and predicts too high, by 0.15 in log-odds.");
    log.cardinalities.assign(options.field_values.begin(), options.field_values.end());
    log.values.resize(log.cardinalities.size());
    for (const std::size_t n : log.cardinalities) log.fields.push_back("f" + std::to_string(n));
    const auto move_part = [](simulated_rows& from, log_part& to) {
        for (const auto& ids : from.ids) to.ids.insert(to.ids.end(), ids.begin(), ids.end());
        to.p = std::move(from.p);
        to.y = std::move(from.y);
        to.truth = std::move(from.truth);
    };
    move_part(drawn.calibration, log.calibration);
    move_part(drawn.test, log.test);
    return log;
}

}  // namespace reckon_examples
