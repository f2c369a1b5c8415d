// Order-preserving bits, radix order, the bucketed visit of scores with 0/1 labels, and the memory that they use.
#include "reckon/core/sort.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "../support/random_data.hpp"
#include "../support/sweep.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/search.hpp"

using namespace reckon;
namespace ts = reckon::testing_support;

TEST_CASE("ordered_bits: order as the numbers, zero once, and back") {
    const float inf = std::numeric_limits<float>::infinity();
    const std::vector<float> ascending{-inf, -3.0e38f, -1.0f, -1.0e-40f, 0.0f, 1.0e-45f, 1e-3f, 0.5f, 1.0f, 2.0f, inf};
    for (std::size_t i = 0; i + 1 < ascending.size(); ++i) {
        CHECK(ordered_bits(ascending[i]) < ordered_bits(ascending[i + 1]));
        CHECK(ordered_bits(double{ascending[i]}) < ordered_bits(double{ascending[i + 1]}));
    }
    CHECK(ordered_bits(-0.0f) == ordered_bits(0.0f));
    CHECK(ordered_bits(-0.0) == ordered_bits(0.0));
    for (const float x : ascending) {
        CHECK(from_ordered_bits<float>(ordered_bits(x)) == x);
        CHECK(from_ordered_bits<double>(ordered_bits(double{x})) == double{x});
    }
}

TEST_CASE_TEMPLATE("ascending_order: a stable sort with NaN last", T, float, double) {
    for (const std::size_t n : {0u, 1u, 2u, 3u, 17u, 1000u, 70001u}) {
        for (const std::size_t levels : {std::size_t{0}, std::size_t{5}}) {
            auto scores = ts::random_normal<T>(n, 0.0, 3.0, n + levels);
            for (std::size_t i = 0; i < n; ++i) {
                if (levels > 0) scores[i] = static_cast<T>(static_cast<int>(scores[i] * 2)) / 2;
                if (i % 97 == 13) scores[i] = std::numeric_limits<T>::quiet_NaN();
                if (i % 101 == 7) scores[i] = -scores[i] * T(0);
            }
            std::vector<std::uint32_t> want(n);
            std::iota(want.begin(), want.end(), 0u);
            std::stable_sort(want.begin(), want.end(), [&](std::uint32_t a, std::uint32_t b) {
                if (std::isnan(scores[a]) || std::isnan(scores[b]))
                    return !std::isnan(scores[a]) && std::isnan(scores[b]);
                return scores[a] < scores[b];
            });
            CHECK(ascending_order(input(scores)) == want);
        }
    }
}

TEST_CASE("visit_sorted: every score and label once, ascending, positives first among equals") {
    for (const std::size_t n : {1u, 2u, 15u, 16u, 17u, 33u, 500u, 5000u, 300000u}) {
        for (int shape = 0; shape < ts::score_shapes; ++shape) {
            const std::vector<float> scores = ts::shaped_scores(n, shape);
            std::vector<std::uint8_t> labels(n);
            const random_stream rng(n, 100);
            for (std::size_t i = 0; i < n; ++i) labels[i] = rng.uniform(i) < 0.3;
            struct row {
                float score;
                int label;
                bool operator==(const row&) const = default;
            };
            std::vector<row> want(n), got;
            for (std::size_t i = 0; i < n; ++i) want[i] = {scores[i], labels[i]};
            std::stable_sort(want.begin(), want.end(), [](const row& a, const row& b) {
                return a.score < b.score || (a.score == b.score && a.label > b.label);
            });
            auto buckets = detail::bucket_scores<isa::native>(input(scores), input(labels),
                                                              detail::range_of<isa::native>(input(scores)));
            detail::visit_sorted<isa::native>(
                buckets, [&](std::uint32_t base, const std::uint32_t* items, std::size_t count) {
                    for (std::size_t i = 0; i < count; ++i) {
                        got.push_back({from_ordered_bits<float>(base + (items[i] >> 1)), (items[i] & 1u) == 0 ? 1 : 0});
                    }
                });
            CAPTURE(n);
            CAPTURE(shape);
            CHECK(got == want);
        }
    }
}

