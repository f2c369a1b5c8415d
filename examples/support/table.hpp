// A table for the console and for Markdown: text to the left, numbers to the right, the best of a column marked.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace reckon_examples {

enum class best { none, low, high, near_one };

struct table_column {
    std::string title;
    int digits = 5;          // behind the point, for numbers
    best mark = best::none;  // which value of the column deserves the mark
};

/// Rows of text and numbers. A number that is not finite prints as n/a. Cells that print the same are best together.
class table {
  public:
    using cell = std::variant<std::string, double>;

    explicit table(std::vector<table_column> columns) : columns_(std::move(columns)) {}

    /// A row that does not compete (an oracle, say) is never marked.
    void add_row(std::vector<cell> cells, bool competes = true) {
        if (cells.size() != columns_.size())
            throw std::invalid_argument("table: a row of " + std::to_string(cells.size()) + " cells for " +
                                        std::to_string(columns_.size()) + " columns");
        rows_.push_back({std::move(cells), competes});
    }

    std::size_t rows() const { return rows_.size(); }

    /// In Markdown or as print(): what the flag --markdown asks for.
    void write(std::ostream& out, bool as_markdown) const { as_markdown ? markdown(out) : print(out); }

    /// Aligned columns; the best is followed by a star.
    void print(std::ostream& out) const {
        const std::vector<std::string> top = best_texts();
        std::vector<std::vector<std::string>> lines(rows_.size() + 1);
        std::vector<std::size_t> widths(columns_.size());
        std::vector<bool> numeric(columns_.size());
        for (std::size_t c = 0; c < columns_.size(); ++c) {
            numeric[c] = is_numeric(c);
            const std::string pad = numeric[c] && columns_[c].mark != best::none ? " " : "";
            lines[0].push_back(columns_[c].title + pad);
            for (std::size_t r = 0; r < rows_.size(); ++r)
                lines[r + 1].push_back(text(r, c) + (is_best(r, c, top) ? "*" : pad));
            for (const auto& line : lines) widths[c] = (std::max)(widths[c], width(line[c]));
        }
        for (std::size_t r = 0; r < lines.size(); ++r) {
            std::string line;
            for (std::size_t c = 0; c < columns_.size(); ++c) {
                const std::string gap(widths[c] - width(lines[r][c]), ' ');
                line += (c > 0 ? "  " : "") + (numeric[c] ? gap + lines[r][c] : lines[r][c] + gap);
            }
            line.erase(line.find_last_not_of(' ') + 1);
            out << line << '\n';
            if (r > 0) continue;
            std::size_t total = 2 * (columns_.size() - 1);
            for (const std::size_t w : widths) total += w;
            out << std::string(total, '-') << '\n';
        }
    }

    /// The same table in Markdown; the best is bold.
    void markdown(std::ostream& out) const {
        const std::vector<std::string> top = best_texts();
        out << '|';
        for (const table_column& column : columns_) out << ' ' << escape(column.title) << " |";
        out << "\n|";
        for (std::size_t c = 0; c < columns_.size(); ++c) out << (is_numeric(c) ? " ---: |" : " --- |");
        out << '\n';
        for (std::size_t r = 0; r < rows_.size(); ++r) {
            out << '|';
            for (std::size_t c = 0; c < columns_.size(); ++c) {
                const char* bold = is_best(r, c, top) ? "**" : "";
                out << ' ' << bold << escape(text(r, c)) << bold << " |";
            }
            out << '\n';
        }
    }

  private:
    struct row {
        std::vector<cell> cells;
        bool competes;
    };

    static std::string format(double value, int digits) {
        if (!std::isfinite(value)) return "n/a";
        char buffer[400];  // the longest double in fixed notation has 309 digits before the point
        const int size = std::snprintf(buffer, sizeof buffer, "%.*f", std::clamp(digits, 0, 60), value);
        return std::string(buffer, static_cast<std::size_t>(size));
    }

    std::string text(std::size_t r, std::size_t c) const {
        const cell& value = rows_[r].cells[c];
        if (const auto* number = std::get_if<double>(&value)) return format(*number, columns_[c].digits);
        return std::get<std::string>(value);
    }

    bool is_numeric(std::size_t c) const {
        return std::any_of(rows_.begin(), rows_.end(),
                           [c](const row& r) { return std::holds_alternative<double>(r.cells[c]); });
    }

    // What the best cell of each column prints; empty where nothing is to be marked.
    std::vector<std::string> best_texts() const {
        std::vector<std::string> out(columns_.size());
        for (std::size_t c = 0; c < columns_.size(); ++c) {
            const auto badness = [&](double v) {
                return columns_[c].mark == best::low ? v : columns_[c].mark == best::high ? -v : std::abs(v - 1);
            };
            const double* winner = nullptr;
            for (const row& r : rows_) {
                const auto* value = std::get_if<double>(&r.cells[c]);
                if (columns_[c].mark == best::none || !r.competes || !value || !std::isfinite(*value)) continue;
                if (!winner || badness(*value) < badness(*winner)) winner = value;
            }
            if (winner) out[c] = format(*winner, columns_[c].digits);
        }
        return out;
    }

    bool is_best(std::size_t r, std::size_t c, const std::vector<std::string>& top) const {
        return rows_[r].competes && !top[c].empty() && std::holds_alternative<double>(rows_[r].cells[c]) &&
               text(r, c) == top[c];
    }

    // Characters, not bytes: continuation bytes of UTF-8 do not count.
    static std::size_t width(const std::string& s) {
        return static_cast<std::size_t>(
            std::count_if(s.begin(), s.end(), [](char ch) { return (static_cast<unsigned char>(ch) & 0xC0) != 0x80; }));
    }

    static std::string escape(const std::string& s) {
        std::string out;
        for (const char ch : s) {
            if (ch == '|') out += '\\';
            out += ch == '\n' ? ' ' : ch;
        }
        return out;
    }

    std::vector<table_column> columns_;
    std::vector<row> rows_;
};

}  // namespace reckon_examples
