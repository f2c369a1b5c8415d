// Kendall's tau-b and Spearman's rho, of columns and of lists.
#include "reckon/metrics/rank_correlation.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "../support/fixture.hpp"
#include "../support/random_data.hpp"
#include "../support/tolerance.hpp"
#include "reckon/exec/pool.hpp"

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

namespace {

constexpr double not_known = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();

int sign(double a, double b) {
    return (a > b) - (a < b);
}
struct looped {
    std::int64_t agreement = 0;
    std::uint64_t first = 0, second = 0;
    double rho = not_known;
};
// Pairs one by one; ranks by counting.
template <class A, class B>
looped by_loops(const std::vector<A>& a, const std::vector<B>& b) {
    looped out;
    const std::size_t n = a.size();
    double product = 0, a_square = 0, b_square = 0;
    for (std::size_t i = 0; i < n; ++i) {
        double a_rank = 0, b_rank = 0;
        for (std::size_t j = 0; j < n; ++j) {
            const int x = sign(static_cast<double>(a[i]), static_cast<double>(a[j]));
            const int y = sign(static_cast<double>(b[i]), static_cast<double>(b[j]));
            a_rank += 0.5 * x;
            b_rank += 0.5 * y;
            if (j >= i) continue;
            out.agreement += x * y;
            out.first += x != 0 ? 1 : 0;
            out.second += y != 0 ? 1 : 0;
        }
        product += a_rank * b_rank;
        a_square += a_rank * a_rank;
        b_square += b_rank * b_rank;
    }
    if (a_square > 0 && b_square > 0) out.rho = product / std::sqrt(a_square * b_square);
    return out;
}

}  // namespace

TEST_CASE("kendall_tau_b: worked example") {
    // 5 pairs alike and 1 the other way; then with one tie in the first column.
    const kendall_result four = kendall_tau_b(std::vector<int>{1, 2, 3, 4}, std::vector<float>{1, 2, 4, 3});
    CHECK(four.correlation == doctest::Approx(2.0 / 3.0).epsilon(1e-15));
    CHECK(four.agreement == 4);
    const kendall_result tie = kendall_tau_b(std::vector<int>{1, 2, 2, 4}, std::vector<float>{1, 2, 4, 3});
    CHECK(tie.agreement == 3);
    CHECK(tie.first_pairs == 5);
    CHECK(tie.second_pairs == 6);
    CHECK_NEAR(tie.correlation, 3.0 / std::sqrt(30.0), ulp(2));
    const std::vector<double> a{1, 5, 5, 7, inf}, same{-3, 0, 0, 2, 9}, opposite{9, 2, 2, 0, -inf};
    CHECK(kendall_tau_b(a, same).correlation == 1.0);
    CHECK(kendall_tau_b(a, opposite).correlation == -1.0);
}

TEST_CASE("kendall_tau_b, spearman: against loops, whatever the length, ties and types") {
    for (const std::size_t n : {0u, 1u, 2u, 7u, 8u, 9u, 17u, 100u, 255u, 256u, 257u, 511u, 513u, 1300u}) {
        for (int shape = 0; shape < score_shapes; ++shape) {
            const std::vector<float> a = shaped_scores(n, shape);
            const auto noise = random_normal<float>(n, 0.0, 0.3, n + 1);
            std::vector<float> b(n);
            std::vector<double> c(n);
            std::vector<int> grade(n);
            for (std::size_t i = 0; i < n; ++i) {
                b[i] = a[i] + noise[i];
                c[i] = static_cast<double>(noise[i]) * (1 + 1e-12);
                grade[i] = static_cast<int>(std::lround(4 * b[i]));
            }
            CAPTURE(n);
            CAPTURE(shape);
            const auto check = [&](const auto& x, const auto& y) {
                const looped want = by_loops(x, y);
                const kendall_result got = kendall_tau_b(x, y);
                CHECK(got.agreement == want.agreement);
                CHECK(got.first_pairs == want.first);
                CHECK(got.second_pairs == want.second);
                CHECK(got.seen == counts{n, 0});
                const double pairs = static_cast<double>(want.first) * static_cast<double>(want.second);
                CHECK_NEAR(got.correlation,
                           pairs > 0 ? static_cast<double>(want.agreement) / std::sqrt(pairs) : not_known,
                           probability());
                CHECK_NEAR(spearman(x, y).correlation, want.rho, probability());
                // Without lanes.
                CHECK(
                    kendall_tau_b<std::decay_t<decltype(x)>, std::decay_t<decltype(y)>, isa::scalar>(x, y).agreement ==
                    want.agreement);
            };
            check(a, b);
            check(a, grade);
            check(c, grade);
        }
    }
}

