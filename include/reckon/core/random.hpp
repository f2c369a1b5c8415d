// Counter-based random numbers: every value is a pure function of (seed, stream, index), so that parallel code, shards
// and reruns see the same ones.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "reckon/core/config.hpp"

namespace reckon {

/// One Philox 4x32-10 block: 128 random bits for a 128-bit counter and a 64-bit key.
///
/// Numerics  integer arithmetic only, the same bits on every platform.
/// Source    Salmon, Moraes, Dror and Shaw 2011.
RECKON_HD constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                            std::array<std::uint32_t, 2> key) noexcept {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter[0];
        const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * counter[2];
        counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
                   static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
        key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
    }
    return counter;
}

/// SplitMix64's output function: a bijection of 64 bits whose results look random, so that distinct x never collide. For
/// keys and hash tables, at a tenth of the cost of philox4x32.
///
/// Numerics  integer arithmetic only, the same bits on every platform.
/// Source    Steele, Lea and Flood 2014; the constants are variant 13 of Stafford 2011.
RECKON_HD constexpr std::uint64_t mix_bits(std::uint64_t x) noexcept {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/// Uniform integer in [0, n) from 64 random bits; 0 for n = 0. The bias, below n / 2^64, cannot be observed.
RECKON_HD constexpr std::uint64_t scale_bits(std::uint64_t bits, std::uint64_t n) noexcept {
#if defined(__SIZEOF_INT128__) && !defined(__CUDACC__)
    __extension__ using wide = unsigned __int128;
    return static_cast<std::uint64_t>((static_cast<wide>(bits) * n) >> 64);
#else
    // High half of bits * n, from 32-bit halves.
    const std::uint64_t x_low = bits & 0xffffffffu, x_high = bits >> 32, n_low = n & 0xffffffffu, n_high = n >> 32;
    const std::uint64_t middle = x_high * n_low + ((x_low * n_low) >> 32);
    const std::uint64_t low = x_low * n_high + (middle & 0xffffffffu);
    return x_high * n_high + (middle >> 32) + (low >> 32);
#endif
}

/// Random numbers addressed by index: rng.uniform(7) is the same whenever and wherever it is asked for.
///
/// seed      one experiment; stream: one purpose within it. Different pairs give independent sequences.
/// Numerics  bits, below and uniform are the same bits on every platform; normal calls the platform's log, sqrt and cos
///           and may differ in the last bits.
class random_stream {
  public:
    constexpr explicit random_stream(std::uint64_t seed, std::uint64_t stream = 0) noexcept
        : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}, stream_(stream) {}

    /// 64 random bits.
    constexpr std::uint64_t bits(std::uint64_t index) const noexcept {
        const auto block = philox4x32(counter(index), key_);
        return (std::uint64_t{block[1]} << 32) | block[0];
    }
    /// Uniform on [0, 1), a multiple of 2^-53.
    constexpr double uniform(std::uint64_t index) const noexcept {
        return static_cast<double>(bits(index) >> 11) * 0x1p-53;
    }
    /// Uniform integer in [0, n); 0 for n = 0. The bias, below n / 2^64, cannot be observed.
    constexpr std::uint64_t below(std::uint64_t index, std::uint64_t n) const noexcept {
        return scale_bits(bits(index), n);
    }
    /// Standard normal (Box and Muller 1958).
    double normal(std::uint64_t index) const noexcept {
        const auto block = philox4x32(counter(index), key_);
        const std::uint64_t a = (std::uint64_t{block[1]} << 32) | block[0];
        const std::uint64_t b = (std::uint64_t{block[3]} << 32) | block[2];
        const double u = (static_cast<double>(a >> 11) + 1.0) * 0x1p-53;  // (0, 1]
        const double angle = static_cast<double>(b >> 11) * (0x1p-53 * 6.283185307179586477);
        return std::sqrt(-2.0 * std::log(u)) * std::cos(angle);
    }

  private:
    constexpr std::array<std::uint32_t, 4> counter(std::uint64_t index) const noexcept {
        return {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)};
    }

    std::array<std::uint32_t, 2> key_;
    std::uint64_t stream_;
};

}  // namespace reckon
