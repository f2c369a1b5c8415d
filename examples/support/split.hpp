// Splits the rows of a log into train, calibrate and test parts, at random or by time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "random.hpp"

namespace reckon_examples {

struct split_fractions {
    double train = 0.5;
    double calibrate = 0.25;
    double test = 0.25;  // the three add up to 1
};

/// Row numbers of each part. Random splits list them in ascending order, time splits in order of time.
struct split_rows {
    std::vector<std::size_t> train, calibrate, test;
};

inline void check_fractions(const split_fractions& f) {
    const bool each = f.train >= 0 && f.calibrate >= 0 && f.test >= 0;
    if (!each || !(std::abs(f.train + f.calibrate + f.test - 1) < 1e-9))
        throw std::invalid_argument("split: the fractions must not be negative and must add up to 1");
}

/// Each row falls into a part by a hash of its number and the seed: a row keeps its part when rows are appended.
inline split_rows random_split(std::size_t rows, const split_fractions& fractions = {}, std::uint64_t seed = 1) {
    check_fractions(fractions);
    // A stream of its own, so that a log drawn from the same seed is split independently of what it holds.
    constexpr std::uint64_t split_stream = 0x73706C6974;
    const counter_random random(seed, split_stream);
    split_rows out;
    for (std::size_t row = 0; row < rows; ++row) {
        const double u = random.uniform(row);
        auto& part = u < fractions.train                         ? out.train
                     : u < fractions.train + fractions.calibrate ? out.calibrate
                                                                 : out.test;
        part.push_back(row);
    }
    return out;
}

/// The earliest rows train, the next calibrate, the last test. Rows of one time stay in one part (the earlier one), so
/// no part sees the future of another.
template <class T>
split_rows time_split(const std::vector<T>& time, const split_fractions& fractions = {}) {
    check_fractions(fractions);
    const std::size_t rows = time.size();
    std::vector<std::size_t> order(rows);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return time[a] < time[b]; });
    const auto cut = [&](double fraction) {
        auto at = (std::min)(rows, static_cast<std::size_t>(std::llround(fraction * static_cast<double>(rows))));
        while (at > 0 && at < rows && !(time[order[at - 1]] < time[order[at]])) ++at;
        return static_cast<std::ptrdiff_t>(at);
    };
    const auto first = cut(fractions.train);
    const auto second = (std::max)(first, cut(fractions.train + fractions.calibrate));
    return {{order.begin(), order.begin() + first},
            {order.begin() + first, order.begin() + second},
            {order.begin() + second, order.end()}};
}

/// The values of some rows, in that order.
template <class T>
std::vector<T> take(const std::vector<T>& values, const std::vector<std::size_t>& rows) {
    std::vector<T> out;
    out.reserve(rows.size());
    for (const std::size_t row : rows) out.push_back(values.at(row));
    return out;
}

}  // namespace reckon_examples
