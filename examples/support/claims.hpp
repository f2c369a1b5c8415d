// Statements that the documentation makes, checked with their numbers: what `--check` prints.
#pragma once

#include <cstdio>
#include <ostream>
#include <string>

namespace reckon_examples {

/// Prints statements and counts which hold.
class claim_list {
  public:
    explicit claim_list(std::ostream& out) : out_(&out) {}

    void section(const std::string& text) { *out_ << '\n' << text << '\n'; }
    void check(bool holds, const std::string& what) {
        *out_ << (holds ? "  holds  " : "  FAILS  ") << what << '\n';
        ++(holds ? held_ : failed_);
    }
    /// The same with numbers, by a format of printf.
    template <class Number, class... Numbers>
    void check(bool holds, const char* format, Number number, Numbers... numbers) {
        char text[240];
        std::snprintf(text, sizeof text, format, number, numbers...);
        check(holds, std::string(text));
    }
    /// Prints how many hold and how many fail. Returns the exit code of the program: 0 if all hold.
    int finish() const {
        *out_ << '\n' << held_ << " claims hold, " << failed_ << " fail.\n";
        return failed_ == 0 ? 0 : 1;
    }
    int held() const { return held_; }
    int failed() const { return failed_; }

  private:
    std::ostream* out_;
    int held_ = 0, failed_ = 0;
};

}  // namespace reckon_examples
