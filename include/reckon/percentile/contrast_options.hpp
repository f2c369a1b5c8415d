// What a comparison of two values of feedback says and weighs.
#pragma once

#include <cstdint>
#include <limits>

#include "reckon/core/views.hpp"

namespace reckon {

/// What the anchor's feedback y scores against one past feedback y'; v and v' are predictions of another model.
enum class tie_mode : std::uint8_t {
    strict,  ///< 1 for y > y'. Its mean over a user is (1 - share of ties) / 2.
    mid,     ///< 1/2 for a tie.
    boot,    ///< sigmoid((v - v') / temperature) for a tie: for feedback that is mostly 0.
    lex,     ///< a tie is decided by v against v', 1/2 where these tie too: boot with temperature 0.
    smooth,  ///< sigmoid((y - y' + smoothing (v - v')) / temperature): noisy near-ties; depends on the scale of y.
};

/// Weight w of a comparison; s is the mean of |y| over the user's filled slots, 1 where that is 0.
enum class value_weight : std::uint8_t {
    none,    ///< 1
    gap,     ///< |y - y'|
    loggap,  ///< |l(y) - l(y')| with l(y) = ln(1 + y / s), and -ln(1 - y / s) for negative y
    winner,  ///< max(y, y', 0) / s
};

struct contrast_options {
    tie_mode ties = tie_mode::mid;
    /// > 0. Of boot in units of v, of smooth in units of y.
    double temperature = 0.5;
    /// Of smooth: what a difference of predictions counts; 0 needs none.
    double smoothing = 0.0;
    value_weight weight = value_weight::none;
    /// > 0. Largest weight of one comparison; 10 for loggap of money.
    double clip = std::numeric_limits<double>::infinity();
    /// Number of slots to compare with, drawn without replacement; 0 takes all, which varies least.
    std::uint32_t contrasts = 0;
    /// Of the draw. Change it from epoch to epoch.
    std::uint64_t seed = 0;
    /// Number of the first anchor. Draws are keyed by user and event where events are given, else by this number.
    std::uint64_t first_row = 0;
};

/// Where contrast_labels() writes, [N] each; an empty column is not wanted.
struct contrast_outputs {
    vector_view<float> cbar = {};            ///< mean label; 1/2 without history
    vector_view<std::uint32_t> neff = {};    ///< comparisons made
    vector_view<float> wins = {};            ///< mean of w c
    vector_view<float> losses = {};          ///< mean of w (1 - c)
    vector_view<std::uint32_t> filled = {};  ///< slots that the user's history holds: what a gate looks at
};

}  // namespace reckon