TEST_CASE("kendall_tau_b, spearman: SciPy") {
    const fixture data{"user_auc.txt"}, other{"uncertainty.txt"};
    const auto scores = data.as<float>("lists.scores");
    const auto labels = data.as<float>("lists.graded");
    const auto offsets = data.as<std::uint32_t>("lists.offsets");
    std::vector<double> per_list(offsets.size() - 1);
    const list_mean tau = kendall_tau_b(serial, scores, labels, offsets, {}, per_list);
    CHECK_ALL_NEAR(per_list, data["lists.kendall"], probability());
    CHECK_NEAR(tau.finish(), data.value("lists.kendall.uauc"), probability());
    const list_mean rho = spearman(serial, scores, labels, offsets, {}, per_list);
    CHECK_ALL_NEAR(per_list, data["lists.spearman"], probability());
    CHECK_NEAR(rho.finish(), data.value("lists.spearman.uauc"), probability());
    CHECK_NEAR(kendall_tau_b(scores, labels).correlation, data.value("all.kendall"), probability());
    CHECK_NEAR(spearman(scores, labels).correlation, data.value("all.spearman"), probability());
    for (const std::string name : {"smooth", "ties"}) {
        const std::string at = "spearman." + name;
        CHECK_NEAR(spearman(other[at + ".x"], other[at + ".y"]).correlation, other.value(at + ".rho"), probability());
    }
}

TEST_CASE("spearman: worked example, bad rows") {
    const std::vector<double> a{1.0, 2.0, 3.0, 4.0, not_known, 6.0}, up{1.0, 10.0, 100.0, inf, 0.0, not_known},
        down{4.0, 3.0, 2.0, 1.0, 0.0, not_known};
    CHECK(spearman(a, up).correlation == 1.0);
    CHECK(spearman(a, up).seen == counts{4, 2});
    CHECK(spearman(a, down).correlation == -1.0);
    CHECK(kendall_tau_b(a, up).correlation == 1.0);
    CHECK(kendall_tau_b(a, up).seen == counts{4, 2});
    CHECK(std::isnan(spearman(a, std::vector<int>(6, 3)).correlation));
    CHECK(std::isnan(spearman(std::vector<float>{}, std::vector<float>{}).correlation));
    CHECK(std::isnan(kendall_tau_b(std::vector<int>(6, 3), a).correlation));
    CHECK(std::isnan(kendall_tau_b(std::vector<float>{}, std::vector<float>{}).correlation));
    CHECK_THROWS_WITH_AS(spearman(a, std::vector<int>(5)), "spearman: 6 values and 5 values", std::invalid_argument);
    CHECK_THROWS_AS(kendall_tau_b(a, std::vector<int>(5)), std::invalid_argument);
}

TEST_CASE("kendall_tau_b, spearman: lists, threads and bad input") {
    const std::size_t n = 9000;
    const std::vector<float> scores = shaped_scores(n, 2);
    const auto labels = random_integers<std::int32_t>(n, 4, 2);
    std::vector<std::uint32_t> offsets{0, 0, 1, 3};
    while (offsets.back() < n) {
        offsets.push_back(static_cast<std::uint32_t>((std::min)(n, offsets.back() + offsets.size() % 90)));
    }
    std::vector<double> tau(offsets.size() - 1), rho(tau.size()), again(tau.size());
    const list_mean mean = kendall_tau_b(serial, scores, labels, offsets, {}, tau);
    const list_mean ranks = spearman(serial, scores, labels, offsets, {}, rho);
    for (std::size_t u = 0; u < tau.size(); ++u) {
        const auto s = input(scores).slice(offsets[u], offsets[u + 1] - offsets[u]);
        const auto y = input(labels).slice(offsets[u], offsets[u + 1] - offsets[u]);
        if (s.empty()) continue;
        CHECK_NEAR(tau[u], kendall_tau_b(s, y).correlation, exact());
        CHECK_NEAR(rho[u], spearman(s, y).correlation, exact());
    }
    exec::pool pool(3);
    CHECK(kendall_tau_b(exec::host{pool}, scores, labels, offsets, {}, again).finish() == mean.finish());
    CHECK_ALL_NEAR(again, tau, exact());
    CHECK(spearman(exec::host{pool}, scores, labels, offsets).finish() == ranks.finish());
    CHECK(mean.weight() == static_cast<double>(mean.lists.accepted));
    CHECK(mean.lists.rejected >= 2);
    CHECK(mean.lists == ranks.lists);
    CHECK(kendall_tau_b(serial, scores, labels, offsets, {.min_rows = 5}).lists.accepted < mean.lists.accepted);
    CHECK_THROWS_WITH_AS(spearman(serial, scores, labels, std::vector<std::uint32_t>{1, 9000}),
                         "spearman: offsets must begin with 0, got 1", std::invalid_argument);
}
