// Prior-shift correction: undoes the effect of sampling negatives on predicted probabilities.
#pragma once

#include <cmath>
#include <cstdint>

#include "reckon/calibration/calibrator.hpp"

namespace reckon {

/// Prior-shift correction: the odds of a model that was trained on all positives and on a share `rate` of the
/// negatives, brought back to the full population.
///
///   p' = p / (p + (1 - p) / rate),   that is   logit p' = logit p + ln rate
///
/// There is no fit: the rate is known, or follows from two base rates. rate = 1 is the identity; inverse() goes the
/// other way.
///
/// Throws    std::invalid_argument when rate or a base rate is out of range; apply: when sizes differ. Propagates NaN;
///           probabilities outside [0, 1] count as 0 or 1.
/// Cost      apply: one division a score for probabilities, one exponential for log-odds.
/// Numerics  probabilities keep their relative accuracy near 0, and 0, 1 map to themselves.
/// Source    Saerens, Latinne and Decaestecker 2002; the sampling form as in He et al. 2014.
class prior_shift {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("PRIO");
    static constexpr std::uint32_t bytes_version = 1;
    static constexpr double lowest_rate = 1e-12;
    static constexpr double highest_rate = 1e12;

    /// The identity.
    prior_shift() noexcept = default;
    /// rate      share of the negatives that were kept, in [1e-12, 1e12]; above 1 if positives were dropped instead.
    explicit prior_shift(double rate, score_kind input = score_kind::probability) : rate_(rate), input_(input) {
        expects(lowest_rate <= rate && rate <= highest_rate, "prior_shift", "rate must be in [1e-12, 1e12], got ",
                rate);
    }
    /// From a base rate in training to one in serving, both in (0, 1).
    static prior_shift between(double training, double serving, score_kind input = score_kind::probability) {
        expects(0.0 < training && training < 1.0 && 0.0 < serving && serving < 1.0, "prior_shift",
                "base rates must be in (0, 1), got ", training, " and ", serving);
        return prior_shift((serving / (1.0 - serving)) / (training / (1.0 - training)), input);
    }
    prior_shift inverse() const { return prior_shift(1.0 / rate_, input_); }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        return detail::map_one<Isa>(score, [this](auto f) { return this->map(f); });
    }
    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        detail::map_scores<Isa>("prior_shift", where, scores, out, [this](auto f) { return this->map(f); });
    }

    double rate() const noexcept { return rate_; }
    score_kind input_kind() const noexcept { return input_; }

    void write(byte_writer& out) const {
        out.put(rate_);
        out.put(static_cast<std::uint8_t>(input_));
    }
    static prior_shift read(byte_reader& in) {
        prior_shift s;
        s.rate_ = in.get<double>();
        expects_bytes(lowest_rate <= s.rate_ && s.rate_ <= highest_rate, "prior_shift", "rate ", s.rate_,
                      " is outside [1e-12, 1e12]");
        s.input_ = detail::read_score_kind(in, "prior_shift");
        return s;
    }

  private:
    template <class V>
    RECKON_INLINE V map(V score) const noexcept {
        using T = simd::lane_t<V>;
        using simd::maximum;
        using simd::minimum;
        if (input_ == score_kind::logit) return math::sigmoid(score + V(static_cast<T>(std::log(rate_))));
        const V p = maximum(V(T(0)), minimum(V(T(1)), score));
        const V odds_part = p * V(static_cast<T>(rate_));
        return odds_part / (odds_part + (V(T(1)) - p));
    }

    double rate_ = 1.0;
    score_kind input_ = score_kind::probability;
};

}  // namespace reckon
