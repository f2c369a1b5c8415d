// Seeded inputs for benchmarks: scores, probabilities, labels, weights and field ids; the same on every platform up to
// the rounding of the C library's exp and log.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "memory.hpp"

namespace reckon::bench {

/// The result of make(n), kept until the same call asks for another n: Google Benchmark enters a benchmark's function
/// many times, and inputs of 1e7 items take longer to make than to use.
template <class Make>
const auto& cached(std::size_t n, Make make) {
    static std::size_t size = n;
    static auto value = make(n);
    if (size != n) {
        value = make(n);
        size = n;
    }
    return value;
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for inputs, and independent of the generator that is under test.
class generator {
  public:
    explicit generator(std::uint64_t seed) : state_(seed) {}

    std::uint64_t bits() {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31);
    }

    /// In (0, 1).
    double uniform() { return (double(bits() >> 12) + 0.5) * 0x1p-52; }

    double normal() {
        constexpr double two_pi = 6.283185307179586;
        const double radius = std::sqrt(-2 * std::log(uniform()));
        return radius * std::cos(two_pi * uniform());
    }

  private:
    std::uint64_t state_;
};

/// n logits from N(-2, 1.2^2): probabilities with a mean near 0.18, as click and conversion models give them.
inline buffer<float> make_logits(std::size_t n, std::uint64_t seed = 1) {
    generator g(seed);
    buffer<float> z(n);
    for (float& value : z) value = float(-2 + 1.2 * g.normal());
    return z;
}

inline buffer<float> make_probabilities(std::size_t n, std::uint64_t seed = 1) {
    buffer<float> p = make_logits(n, seed);
    for (float& value : p) value = float(1 / (1 + std::exp(-double(value))));
    return p;
}

/// Rounds to multiples of 1/grid: 64 and 1000 give heavy ties.
inline void round_to_grid(buffer<float>& p, int grid) {
    for (float& value : p) value = std::round(value * float(grid)) / float(grid);
}

/// Independent 0/1 labels with the given probabilities. Sort the probabilities first for presorted input.
template <class Label = float>
buffer<Label> make_labels(const buffer<float>& p, std::uint64_t seed = 2) {
    generator g(seed);
    buffer<Label> y(p.size());
    for (std::size_t i = 0; i < p.size(); ++i) y[i] = g.uniform() < double(p[i]) ? Label(1) : Label(0);
    return y;
}

/// Weights, uniform in [0.5, 2).
inline buffer<float> make_weights(std::size_t n, std::uint64_t seed = 3) {
    generator g(seed);
    buffer<float> w(n);
    for (float& value : w) value = float(0.5 + 1.5 * g.uniform());
    return w;
}

/// n ids in [0, cells), all equally likely.
inline buffer<std::int32_t> make_uniform_ids(std::size_t n, std::int32_t cells, std::uint64_t seed = 4) {
    generator g(seed);
    buffer<std::int32_t> ids(n);
    for (std::int32_t& id : ids) id = std::int32_t(g.uniform() * cells);
    return ids;
}

/// n ids in [0, cells) with P(id) proportional to (id + 1)^-exponent, then scattered over [0, cells), so that frequent
/// cells are not neighbours in memory.
inline buffer<std::int32_t> make_zipf_ids(std::size_t n, std::int32_t cells, double exponent = 1.05,
                                          std::uint64_t seed = 5) {
    generator g(seed);
    std::vector<double> cumulative(std::size_t(cells), 0.0);
    double sum = 0;
    for (std::size_t k = 0; k < cumulative.size(); ++k) cumulative[k] = sum += std::pow(double(k + 1), -exponent);
    std::vector<std::int32_t> place(cumulative.size());
    for (std::size_t k = 0; k < place.size(); ++k) {  // a random permutation, built from the inside out
        const auto j = std::size_t(g.uniform() * double(k + 1));
        place[k] = place[j];
        place[j] = std::int32_t(k);
    }
    buffer<std::int32_t> ids(n);
    for (std::int32_t& id : ids) {
        const auto at = std::lower_bound(cumulative.begin(), cumulative.end() - 1, g.uniform() * sum);
        id = place[std::size_t(at - cumulative.begin())];
    }
    return ids;
}

}  // namespace reckon::bench
