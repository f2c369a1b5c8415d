// Counter-based random numbers for the examples: draw i depends on (seed, stream, i) only, so order does not matter.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace reckon_examples {

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64-bit words that mixes all bits.
constexpr std::uint64_t mix64(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/// Independent draws by index; code that draws for different ends with one seed gives each end a stream of its own.
/// Integers and uniforms are the same bits on every platform; normals differ at most in the
/// last places, where the platform's log and cos do.
class counter_random {
  public:
    constexpr counter_random(std::uint64_t seed, std::uint64_t stream)
        : key_(mix64(mix64(seed + golden) + golden * (stream + 1))) {}

    constexpr std::uint64_t bits(std::uint64_t i) const { return mix64(key_ + golden * (i + 1)); }

    /// In (0, 1), both ends excluded.
    constexpr double uniform(std::uint64_t i) const { return (static_cast<double>(bits(i) >> 12) + 0.5) * 0x1p-52; }

    /// In [0, n), n < 2^32; the bias of at most n / 2^32 does not matter here.
    constexpr std::uint64_t below(std::uint64_t i, std::uint64_t n) const { return ((bits(i) >> 32) * n) >> 32; }

    /// Standard normal (Box and Muller 1958), from the uniforms 2i and 2i + 1.
    double normal(std::uint64_t i) const {
        const double radius = std::sqrt(-2 * std::log(uniform(2 * i)));
        return radius * std::cos(2 * std::numbers::pi * uniform(2 * i + 1));
    }

  private:
    static constexpr std::uint64_t golden = 0x9E3779B97F4A7C15u;
    std::uint64_t key_;
};

}  // namespace reckon_examples
