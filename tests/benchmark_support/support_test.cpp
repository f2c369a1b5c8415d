// Tests of benchmarks/support: buffers, seeded inputs, limits from given figures, and that the measured ones make
// sense.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "../../benchmarks/support/data.hpp"
#include "../../benchmarks/support/error.hpp"
#include "../../benchmarks/support/machine.hpp"
#include "../../benchmarks/support/memory.hpp"

namespace bench = reckon::bench;

namespace {

double mean(const bench::buffer<float>& values) {
    double sum = 0;
    for (const float v : values) sum += double(v);
    return sum / double(values.size());
}

bench::machine given_machine() {
    bench::machine m;
    m.hertz = 3e9;
    m.flops = 96e9;
    m.levels = {bench::memory_level{"L1", 32'000, 160e9, 150e9}, bench::memory_level{"L2", 500'000, 100e9, 90e9},
                bench::memory_level{"L3", 32'000'000, 70e9, 60e9}, bench::memory_level{"DRAM", 0, 16e9, 12e9}};
    return m;
}

}  // namespace

TEST_CASE("buffer: aligned to a line when small, to a huge page when large, empty is legal") {
    for (const std::size_t n : {std::size_t{1}, std::size_t{17}, std::size_t{1000}}) {
        const bench::buffer<float> b(n, 3.0F);
        CHECK(reinterpret_cast<std::uintptr_t>(b.data()) % 64 == 0);
    }
    const bench::buffer<double> large(std::size_t{1} << 19, 1.0);
    CHECK(reinterpret_cast<std::uintptr_t>(large.data()) % (std::size_t{1} << 21) == 0);
    CHECK(large.back() == 1.0);
    CHECK(bench::buffer<float>{}.empty());
    CHECK_THROWS_AS(bench::huge_page_allocator<double>{}.allocate(std::numeric_limits<std::size_t>::max() / 4),
                    std::bad_alloc);
}

TEST_CASE("data: the generator is SplitMix64 with its published values") {
    bench::generator g(1234567);
    CHECK(g.bits() == 6457827717110365317U);
    CHECK(g.bits() == 3203168211198807973U);
    CHECK(g.bits() == 9817491932198370423U);
}

TEST_CASE("data: seeds repeat, distributions have their moments") {
    constexpr std::size_t n = 100'000;
    CHECK(bench::make_logits(100) == bench::make_logits(100));
    CHECK(bench::make_logits(100, 1) != bench::make_logits(100, 2));
    const auto z = bench::make_logits(n);
    CHECK(std::abs(mean(z) + 2) < 5 * 1.2 / std::sqrt(double(n)));
    double square = 0;
    for (const float v : z) square += (double(v) + 2) * (double(v) + 2);
    CHECK(std::abs(square / double(n) / 1.44 - 1) < 5 * std::sqrt(2.0 / double(n)));

    const auto p = bench::make_probabilities(n);
    CHECK(*std::min_element(p.begin(), p.end()) > 0);
    CHECK(*std::max_element(p.begin(), p.end()) < 1);
    const auto y = bench::make_labels(p);
    CHECK(std::all_of(y.begin(), y.end(), [](float v) { return v == 0 || v == 1; }));
    CHECK(std::abs(mean(y) - mean(p)) < 5 * 0.4 / std::sqrt(double(n)));
    const auto bytes = bench::make_labels<std::uint8_t>(p);
    CHECK(std::equal(y.begin(), y.end(), bytes.begin(), [](float a, std::uint8_t b) { return a == float(b); }));

    const auto w = bench::make_weights(n);
    CHECK(std::abs(mean(w) - 1.25) < 5 * 0.44 / std::sqrt(double(n)));
}

