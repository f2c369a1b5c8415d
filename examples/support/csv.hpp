// Reads delimited text files into typed columns, with errors that name the file, the line and the column.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

namespace reckon_examples {

struct csv_options {
    char delimiter = '\0';                // ',' ';' '\t', or ' ' for runs of blanks; '\0' looks at the first line
    bool header = true;                   // the first line names the columns
    std::vector<std::string> names = {};  // names for a file without a header; otherwise "1", "2", ...
    std::size_t max_bytes = std::size_t{2} << 30;  // a larger file is refused; must stay below 4 GiB
};

/// A column of text as dense ids; values[id] is the text. Ids follow the order of first appearance.
struct categorical {
    std::vector<std::int32_t> ids;
    std::vector<std::string> values;
};

/// Selected columns of a delimited text file. The file is read once and kept; cells are offsets into it.
///
/// Understands "quoted" fields with doubled quotes and line breaks inside, CRLF, a UTF-8 byte order mark, blanks around
/// fields and blank lines (skipped). A column is named by its header, or by its number from 1.
/// Throws std::runtime_error, "file:line: column 'name' (number): what is wrong".
class csv_table {
  public:
    /// Reads `columns` of the file, or all of them if the list is empty.
    explicit csv_table(std::string path, const std::vector<std::string>& columns = {}, csv_options options = {})
        : path_(std::move(path)), options_(std::move(options)), text_(read_all(path_, options_.max_bytes)) {
        parse(columns);
    }

    std::size_t rows() const { return lines_.size(); }

    /// Names of all columns of the file, selected or not.
    const std::vector<std::string>& names() const { return names_; }

    const std::string& path() const { return path_; }

    /// Line of the file on which a row starts, counted from 1.
    std::size_t line(std::size_t row) const { return lines_.at(row); }

    /// Text of one cell; lives as long as the table.
    std::string_view text(std::string_view column, std::size_t row) const {
        return view(columns_[selected(column)].cells.at(row));
    }

    /// A column as finite numbers. An empty cell is an error unless `if_empty` says what stands for it.
    template <class T = double>
    std::vector<T> numbers(std::string_view column, std::optional<T> if_empty = {}) const {
        const column_data& data = columns_[selected(column)];
        std::vector<T> out(rows());
        for (std::size_t row = 0; row < out.size(); ++row) {
            const std::string_view cell = view(data.cells[row]);
            if (cell.empty() && if_empty) {
                out[row] = *if_empty;
                continue;
            }
            double value = 0;
            const std::string_view digits = !cell.empty() && cell.front() == '+' ? cell.substr(1) : cell;
            const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
            const bool whole = code == std::errc{} && end == digits.data() + digits.size() && !digits.empty();
            if (!whole || !std::isfinite(value) ||
                std::abs(value) > static_cast<double>((std::numeric_limits<T>::max)()))
                fail_cell(data, row, cell.empty() ? "is empty, a number is needed" : quote(cell) + " is not a number");
            out[row] = static_cast<T>(value);
        }
        return out;
    }

    /// A column as dense ids with their dictionary. An empty cell is a value like any other.
    categorical categories(std::string_view column) const {
        const column_data& data = columns_[selected(column)];
        categorical out;
        out.ids.resize(rows());
        std::unordered_map<std::string_view, std::int32_t> known;
        for (std::size_t row = 0; row < rows(); ++row) {
            const std::string_view cell = view(data.cells[row]);
            const auto [place, is_new] = known.try_emplace(cell, static_cast<std::int32_t>(out.values.size()));
            if (is_new) out.values.emplace_back(cell);
            out.ids[row] = place->second;
        }
        return out;
    }

    /// A column as 0/1: 1 where the cell equals `positive`. That value must occur, since a misspelt one would give a
    /// log without a single positive.
    std::vector<std::uint8_t> labels(std::string_view column, std::string_view positive) const {
        const column_data& data = columns_[selected(column)];
        std::vector<std::uint8_t> out(rows());
        std::size_t hits = 0;
        for (std::size_t row = 0; row < rows(); ++row) {
            out[row] = view(data.cells[row]) == positive ? std::uint8_t{1} : std::uint8_t{0};
            hits += out[row];
        }
        if (hits == 0 && rows() > 0)
            fail(0, "column " + describe(data) + ": the positive value " + quote(positive) +
                        " never occurs; row 1 has " + quote(view(data.cells[0])));
        return out;
    }

