// Exponential forgetting: the clock that states with a half-life share.
#pragma once

#include <cmath>
#include <limits>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"

namespace reckon {

/// A clock that moves forward, and the factors by which sums fade as it does.
///
///   factor = 2^(-elapsed / half_life)
///
/// A state keeps one, multiplies its sums by what advance() returns, and in its merge() by what align() returns.
/// Default-built: nothing fades, the clock stands at 0.
class fading_clock {
  public:
    fading_clock() noexcept = default;
    /// Unchecked: a state asks complaint() first.
    fading_clock(double half_life, double start) noexcept : half_life_(half_life), start_(start), now_(start) {}
    /// Null when a clock can be built like this.
    static const char* complaint(double half_life, double start) noexcept {
        if (!(half_life > 0)) return "the half-life must be positive";
        if (!std::isfinite(start)) return "the clock must start at a finite time";
        return nullptr;
    }

    double half_life() const noexcept { return half_life_; }
    double start() const noexcept { return start_; }
    double now() const noexcept { return now_; }
    /// Exactly 1 for a time that is not positive.
    double factor(double elapsed) const noexcept { return elapsed > 0 ? std::exp2(-elapsed / half_life_) : 1.0; }

    /// Sets the clock and returns the factor for the sums.
    ///
    /// Throws    std::invalid_argument when `now` is not finite or before the clock.
    double advance(const char* kernel, double now) {
        expects(std::isfinite(now) && now >= now_, kernel, "the clock is at ", now_, " and cannot be set to ", now);
        const double faded = factor(now - now_);
        now_ = now;
        return faded;
    }
    /// Factors for two states that meet.
    struct factors {
        double mine, theirs;
    };
    /// Sets the clock to the later of the two; one factor is 1.
    ///
    /// Throws    std::invalid_argument when the half-lives differ.
    factors align(const char* kernel, const fading_clock& other) {
        expects(half_life_ == other.half_life_, kernel, "a half-life of ", half_life_, " here, ", other.half_life_,
                " there");
        const factors out{factor(other.now_ - now_), factor(now_ - other.now_)};
        if (other.now_ > now_) now_ = other.now_;
        return out;
    }

    void write(byte_writer& out) const {
        out.put(half_life_);
        out.put(start_);
        out.put(now_);
    }
    /// Throws    std::runtime_error when the bytes hold no clock; `kernel` is the state that owns it.
    static fading_clock read(byte_reader& in, const char* kernel) {
        const auto half_life = in.get<double>();
        const auto start = in.get<double>();
        const char* const wrong = complaint(half_life, start);
        expects_bytes(wrong == nullptr, kernel, wrong == nullptr ? "" : wrong);
        fading_clock clock(half_life, start);
        clock.now_ = in.get<double>();
        expects_bytes(std::isfinite(clock.now_) && clock.now_ >= start, kernel, "the clock is at ", clock.now_);
        return clock;
    }

  private:
    double half_life_ = std::numeric_limits<double>::infinity();
    double start_ = 0;
    double now_ = 0;
};

}  // namespace reckon
