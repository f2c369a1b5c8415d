// The generator: published vectors, uniformity, independence of streams.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "reckon/core/random.hpp"

using reckon::philox4x32;
using reckon::random_stream;

namespace {

// Chi-square statistic of equally likely cells; its mean is cells - 1 and its variance twice that.
double chi_square(const std::vector<double>& observed, double expected) {
    double sum = 0.0;
    for (const double o : observed) sum += (o - expected) * (o - expected) / expected;
    return sum;
}
// Five standard deviations: the seeds are fixed, so this either always holds or never.
bool plausible(double statistic, double degrees) {
    return std::fabs(statistic - degrees) < 5.0 * std::sqrt(2.0 * degrees);
}

}  // namespace

TEST_CASE("philox4x32: published test vectors (Random123 known answers)") {
    using block = std::array<std::uint32_t, 4>;
    CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    CHECK(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
          block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
          block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("mix_bits: outputs of SplitMix64") {
    // The first outputs for the state 1234567, as published with the generator.
    CHECK(reckon::mix_bits(1234567u + 0x9e3779b97f4a7c15u) == 6457827717110365317u);
    CHECK(reckon::mix_bits(1234567u + 2 * 0x9e3779b97f4a7c15u) == 3203168211198807973u);
}

TEST_CASE("random_stream: bits are the low half of the block, and known at compile time") {
    static_assert(random_stream(0, 0).bits(0) == 0xe169c58d6627e8d5ull);
    constexpr random_stream rng(0x1122334455667788ull, 0x99aabbccddeeff00ull);
    const auto block = philox4x32({0x00000007, 0x00000001, 0xddeeff00, 0x99aabbcc}, {0x55667788, 0x11223344});
    CHECK(rng.bits(0x100000007ull) == ((std::uint64_t{block[1]} << 32) | block[0]));
}

TEST_CASE("random_stream: seeds, streams and indices give different numbers, the same ones the same") {
    const random_stream rng(1, 2);
    CHECK(rng.bits(3) == random_stream(1, 2).bits(3));
    CHECK(rng.bits(3) != random_stream(2, 2).bits(3));
    CHECK(rng.bits(3) != random_stream(1, 3).bits(3));
    CHECK(rng.bits(3) != rng.bits(4));
    CHECK(random_stream(1).bits(0) == random_stream(1, 0).bits(0));
}

TEST_CASE("random_stream: uniform fills [0, 1) evenly, every bit is fair") {
    const random_stream rng(11);
    constexpr std::size_t n = 200000;
    std::vector<double> cells(256, 0.0);
    std::vector<double> ones(64, 0.0);
    double sum = 0.0, squares = 0.0, neighbours = 0.0, before = 0.5;
    bool in_range = true;
    for (std::size_t i = 0; i < n; ++i) {
        const double u = rng.uniform(i);
        in_range = in_range && u >= 0.0 && u < 1.0;
        if (!in_range) break;
        cells[static_cast<std::size_t>(u * 256.0)] += 1.0;
        sum += u;
        squares += u * u;
        neighbours += (u - 0.5) * (before - 0.5);
        before = u;
        const std::uint64_t bits = rng.bits(i);
        for (std::size_t b = 0; b < 64; ++b) ones[b] += static_cast<double>((bits >> b) & 1);
    }
    CHECK(in_range);
    CHECK(plausible(chi_square(cells, n / 256.0), 255.0));
    CHECK(std::fabs(sum / n - 0.5) < 5.0 * std::sqrt(1.0 / 12.0 / n));
    CHECK(std::fabs(squares / n - 1.0 / 3.0) < 5.0 * std::sqrt(4.0 / 45.0 / n));
    CHECK(std::fabs(neighbours / n) < 5.0 / 12.0 / std::sqrt(n));
    for (const double o : ones) CHECK(std::fabs(o - n / 2.0) < 5.0 * std::sqrt(n / 4.0));
}

TEST_CASE("random_stream: below is even and in range, also for awkward and huge n") {
    const random_stream rng(12);
    for (const std::uint64_t cells : {1u, 2u, 3u, 7u, 100u}) {
        constexpr std::size_t n = 50000;
        std::vector<double> seen(cells, 0.0);
        bool in_range = true;
        for (std::size_t i = 0; i < n; ++i) {
            const std::uint64_t k = rng.below(i, cells);
            in_range = in_range && k < cells;
            if (in_range) seen[k] += 1.0;
        }
        CHECK(in_range);
        const double expected = static_cast<double>(n) / static_cast<double>(cells);
        CHECK(plausible(chi_square(seen, expected), static_cast<double>(cells - 1) + (cells == 1 ? 1e-9 : 0.0)));
    }
    CHECK(rng.below(0, 0) == 0);
    CHECK(rng.below(0, 1) == 0);
    // The high half of the 128-bit product, checked where it is known without one.
    CHECK(rng.below(5, std::uint64_t{1} << 40) == rng.bits(5) >> 24);
    CHECK(rng.below(5, std::uint64_t{1} << 63) == rng.bits(5) >> 1);
#if defined(__SIZEOF_INT128__)
    bool agrees = true;
    __extension__ using wide = unsigned __int128;
    for (std::uint64_t i = 0; i < 1000; ++i) {
        const std::uint64_t n = rng.bits(100000 + i) >> (i % 64);
        agrees = agrees && rng.below(i, n) == static_cast<std::uint64_t>((static_cast<wide>(rng.bits(i)) * n) >> 64);
    }
    CHECK(agrees);
#endif
}

TEST_CASE("random_stream: normal has the moments and tails of a normal") {
    const random_stream rng(13);
    constexpr std::size_t n = 200000;
    double m1 = 0.0, m2 = 0.0, m3 = 0.0, m4 = 0.0, beyond_two = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
        const double x = rng.normal(i);
        m1 += x;
        m2 += x * x;
        m3 += x * x * x;
        m4 += x * x * x * x;
        beyond_two += std::fabs(x) > 2.0 ? 1.0 : 0.0;
    }
    // Five standard errors: variances of x, x^2, x^3, x^4 are 1, 2, 15 and 96.
    const double root = std::sqrt(static_cast<double>(n));
    CHECK(std::fabs(m1 / n) < 5.0 / root);
    CHECK(std::fabs(m2 / n - 1.0) < 5.0 * std::sqrt(2.0) / root);
    CHECK(std::fabs(m3 / n) < 5.0 * std::sqrt(15.0) / root);
    CHECK(std::fabs(m4 / n - 3.0) < 5.0 * std::sqrt(96.0) / root);
    const double p = 0.04550026389635842;  // P(|x| > 2)
    CHECK(std::fabs(beyond_two / n - p) < 5.0 * std::sqrt(p * (1.0 - p)) / root);
}