TEST_CASE("count_distinct: every score and label once, ascending, or nothing when few repeat") {
    for (const std::size_t n : {1u, 7u, 8u, 255u, 512u, 513u, 40000u}) {
        for (const int levels : {1, 2, 50, 1000, 2047, 2048, 2049, 100000}) {
            CAPTURE(n);
            CAPTURE(levels);
            const random_stream rng(n, static_cast<std::uint64_t>(levels));
            std::vector<float> scores(n);
            std::vector<std::uint8_t> labels(n);
            std::map<float, std::array<std::uint32_t, 2>> want;
            for (std::size_t i = 0; i < n; ++i) {
                // Half of them negative; -0 and +0 are the same score.
                const auto level = static_cast<int>(rng.below(2 * i, static_cast<std::uint64_t>(levels)));
                scores[i] = static_cast<float>(level - levels / 2) * (i % 2 == 0 ? 0.375f : -0.375f);
                labels[i] = static_cast<std::uint8_t>(rng.below(2 * i + 1, 2));
                ++want[scores[i]][labels[i]];
            }
            const auto got = reckon::detail::count_distinct<isa::native>(input(scores), input(labels));
            if (want.size() > std::min<std::size_t>(2048, n / 8)) {
                CHECK(got.empty());
            } else if (n <= 512 || want.size() <= 1000) {  // else the first look may have seen too few repeat
                REQUIRE(got.size() == want.size());
                std::size_t at = 0;
                for (const auto& [score, rows] : want) {
                    CHECK(from_ordered_bits<float>(got[at].key) == score);
                    CHECK(got[at].rows[0] == rows[0]);
                    CHECK(got[at++].rows[1] == rows[1]);
                }
            }
        }
    }
}

TEST_CASE("scratch_array: small and huge, moved, empty") {
    const scratch_array<int> nothing, none(0);
    CHECK(nothing.size() == 0);
    CHECK(none.data() == nullptr);
    // Below and above the size from which on huge pages are asked for, and off a multiple of them.
    for (const std::size_t n : {1u, 1000u, (1u << 19) - 1, 1u << 19, (1u << 19) + 1, (3u << 19) + 7}) {
        scratch_array<int> column(n);
        REQUIRE(column.size() == n);
        for (std::size_t i = 0; i < n; ++i) column[i] = static_cast<int>(i);
        const int* const place = column.data();
        scratch_array<int> other(std::move(column));
        CHECK(other.data() == place);
        CHECK(column.size() == 0);
        CHECK(column.data() == nullptr);
        scratch_array<int> third(5);
        third = std::move(other);
        CHECK(third.size() == n);
        CHECK(third[n - 1] == static_cast<int>(n - 1));
        other = scratch_array<int>(3);
        CHECK(other.size() == 3);
    }
}

TEST_CASE("count_before: as std::lower_bound and std::upper_bound, at every length") {
    const random_stream rng(3);
    for (std::size_t n = 0; n <= 70; ++n) {
        std::vector<double> sorted(n);
        for (std::size_t i = 0; i < n; ++i) sorted[i] = static_cast<double>(rng.below(i + 100 * n, n / 2 + 1));
        std::sort(sorted.begin(), sorted.end());
        for (double x = -1.0; x <= static_cast<double>(n); x += 0.5) {
            const auto low = std::lower_bound(sorted.begin(), sorted.end(), x) - sorted.begin();
            const auto high = std::upper_bound(sorted.begin(), sorted.end(), x) - sorted.begin();
            CHECK(detail::count_before(sorted.data(), n, [x](double v) { return v < x; }) == std::size_t(low));
            CHECK(detail::count_before(sorted.data(), n, [x](double v) { return v <= x; }) == std::size_t(high));
        }
    }
}
