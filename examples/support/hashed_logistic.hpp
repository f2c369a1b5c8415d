// A small base model for click logs: hashed features, logistic regression trained by AdaGrad.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "csv.hpp"
#include "progress.hpp"
#include "random.hpp"

namespace reckon_examples {

/// FNV-1a, then mixed, since its low bits alone are weak. Independent of platform and standard library.
inline std::uint64_t hash_text(std::string_view text) {
    std::uint64_t h = 0xCBF29CE484222325u;
    for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
    return mix64(h);
}

/// One slot in a table of 2^bits weights per row and feature, and for scaled numbers a value (otherwise 1).
/// Two features that hash to one slot share its weight; with 2^18 slots that is rare and harmless.
class hashed_features {
  public:
    explicit hashed_features(std::size_t rows, unsigned bits = 18) : rows_(rows), bits_(bits) {
        if (bits < 1 || bits > 30) throw std::invalid_argument("hashed_features: bits must lie in 1..30");
    }

    std::size_t rows() const { return rows_; }
    std::size_t slots() const { return std::size_t{1} << bits_; }

    /// The text `name=value` chooses the slot.
    void add_category(const std::string& name, const categorical& column) {
        check(name, column.ids.size());
        std::vector<std::uint32_t> of_value;
        for (const std::string& value : column.values) of_value.push_back(slot(name + "=" + value));
        columns_.push_back({std::vector<std::uint32_t>(rows_), {}});
        for (std::size_t row = 0; row < rows_; ++row)
            columns_.back().slots[row] = of_value.at(static_cast<std::size_t>(column.ids[row]));
    }

    /// A number, cut into buckets at the quantiles of the given (training) rows: no assumption on its distribution.
    void add_quantiles(const std::string& name, const std::vector<float>& x, const std::vector<std::size_t>& fit_rows,
                       std::size_t buckets = 16) {
        check(name, x.size());
        std::vector<float> sorted;
        for (const std::size_t row : fit_rows) sorted.push_back(x.at(row));
        std::sort(sorted.begin(), sorted.end());
        std::vector<float> edges;
        for (std::size_t b = 1; b < buckets && !sorted.empty(); ++b)
            edges.push_back(sorted[b * sorted.size() / buckets]);
        edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
        std::vector<std::uint32_t> of_bucket;
        for (std::size_t b = 0; b <= edges.size(); ++b) of_bucket.push_back(slot(name + "#" + std::to_string(b)));
        columns_.push_back({std::vector<std::uint32_t>(rows_), {}});
        for (std::size_t row = 0; row < rows_; ++row) {
            const auto above = std::upper_bound(edges.begin(), edges.end(), x[row]);
            columns_.back().slots[row] = of_bucket[static_cast<std::size_t>(above - edges.begin())];
        }
    }

    /// A number, shifted and scaled to mean 0 and variance 1 on the given (training) rows; constant columns become 0.
    void add_scaled(const std::string& name, const std::vector<float>& x, const std::vector<std::size_t>& fit_rows) {
        check(name, x.size());
        double mean = 0, variance = 0;
        for (const std::size_t row : fit_rows) mean += x.at(row);
        mean /= static_cast<double>((std::max)(fit_rows.size(), std::size_t{1}));
        for (const std::size_t row : fit_rows) variance += (x[row] - mean) * (x[row] - mean);
        variance /= static_cast<double>((std::max)(fit_rows.size(), std::size_t{1}));
        const double scale = variance > 0 ? 1 / std::sqrt(variance) : 0;
        columns_.push_back({std::vector<std::uint32_t>(rows_, slot(name)), std::vector<float>(rows_)});
        for (std::size_t row = 0; row < rows_; ++row)
            columns_.back().values[row] = static_cast<float>((x[row] - mean) * scale);
    }

    /// Calls visit(slot, value) for each feature of a row.
    template <class Visit>
    void for_each(std::size_t row, Visit&& visit) const {
        for (const feature& f : columns_) visit(f.slots[row], f.values.empty() ? 1.0f : f.values[row]);
    }

