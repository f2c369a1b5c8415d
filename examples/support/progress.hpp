// A progress line for work that takes longer than two seconds.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <iostream>
#include <ostream>
#include <string>
#include <utility>

#if defined(_WIN32)
#include <io.h>
#else
#include <unistd.h>
#endif

namespace reckon_examples {

inline bool stderr_is_terminal() {
#if defined(_WIN32)
    return _isatty(2) != 0;
#else
    return isatty(2) != 0;
#endif
}

struct progress_options {
    double quiet_seconds = 2;              // nothing is written before
    std::ostream* out = &std::cerr;        // null: silent
    bool terminal = stderr_is_terminal();  // one line that is rewritten; otherwise one line for each 10 %
};

/// Tells how far a job is and how long it still takes. Ends its line when it is destroyed.
class progress {
  public:
    progress(std::string name, std::size_t total, progress_options options = {})
        : name_(std::move(name)), total_(total), options_(options), start_(clock::now()), shown_(start_) {}

    progress(const progress&) = delete;
    progress& operator=(const progress&) = delete;

    ~progress() {
        if (!wrote_ || !options_.terminal) return;
        *options_.out << '\n';
        options_.out->flush();
    }

    /// Call it as often as convenient; `done` counts from 0 to total.
    void update(std::size_t done) {
        if (!options_.out || total_ == 0) return;
        const auto now = clock::now();
        const double elapsed = std::chrono::duration<double>(now - start_).count();
        if (elapsed < options_.quiet_seconds) return;
        const double fraction = static_cast<double>(done) / static_cast<double>(total_);
        const int tenth = static_cast<int>(10 * fraction);
        if (options_.terminal) {
            const bool recent = std::chrono::duration<double>(now - shown_).count() < 0.1;
            if (wrote_ && recent && done < total_) return;
        } else if (tenth <= tenth_) {
            return;
        }
        tenth_ = tenth;
        shown_ = now;
        wrote_ = true;
        char line[80];
        std::snprintf(line, sizeof line, ": %3.0f %%, %.0f s so far, about %.0f s left", 100 * fraction, elapsed,
                      fraction > 0 ? elapsed * (1 - fraction) / fraction : 0.0);
        *options_.out << (options_.terminal ? "\r" : "") << name_ << line << (options_.terminal ? "   " : "\n");
        options_.out->flush();
    }

  private:
    using clock = std::chrono::steady_clock;
    std::string name_;
    std::size_t total_;
    progress_options options_;
    clock::time_point start_, shown_;
    int tenth_ = 0;
    bool wrote_ = false;
};

}  // namespace reckon_examples