  private:
    struct cell_range {
        std::uint32_t begin, size;
    };
    struct column_data {
        std::size_t index;  // position in the file, from 0
        std::vector<cell_range> cells;
    };

    static std::string quote(std::string_view s) {
        constexpr std::size_t longest = 40;
        return "'" + std::string(s.substr(0, longest)) + (s.size() > longest ? "...'" : "'");
    }

    std::string describe(const column_data& data) const {
        return "'" + names_[data.index] + "' (" + std::to_string(data.index + 1) + ")";
    }

    [[noreturn]] void fail(std::size_t line, const std::string& what) const {
        throw std::runtime_error(path_ + ":" + (line > 0 ? std::to_string(line) + ":" : "") + " " + what);
    }

    [[noreturn]] void fail_cell(const column_data& data, std::size_t row, const std::string& what) const {
        fail(lines_[row], "column " + describe(data) + ": " + what);
    }

    static std::string read_all(const std::string& path, std::size_t max_bytes) {
        std::error_code ignored;
        if (std::filesystem::is_directory(path, ignored)) throw std::runtime_error(path + ": is a folder, not a file");
        std::ifstream in(path, std::ios::binary);
        if (!in) throw std::runtime_error(path + ": cannot be opened");
        max_bytes = (std::min)(max_bytes, std::size_t{(std::numeric_limits<std::uint32_t>::max)()});
        const auto known_size = std::filesystem::file_size(path, ignored);
        std::string text;
        if (!ignored && known_size <= max_bytes) text.reserve(static_cast<std::size_t>(known_size) + 1);
        std::vector<char> block(std::size_t{1} << 20);
        while (in) {
            in.read(block.data(), static_cast<std::streamsize>(block.size()));
            const auto got = static_cast<std::size_t>(in.gcount());
            if (got > max_bytes - text.size())
                throw std::runtime_error(path + ": is larger than the limit of " + std::to_string(max_bytes) +
                                         " bytes");
            text.append(block.data(), got);
        }
        if (in.bad()) throw std::runtime_error(path + ": cannot be read");
        return text;
    }

    std::string_view view(cell_range cell) const { return std::string_view(text_).substr(cell.begin, cell.size); }

    std::size_t selected(std::string_view name) const {
        const std::size_t index = find_column(name);
        for (std::size_t k = 0; k < columns_.size(); ++k)
            if (columns_[k].index == index) return k;
        fail(0, "column " + quote(name) + " was not among the columns selected for reading");
    }