  private:
    struct feature {
        std::vector<std::uint32_t> slots;
        std::vector<float> values;  // empty: all 1
    };

    std::uint32_t slot(const std::string& text) const {
        return static_cast<std::uint32_t>(hash_text(text) & (slots() - 1));
    }

    void check(const std::string& name, std::size_t size) const {
        if (size != rows_)
            throw std::invalid_argument("hashed_features: column '" + name + "' has " + std::to_string(size) +
                                        " rows, expected " + std::to_string(rows_));
    }

    std::size_t rows_;
    unsigned bits_;
    std::vector<feature> columns_;
};

struct hashed_logistic_options {
    int epochs = 5;
    double learning_rate = 0.05;
    double l2 = 1e-5;  // per visit of a weight; the intercept is free
    std::uint64_t seed = 1;
    progress_options progress = {};
};

/// Logistic regression on hashed features, minimised by AdaGrad (Duchi, Hazan and Singer 2011), one row at a time in an
/// order that is reshuffled in every epoch and depends on the seed alone.
class hashed_logistic {
  public:
    void fit(const hashed_features& features, const std::vector<std::uint8_t>& y, std::vector<std::size_t> rows,
             const hashed_logistic_options& options = {}) {
        if (rows.empty()) throw std::invalid_argument("hashed_logistic: no training rows");
        if (y.size() != features.rows())
            throw std::invalid_argument("hashed_logistic: " + std::to_string(y.size()) + " labels for " +
                                        std::to_string(features.rows()) + " rows");
        weights_.assign(features.slots(), 0.0f);
        std::vector<float> squares(features.slots(), 0.0f);
        double positives = 0, intercept_squares = 0;
        for (const std::size_t row : rows) positives += y[row];
        const double n = static_cast<double>(rows.size());
        intercept_ = std::log((positives + 0.5) / (n - positives + 0.5));  // start at the base rate

        const auto epochs = static_cast<std::size_t>((std::max)(options.epochs, 0));
        progress line("training", epochs * rows.size(), options.progress);
        for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
            const counter_random random(options.seed, shuffle_stream + epoch);
            for (std::size_t i = rows.size() - 1; i > 0; --i) std::swap(rows[i], rows[random.below(i, i + 1)]);
            for (std::size_t i = 0; i < rows.size(); ++i) {
                const std::size_t row = rows[i];
                const double error = sigmoid(logit(features, row)) - y[row];
                features.for_each(row, [&](std::uint32_t slot, float x) {
                    const double g = error * x + options.l2 * weights_[slot];
                    squares[slot] += static_cast<float>(g * g);
                    const double step = options.learning_rate / (std::sqrt(squares[slot]) + 1e-6);
                    weights_[slot] -= static_cast<float>(step * g);
                });
                intercept_squares += error * error;
                intercept_ -= options.learning_rate * error / (std::sqrt(intercept_squares) + 1e-6);
                if (i % 4096 == 0) line.update(epoch * rows.size() + i);
            }
        }
        line.update(epochs * rows.size());
    }

    double logit(const hashed_features& features, std::size_t row) const {
        double z = intercept_;
        features.for_each(row, [&](std::uint32_t slot, float x) { z += static_cast<double>(weights_.at(slot)) * x; });
        return z;
    }

    std::vector<float> logits(const hashed_features& features, const std::vector<std::size_t>& rows) const {
        std::vector<float> out;
        out.reserve(rows.size());
        for (const std::size_t row : rows) out.push_back(static_cast<float>(logit(features, row)));
        return out;
    }

    std::vector<float> probabilities(const hashed_features& features, const std::vector<std::size_t>& rows) const {
        std::vector<float> out;
        out.reserve(rows.size());
        for (const std::size_t row : rows) out.push_back(static_cast<float>(sigmoid(logit(features, row))));
        return out;
    }

  private:
    static constexpr std::uint64_t shuffle_stream = 0x73687566666C6500;  // apart from the streams of logs and splits
    static double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

    std::vector<float> weights_;
    double intercept_ = 0;
};

}  // namespace reckon_examples
