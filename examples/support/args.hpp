// Command line options: declare and read in one call, then finish() refuses what nobody asked for.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace reckon_examples {

/// Options of the forms --name value, --name=value and --flag.
///
///     args options(argc, argv, "Repairs predicted click probabilities.");
///     const std::string file = options.text("file", "", "CSV log; without it a log is simulated");
///     const bool quiet = options.flag("quiet", "print the table only");
///     if (options.finish(std::cout)) return 0;  // --help was given and printed
///
/// Throws std::invalid_argument with a sentence for the user.
class args {
  public:
    args(int argc, const char* const* argv, std::string about)
        : program_(argc > 0 ? argv[0] : "program"), about_(std::move(about)) {
        for (int k = 1; k < argc; ++k) words_.push_back({argv[k], false});
        help_ = take_flag("help");
    }

    bool flag(const std::string& name, const std::string& about) {
        lines_.push_back({"--" + name, about});
        return take_flag(name);
    }

    std::string text(const std::string& name, const std::string& fallback, const std::string& about) {
        lines_.push_back({"--" + name + " VALUE", about + (fallback.empty() ? "" : " [" + fallback + "]")});
        std::string value = fallback;
        take_value(name, value);
        return value;
    }

    double number(const std::string& name, double fallback, const std::string& about) {
        return parsed<double>(name, fallback, about, "a number");
    }

    std::int64_t integer(const std::string& name, std::int64_t fallback, const std::string& about) {
        return parsed<std::int64_t>(name, fallback, about, "a whole number");
    }

    /// Comma-separated values.
    std::vector<std::string> list(const std::string& name, const std::string& fallback, const std::string& about) {
        const std::string value = text(name, fallback, about + ", comma-separated");
        std::vector<std::string> out;
        for (std::size_t at = 0; at < value.size();) {
            const std::size_t end = (std::min)(value.find(',', at), value.size());
            if (end > at) out.push_back(value.substr(at, end - at));
            at = end + 1;
        }
        return out;
    }

    /// Call it after the last option. Returns true if the help was asked for, and prints it.
    bool finish(std::ostream& out) const {
        if (help_) {
            std::size_t longest = 0;
            for (const auto& [left, right] : lines_) longest = (std::max)(longest, left.size());
            out << about_ << "\n\nUsage: " << program_ << " [options]\n\n";
            for (const auto& [left, right] : lines_)
                out << "  " << left << std::string(longest + 2 - left.size(), ' ') << right << '\n';
            return true;
        }
        for (const word& w : words_)
            if (!w.used)
                throw std::invalid_argument((w.text.starts_with("-") ? "unknown option '" : "unexpected word '") +
                                            w.text + "'; --help lists the options");
        return false;
    }

  private:
    struct word {
        std::string text;
        bool used;
    };

    bool take_flag(const std::string& name) {
        bool found = false;
        for (word& w : words_) {
            if (w.text != "--" + name || w.used) continue;
            w.used = found = true;
        }
        return found;
    }

    void take_value(const std::string& name, std::string& value) {
        const std::string plain = "--" + name, joined = plain + "=";
        bool found = false;
        for (std::size_t k = 0; k < words_.size(); ++k) {
            word& w = words_[k];
            if (w.used || (w.text != plain && !w.text.starts_with(joined))) continue;
            if (found) throw std::invalid_argument("option " + plain + " is given twice");
            found = w.used = true;
            if (w.text != plain) {
                value = w.text.substr(joined.size());
                continue;
            }
            if (k + 1 >= words_.size() || words_[k + 1].text.starts_with("--"))
                throw std::invalid_argument("option " + plain + " needs a value");
            words_[++k].used = true;
            value = words_[k].text;
        }
    }

    template <class T>
    T parsed(const std::string& name, T fallback, const std::string& about, const char* kind) {
        char buffer[32];
        const auto written = std::to_chars(buffer, buffer + sizeof buffer, fallback);
        const std::string value = text(name, std::string(buffer, written.ptr), about);
        T out{};
        const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), out);
        if (code != std::errc{} || end != value.data() + value.size())
            throw std::invalid_argument("option --" + name + ": '" + value + "' is not " + kind);
        return out;
    }

    std::string program_, about_;
    std::vector<word> words_;
    std::vector<std::pair<std::string, std::string>> lines_;
    bool help_ = false;
};

}  // namespace reckon_examples
