// Splits: every row in one part, the right sizes, no look into the future.
#include "split.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

using namespace reckon_examples;

namespace {

std::vector<std::size_t> all_rows(const split_rows& split) {
    std::vector<std::size_t> out = split.train;
    out.insert(out.end(), split.calibrate.begin(), split.calibrate.end());
    out.insert(out.end(), split.test.begin(), split.test.end());
    std::sort(out.begin(), out.end());
    return out;
}

bool is_count_up(const std::vector<std::size_t>& rows, std::size_t n) {
    if (rows.size() != n) return false;
    for (std::size_t k = 0; k < n; ++k)
        if (rows[k] != k) return false;
    return true;
}

}  // namespace

TEST_CASE("random_split: a partition with the asked fractions") {
    constexpr std::size_t n = 20'000;
    const split_rows split = random_split(n, {0.6, 0.1, 0.3}, 5);
    CHECK(is_count_up(all_rows(split), n));
    const auto near = [](std::size_t size, double fraction) {  // 5 standard deviations of a binomial
        const double rows = static_cast<double>(n);
        return std::abs(static_cast<double>(size) - fraction * rows) < 5 * std::sqrt(rows * fraction * (1 - fraction));
    };
    CHECK(near(split.train.size(), 0.6));
    CHECK(near(split.calibrate.size(), 0.1));
    CHECK(near(split.test.size(), 0.3));
    CHECK(std::is_sorted(split.train.begin(), split.train.end()));
}

TEST_CASE("random_split: the seed decides, and rows keep their part when rows are appended") {
    CHECK(random_split(1000, {}, 1).train == random_split(1000, {}, 1).train);
    CHECK(random_split(1000, {}, 1).train != random_split(1000, {}, 2).train);
    const auto shorter = random_split(1000).train, longer = random_split(2000).train;
    CHECK(std::equal(shorter.begin(), shorter.end(), longer.begin()));
}

TEST_CASE("time_split: earlier rows train, ties stay together") {
    const std::vector<int> time = {5, 1, 3, 3, 2, 3, 9, 7};
    const split_rows split = time_split(time, {0.375, 0.375, 0.25});
    CHECK(split.train == std::vector<std::size_t>{1, 4, 2, 3, 5});  // the cut after three rows falls into the threes
    CHECK(split.calibrate == std::vector<std::size_t>{0});
    CHECK(split.test == std::vector<std::size_t>{7, 6});
    CHECK(take(time, split.test) == std::vector<int>{7, 9});
}

TEST_CASE("splits: empty input, whole fractions, bad fractions") {
    CHECK(all_rows(random_split(0)).empty());
    CHECK(all_rows(time_split(std::vector<int>{})).empty());
    CHECK(random_split(50, {1, 0, 0}).train.size() == 50);
    CHECK(random_split(50, {0, 0, 1}).test.size() == 50);
    CHECK(time_split(std::vector<int>(10, 4)).train.size() == 10);
    CHECK_THROWS_AS(random_split(5, {0.5, 0.5, 0.5}), std::invalid_argument);
    CHECK_THROWS_AS(random_split(5, {1.5, -0.5, 0}), std::invalid_argument);
    CHECK_THROWS_AS(time_split(std::vector<int>{1}, {std::nan(""), 0, 1}), std::invalid_argument);
}
