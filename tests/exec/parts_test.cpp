// fold_parts and map_parts: coverage, order, the same bits for every policy and number of threads.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/exec/pool.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"

namespace ts = reckon::testing_support;
namespace exec = reckon::exec;
using reckon::vector_view;

namespace {

// Not associative in its last bits, so that another order shows.
struct rounding_sum {
    double sum = 0.0;
    void absorb(vector_view<const double> x) {
        for (const double v : x) sum += v;
    }
    void merge(const rounding_sum& other) { sum += other.sum; }
};

// Remembers which parts it saw, in order.
struct history {
    std::string text;
    void absorb(vector_view<const double> x) {
        text += std::to_string(x.size()) + "@" + std::to_string(x[0]).substr(0, 4);
    }
    void merge(const history& other) { text += "(" + other.text + ")"; }
};

// Bodies in reverse order: a legal parallel_for.
struct backwards {
    template <class Body>
    void parallel_for(std::size_t n, Body&& body) {
        for (std::size_t i = n; i-- > 0;) body(i);
    }
};

const auto equal = [](const rounding_sum& a, const rounding_sum& b) { return a.sum == b.sum; };

}  // namespace

TEST_CASE("parts: counts and sizes at the edges") {
    using exec::detail::part_count;
    using exec::detail::rows_of_part;
    CHECK(part_count(0, 4) == 0);
    CHECK(part_count(1, 4) == 1);
    CHECK(part_count(4, 4) == 1);
    CHECK(part_count(5, 4) == 2);
    CHECK(part_count(std::numeric_limits<std::size_t>::max(), 1) == std::numeric_limits<std::size_t>::max());
    CHECK(part_count(std::numeric_limits<std::size_t>::max(), 16) == std::numeric_limits<std::size_t>::max() / 16 + 1);
    CHECK(rows_of_part(5, 4, 0) == 4);
    CHECK(rows_of_part(5, 4, 1) == 1);
    CHECK(rows_of_part(8, 4, 1) == 4);
}

TEST_CASE("fold_parts: parts have a fixed size and merge in index order under every policy") {
    const std::vector<double> values{1, 2, 3, 4, 5, 6, 7};
    const char* const want = "(3@1.00)(3@4.00)(1@7.00)";
    CHECK(exec::fold_parts(exec::serial, history{}, reckon::input(values), 3).text == want);
    for (unsigned threads = 1; threads <= 4; ++threads) {
        exec::pool pool(threads);
        CHECK(exec::fold_parts(exec::host{pool}, history{}, reckon::input(values), 3).text == want);
    }
    backwards reversed;
    CHECK(exec::fold_parts(exec::host{reversed}, history{}, reckon::input(values), 3).text == want);
}

TEST_CASE("fold_parts: an empty batch gives the identity, parameters and all") {
    exec::pool pool(2);
    const rounding_sum identity{42.0};
    CHECK(exec::fold_parts(exec::serial, identity, vector_view<const double>()).sum == 42.0);
    CHECK(exec::fold_parts(exec::host{pool}, identity, vector_view<const double>()).sum == 42.0);
}

TEST_CASE("fold_parts: the same bits for 1 to 8 threads, over a sweep of lengths") {
    for (const std::size_t n : ts::sweep_lengths(8)) {
        const auto values = ts::random_normal<double>(n, 0.0, 1e3, 20 + n);
        const auto batch = reckon::input(values);
        for (unsigned threads = 1; threads <= 8; threads += n > 100 ? 1 : 3) {
            exec::pool pool(threads);
            CHECK_LAW(reckon::testing::check_fold_policy(rounding_sum{}, batch, exec::host{pool}, equal));
            CHECK(equal(exec::fold_parts(exec::host{pool}, rounding_sum{}, batch),
                        exec::fold_parts(exec::serial, rounding_sum{}, batch)));
        }
        backwards reversed;
        CHECK_LAW(reckon::testing::check_fold_policy(rounding_sum{}, batch, exec::host{reversed}, equal));
    }
}

TEST_CASE("fold_parts: an exception out of absorb comes out") {
    struct refuses {
        void absorb(vector_view<const double>) { throw std::domain_error("no"); }
        void merge(const refuses&) {}
    };
    const std::vector<double> values(10, 1.0);
    exec::pool pool(3);
    CHECK_THROWS_AS(exec::fold_parts(exec::serial, refuses{}, reckon::input(values), 2), std::domain_error);
    CHECK_THROWS_AS(exec::fold_parts(exec::host{pool}, refuses{}, reckon::input(values), 2), std::domain_error);
}

TEST_CASE("map_parts: every row once, whatever the part size") {
    exec::pool pool(3);
    backwards reversed;
    for (const std::size_t n : ts::sweep_lengths(8)) {
        for (const std::size_t part_size : {std::size_t{1}, std::size_t{5}, exec::default_part_size}) {
            if (n > 1000 && part_size == 1) continue;
            const auto covered = [&](const auto& where) {
                std::vector<int> runs(n, 0);
                exec::map_parts(
                    where, n,
                    [&](std::size_t first, std::size_t count) {
                        for (std::size_t i = first; i < first + count; ++i) ++runs[i];
                    },
                    part_size);
                return runs == std::vector<int>(n, 1);
            };
            CHECK(covered(exec::serial));
            CHECK(covered(exec::host{pool}));
            CHECK(covered(exec::host{reversed}));
        }
    }
}

TEST_CASE("map_parts: the same bits under every policy") {
    exec::pool pool(4);
    CHECK_LAW(reckon::testing::check_map_policy<double>(
        50000, exec::host{pool}, [](const auto& where, vector_view<double> out) {
            exec::map_parts(where, out.size(), [&](std::size_t first, std::size_t count) {
                for (std::size_t i = first; i < first + count; ++i) out[i] = std::sin(static_cast<double>(i));
            });
        }));
}

TEST_CASE("for_each_index: serial runs in order, host covers every index") {
    std::vector<std::size_t> order;
    exec::for_each_index(exec::serial, 4, [&](std::size_t i) { order.push_back(i); });
    CHECK(order == std::vector<std::size_t>{0, 1, 2, 3});
    exec::pool pool(2);
    std::vector<int> runs(100, 0);
    exec::for_each_index(exec::host{pool}, runs.size(), [&](std::size_t i) { ++runs[i]; });
    CHECK(runs == std::vector<int>(100, 1));
}

TEST_CASE("policies: what is one") {
    static_assert(exec::policy<exec::serial_policy>);
    static_assert(exec::policy<const exec::serial_policy&>);
    static_assert(exec::policy<exec::host<exec::pool>>);
    static_assert(exec::policy<exec::host<backwards>>);
    static_assert(exec::policy<exec::cuda>);
    static_assert(!exec::policy<exec::pool>);
    static_assert(!exec::policy<int>);
    CHECK(exec::cuda{}.stream == nullptr);
}