    std::size_t find_column(std::string_view name) const {
        const auto first = std::find(names_.begin(), names_.end(), name);
        if (first != names_.end()) {
            if (std::find(first + 1, names_.end(), name) != names_.end())
                fail(1, "column name " + quote(name) + " occurs twice; use the column's number");
            return static_cast<std::size_t>(first - names_.begin());
        }
        std::size_t number = 0;
        const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), number);
        if (code == std::errc{} && end == name.data() + name.size() && number >= 1 && number <= names_.size())
            return number - 1;
        std::string known;
        for (const std::string& n : names_) known += (known.empty() ? "" : ", ") + n;
        fail(options_.header ? 1 : 0,
             "no column " + quote(name) + "; the file has " + std::to_string(names_.size()) + " columns: " + known);
    }

    // The separator that occurs most often outside quotes on the first line that is not blank.
    static char sniff(std::string_view text) {
        const std::size_t start = text.find_first_not_of(" \t\r\n");
        if (start == std::string_view::npos) return ',';
        const std::string_view line = text.substr(start, text.find('\n', start) - start);
        char best = '\0';
        std::ptrdiff_t most = 0;
        for (const char candidate : {',', ';', '\t'}) {
            bool quoted = false;
            std::ptrdiff_t count = 0;
            for (const char c : line) {
                if (c == '"') quoted = !quoted;
                count += !quoted && c == candidate;
            }
            if (count > most) {
                most = count;
                best = candidate;
            }
        }
        if (best != '\0') return best;
        return line.find_first_of(" \t") != std::string_view::npos ? ' ' : ',';
    }

    bool is_blank(char c) const { return c == ' ' || (c == '\t' && options_.delimiter != '\t'); }

    bool at_line_end(std::size_t at) const {
        return at >= text_.size() || text_[at] == '\n' ||
               (text_[at] == '\r' && (at + 1 >= text_.size() || text_[at + 1] == '\n'));
    }

    std::size_t skip_blanks(std::size_t at) const {
        while (at < text_.size() && is_blank(text_[at])) ++at;
        return at;
    }

    // A quoted field that starts at the quote; doubled quotes are undone in place.
    cell_range take_quoted(std::size_t& at, std::size_t& line, std::size_t number) {
        const std::size_t opened = line;
        const std::size_t begin = ++at;
        std::size_t out = begin;
        for (;; ++at) {
            if (at >= text_.size())
                fail(opened, "column " + std::to_string(number) + ": a quote is opened and never closed");
            if (text_[at] == '"') {
                if (at + 1 >= text_.size() || text_[at + 1] != '"') break;
                ++at;
            }
            line += text_[at] == '\n';
            text_[out++] = text_[at];
        }
        at = skip_blanks(at + 1);
        if (!at_line_end(at) && text_[at] != options_.delimiter &&
            !(options_.delimiter == ' ' && is_blank(text_[at - 1])))
            fail(line, "column " + std::to_string(number) + ": text after the closing quote");
        return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(out - begin)};
    }

    cell_range take_plain(std::size_t& at) const {
        const bool blanks = options_.delimiter == ' ';
        const std::size_t begin = at;
        while (!at_line_end(at) && text_[at] != options_.delimiter && !(blanks && is_blank(text_[at]))) ++at;
        std::size_t end = at;
        while (end > begin && is_blank(text_[end - 1])) --end;
        return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end - begin)};
    }

    // One row of fields; leaves `at` behind the line break.
    void take_row(std::size_t& at, std::size_t& line, std::vector<cell_range>& fields) {
        fields.clear();
        for (;;) {
            at = skip_blanks(at);
            if (options_.delimiter == ' ' && at_line_end(at)) break;
            fields.push_back(at < text_.size() && text_[at] == '"' ? take_quoted(at, line, fields.size() + 1)
                                                                   : take_plain(at));
            if (at_line_end(at)) break;
            if (options_.delimiter != ' ') ++at;
        }
        if (at < text_.size() && text_[at] == '\r') ++at;
        if (at < text_.size()) ++at;
        ++line;
    }

    void parse(const std::vector<std::string>& wanted) {
        constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
        std::size_t at = std::string_view(text_).starts_with(byte_order_mark) ? byte_order_mark.size() : 0;
        if (options_.delimiter == '\0') options_.delimiter = sniff(std::string_view(text_).substr(at));

        std::size_t line = 1;
        std::vector<cell_range> fields;
        while (at < text_.size()) {
            if (at_line_end(skip_blanks(at))) {  // a blank line; with tabs between fields an all-empty row has tabs
                at = text_.find('\n', at);
                at = at == std::string::npos ? text_.size() : at + 1;
                ++line;
                continue;
            }
            const std::size_t row_line = line;
            take_row(at, line, fields);
            if (names_.empty()) {
                name_columns(fields);
                select_columns(wanted);
                if (options_.header) continue;
            }
            if (fields.size() != names_.size())
                fail(row_line, "has " + std::to_string(fields.size()) + " fields where " +
                                   std::to_string(names_.size()) + " are expected");
            for (column_data& column : columns_) column.cells.push_back(fields[column.index]);
            lines_.push_back(static_cast<std::uint32_t>(row_line));
        }
        if (names_.empty()) fail(0, "is empty");
        if (lines_.empty()) fail(0, "has a header but no rows");
    }

    void name_columns(const std::vector<cell_range>& first) {
        if (options_.header) {
            for (const cell_range& cell : first) names_.emplace_back(view(cell));
            return;
        }
        if (!options_.names.empty() && options_.names.size() != first.size())
            fail(1, "has " + std::to_string(first.size()) + " fields where " + std::to_string(options_.names.size()) +
                        " are expected");
        names_ = options_.names;
        while (names_.size() < first.size()) names_.push_back(std::to_string(names_.size() + 1));
    }

    void select_columns(const std::vector<std::string>& wanted) {
        if (wanted.empty()) {
            for (std::size_t k = 0; k < names_.size(); ++k) columns_.push_back({k, {}});
            return;
        }
        for (const std::string& name : wanted) {
            const std::size_t index = find_column(name);
            const auto same = [index](const column_data& c) { return c.index == index; };
            if (std::none_of(columns_.begin(), columns_.end(), same)) columns_.push_back({index, {}});
        }
    }

    std::string path_;
    csv_options options_;
    std::string text_;
    std::vector<std::string> names_;
    std::vector<column_data> columns_;
    std::vector<std::uint32_t> lines_;
};

}  // namespace reckon_examples