TEST_CASE("data: a grid makes ties") {
    auto p = bench::make_probabilities(20'000);
    bench::round_to_grid(p, 64);
    CHECK(std::all_of(p.begin(), p.end(), [](float v) { return v * 64 == std::round(v * 64); }));
    std::sort(p.begin(), p.end());
    CHECK(std::unique(p.begin(), p.end()) - p.begin() <= 65);
}

TEST_CASE("data: ids stay in range; Zipf ids have the frequencies of their law") {
    constexpr std::size_t n = 200'000;
    constexpr std::int32_t cells = 50;
    for (const auto& ids : {bench::make_uniform_ids(n, cells), bench::make_zipf_ids(n, cells)}) {
        CHECK(*std::min_element(ids.begin(), ids.end()) == 0);
        CHECK(*std::max_element(ids.begin(), ids.end()) == cells - 1);
    }
    std::vector<double> count(cells);
    for (const std::int32_t id : bench::make_zipf_ids(n, cells, 1.0)) count[std::size_t(id)] += 1;
    CHECK(!std::is_sorted(count.rbegin(), count.rend()));  // scattered
    std::sort(count.rbegin(), count.rend());
    double harmonic = 0;
    for (int k = 1; k <= cells; ++k) harmonic += 1.0 / k;
    for (const int k : {1, 2, 5}) {
        const double expected = double(n) / (harmonic * k);
        CHECK(std::abs(count[std::size_t(k - 1)] - expected) < 5 * std::sqrt(expected));
    }
    CHECK(bench::make_zipf_ids(10, 1) == bench::buffer<std::int32_t>(10, 0));
}

TEST_CASE("data: cached makes once per size") {
    int made = 0;
    const auto make = [&made](std::size_t n) {
        ++made;
        return std::vector<int>(n);
    };
    for (const std::size_t n : {std::size_t{3}, std::size_t{3}, std::size_t{5}, std::size_t{5}}) {
        CHECK(bench::cached(n, make).size() == n);
    }
    CHECK(made == 2);
}

TEST_CASE("machine: the limit is the slower of arithmetic and memory at the level that holds the data") {
    const bench::machine m = given_machine();
    CHECK(std::string(m.level(0).name) == "L1");
    CHECK(std::string(m.level(32'000).name) == "L1");
    CHECK(std::string(m.level(32'001).name) == "L2");
    CHECK(std::string(m.level(1'000'000).name) == "L3");
    CHECK(std::string(m.level(1'000'000'000).name) == "DRAM");
    CHECK(m.limit({.flops = 960, .bytes_read = 8}, 1000) == doctest::Approx(1e-8));
    CHECK(m.limit({.flops = 1, .bytes_read = 160}, 1000) == doctest::Approx(1e-9));
    CHECK(m.limit({.bytes_read = 160}, 1'000'000'000) == doctest::Approx(1e-8));
    CHECK(m.limit({.bytes_read = 8, .bytes_written = 4}, 1'000'000'000) == doctest::Approx(1e-9));
    CHECK(m.line() == "3.00 GHz, FP32 96.0 GFLOP/s, read/copy GB/s: L1 160/150 L2 100/90 L3 70/60 DRAM 16/12");
}

TEST_CASE("machine: measured figures are those of some computer") {
    const bench::machine& m = bench::this_machine();
    CHECK(&m == &bench::this_machine());
    CHECK(m.hertz > 2e8);
    CHECK(m.hertz < 1e10);
    // Any core does one operation a cycle, none does more than four 16-lane fused multiply-adds.
    CHECK(m.flops > 0.5 * m.hertz);
    CHECK(m.flops < 128 * 1.5 * m.hertz);
    for (const auto& level : m.levels) {
        CHECK(level.read > 1e8);
        CHECK(level.copy > 1e8);
    }
    CHECK(m.levels[0].capacity < m.levels[1].capacity);
    CHECK(m.levels[1].capacity < m.levels[2].capacity);
}

TEST_CASE("error: relative error keeps NaN and sees a length that differs") {
    const std::vector<float> got{1.0F, 2.0F, 0.0F};
    CHECK(bench::relative_error(got, std::vector<double>{1.0, 2.0, 0.0}) == 0);
    CHECK(bench::relative_error(got, std::vector<double>{1.0, 4.0, 0.0}) == 0.5);
    CHECK(bench::relative_error(got, std::vector<double>{1.0, 2.0, 0.5}, 1.0) == 0.5);
    CHECK(bench::relative_error(got, std::vector<double>{1.0}) > 1e300);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    CHECK(std::isnan(bench::relative_error(std::vector<float>{nan, 1.0F}, std::vector<double>{1.0, 1.0})));
    CHECK(std::isnan(bench::relative_error(std::vector<float>{1.0F, nan}, std::vector<double>{2.0, 1.0})));
    CHECK(bench::relative_error(std::vector<float>{}, std::vector<double>{}) == 0);
}
