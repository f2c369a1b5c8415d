// Reads the oracle values of tests/fixtures (format: tests/fixtures/README.md).
#pragma once

#include <charconv>
#include <cstddef>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#ifndef RECKON_FIXTURE_DIR
#error "define RECKON_FIXTURE_DIR as the path of tests/fixtures"
#endif

namespace reckon::testing_support {

/// One fixture file: named records of doubles. An unknown record or a malformed file throws with its name.
class fixture {
  public:
    explicit fixture(const std::string& file) : file_{file} {
        std::ifstream in{std::string{RECKON_FIXTURE_DIR} + "/" + file};
        if (!in) throw std::runtime_error("fixture: cannot open " + file);
        std::string line;
        while (std::getline(in, line)) {
            if (line.empty() || line.front() == '#') continue;
            read_record(in, line);
        }
        // A file cut down to nothing would make every loop over its rows pass without a check.
        if (records_.empty()) throw std::runtime_error("fixture: no records in " + file);
    }

    const std::vector<double>& operator[](const std::string& name) const {
        const auto found = records_.find(name);
        if (found == records_.end()) throw std::out_of_range("fixture: no record '" + name + "' in " + file_);
        return found->second;
    }

    bool contains(const std::string& name) const { return records_.find(name) != records_.end(); }

    /// The only number of a record of size one.
    double value(const std::string& name) const {
        const std::vector<double>& values = (*this)[name];
        if (values.size() != 1) throw std::out_of_range("fixture: '" + name + "' in " + file_ + " is not one number");
        return values.front();
    }

    /// A record as another arithmetic type, such as float scores or integer ids.
    template <class T>
    std::vector<T> as(const std::string& name) const {
        std::vector<T> converted;
        for (const double v : (*this)[name]) converted.push_back(static_cast<T>(v));
        return converted;
    }

  private:
    void read_record(std::istream& in, const std::string& header) {
        std::istringstream fields{header};
        std::string name;
        std::size_t count = 0;
        if (!(fields >> name >> count))
            throw std::runtime_error("fixture: bad record line '" + header + "' in " + file_);
        std::vector<double> values;
        values.reserve(count);
        std::string token;
        while (values.size() < count && in >> token) values.push_back(number(token, name));
        if (values.size() != count)
            throw std::runtime_error("fixture: record '" + name + "' in " + file_ + " is cut short");
        if (std::getline(in, token) && !token.empty()) {
            throw std::runtime_error("fixture: record '" + name + "' in " + file_ + " holds more numbers than it says");
        }
        if (!records_.emplace(name, std::move(values)).second) {
            throw std::runtime_error("fixture: record '" + name + "' occurs twice in " + file_);
        }
    }

    // Streams do not read "nan" and "inf"; from_chars does, and ignores the locale.
    double number(const std::string& token, const std::string& name) const {
        double value = 0.0;
        const char* const end = token.data() + token.size();
        const auto [stop, error] = std::from_chars(token.data(), end, value);
        if (error != std::errc{} || stop != end) {
            throw std::runtime_error("fixture: '" + token + "' in record '" + name + "' of " + file_ + " is no number");
        }
        return value;
    }

    std::string file_;
    std::map<std::string, std::vector<double>> records_;
};

}  // namespace reckon::testing_support
