// Area under the ROC curve per list: 1e4 lists of 100 with 30 % positives, ragged lists of 5 .. 1000, graded labels; and
// over all pairs of 1e6 rows.
//
// Bytes per item: 4 of score and 1 or 4 of label, read twice (check, then work); 8 written into buffers of one list.
// Operations per item of a list of 100 with 30 % positives: 2 moves, and 30 * 72 / 100 / lanes steps of two comparisons
// and two additions. With graded labels 104 / lanes steps of three comparisons. All pairs of N graded rows: log2(N / 8)
// merge steps of 8 bytes, and as many of 4. Beside them a sort per list, the plain way to the same number, and for graded
// labels the double loop or a Fenwick tree.
#include "reckon/metrics/user_auc.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;

struct lists {
    buffer<float> scores;
    buffer<std::uint8_t> clicks;
    buffer<float> seconds;
    buffer<std::uint32_t> offsets;
};

// longest 0: `shortest` rows each.
lists make_lists(std::size_t n, std::size_t shortest, std::size_t longest, int grid) {
    reckon::bench::generator g(7);
    lists data;
    data.scores = reckon::bench::make_probabilities(n);
    if (grid > 0) reckon::bench::round_to_grid(data.scores, grid);
    for (std::size_t i = 0; i < n; ++i) {
        data.clicks.push_back(g.uniform() < 0.3 ? 1 : 0);
        data.seconds.push_back(float(std::round(std::exp(3 + g.normal()))));
    }
    data.offsets.push_back(0);
    while (data.offsets.back() < n) {
        const std::size_t length =
            longest == 0 ? shortest : shortest + std::size_t(g.uniform() * double(longest - shortest + 1));
        data.offsets.push_back(std::uint32_t(std::min(n, data.offsets.back() + length)));
    }
    return data;
}

template <class Y>
double sorted_uauc(const buffer<float>& s, const buffer<Y>& y, const buffer<std::uint32_t>& offsets) {
    double sum = 0, used = 0;
    std::vector<std::pair<float, Y>> rows;
    for (std::size_t u = 0; u + 1 < offsets.size(); ++u) {
        rows.clear();
        for (std::size_t i = offsets[u]; i < offsets[u + 1]; ++i) rows.emplace_back(s[i], y[i]);
        std::sort(rows.begin(), rows.end());
        double won = 0, negatives = 0, positives = 0, below = 0;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            if (i == 0 || rows[i].first != rows[i - 1].first) below = negatives;
            rows[i].second != 0 ? ++positives : ++negatives;
            // Labels ascend inside a tie, so all its negatives are known at its first positive.
            if (rows[i].second != 0) won += 0.5 * (below + negatives);
        }
        if (positives * negatives > 0) sum += won / (positives * negatives), ++used;
    }
    return sum / used;
}
template <class Y>
double looped_uauc(const buffer<float>& s, const buffer<Y>& y, const buffer<std::uint32_t>& offsets) {
    double sum = 0, used = 0;
    for (std::size_t u = 0; u + 1 < offsets.size(); ++u) {
        int won = 0, pairs = 0;
        for (std::size_t i = offsets[u]; i < offsets[u + 1]; ++i) {
            for (std::size_t j = offsets[u]; j < offsets[u + 1]; ++j) {
                const int counts = y[i] > y[j];
                pairs += counts;
                won += counts * (int(s[i] > s[j]) + int(s[i] >= s[j]));
            }
        }
        if (pairs > 0) sum += won / (2.0 * pairs), ++used;
    }
    return sum / used;
}
// All pairs with a Fenwick tree over the ranks of the labels, in the order of the scores.
double fenwick_xauc(const buffer<float>& s, const buffer<float>& y) {
    const std::size_t n = s.size();
    std::vector<float> levels(y.begin(), y.end());
    std::sort(levels.begin(), levels.end());
    levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
    std::vector<std::pair<float, std::uint32_t>> rows(n);
    for (std::size_t i = 0; i < n; ++i) {
        rows[i] = {s[i], std::uint32_t(std::lower_bound(levels.begin(), levels.end(), y[i]) - levels.begin() + 1)};
    }
    std::sort(rows.begin(), rows.end());
    std::vector<std::uint32_t> tree(levels.size() + 1), all(levels.size() + 1), tied(levels.size() + 1);
    const auto below = [](const std::vector<std::uint32_t>& t, std::uint32_t level) {
        std::uint64_t sum = 0;
        for (std::uint32_t k = level - 1; k > 0; k &= k - 1) sum += t[k];
        return sum;
    };
    const auto add = [](std::vector<std::uint32_t>& t, std::uint32_t level, int by) {
        for (std::uint32_t k = level; k < t.size(); k += k & (0u - k)) t[k] += std::uint32_t(by);
    };
    std::uint64_t won_twice = 0, pairs = 0;
    for (const auto& row : rows) add(all, row.second, 1);
    for (std::size_t i = 0; i < n;) {
        std::size_t next = i;
        while (next < n && rows[next].first == rows[i].first) ++next;
        for (std::size_t k = i; k < next; ++k) add(tied, rows[k].second, 1);
        for (std::size_t k = i; k < next; ++k) {
            won_twice += 2 * below(tree, rows[k].second) + below(tied, rows[k].second);
            pairs += below(all, rows[k].second);
        }
        for (std::size_t k = i; k < next; ++k) {
            add(tied, rows[k].second, -1);
            add(tree, rows[k].second, 1);
        }
        i = next;
    }
    return double(won_twice) / (2.0 * double(pairs));
}

template <std::size_t Shortest, std::size_t Longest, int Grid, class Pick, class Run>
void measure(benchmark::State& state, Pick pick, Run run, std::size_t label_bytes) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, [](std::size_t k) { return make_lists(k, Shortest, Longest, Grid); });
    const auto& labels = pick(data);
    const double error = run(data.scores, labels, data.offsets) - looped_uauc(data.scores, labels, data.offsets);
    if (!reckon::bench::gate(state, std::fabs(error), 1e-12)) return;
    for (auto _ : state) benchmark::DoNotOptimize(run(data.scores, labels, data.offsets));
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = 2.0 * double(4 + label_bytes), .bytes_written = 8},
                          n * (4 + label_bytes));
}
const auto clicks = [](const lists& data) -> const buffer<std::uint8_t>& { return data.clicks; };
const auto seconds = [](const lists& data) -> const buffer<float>& { return data.seconds; };
const auto reckon_uauc = [](const auto& s, const auto& y, const auto& offsets) {
    return reckon::uauc(reckon::exec::serial, s, y, offsets).finish();
};
const auto by_sort = [](const auto& s, const auto& y, const auto& offsets) { return sorted_uauc(s, y, offsets); };
const auto by_loop = [](const auto& s, const auto& y, const auto& offsets) { return looped_uauc(s, y, offsets); };

void uauc_100(benchmark::State& state) {
    measure<100, 0, 0>(state, clicks, reckon_uauc, 1);
}
void uauc_100_ties(benchmark::State& state) {
    measure<100, 0, 20>(state, clicks, reckon_uauc, 1);
}
void plain_sort_100(benchmark::State& state) {
    measure<100, 0, 0>(state, clicks, by_sort, 1);
}
void uauc_ragged(benchmark::State& state) {
    measure<5, 1000, 0>(state, clicks, reckon_uauc, 1);
}
void plain_sort_ragged(benchmark::State& state) {
    measure<5, 1000, 0>(state, clicks, by_sort, 1);
}
void uauc_graded_100(benchmark::State& state) {
    measure<100, 0, 0>(state, seconds, reckon_uauc, 4);
}
void plain_loop_graded_100(benchmark::State& state) {
    measure<100, 0, 0>(state, seconds, by_loop, 4);
}
void uauc_graded_ragged(benchmark::State& state) {
    measure<5, 1000, 0>(state, seconds, reckon_uauc, 4);
}
BENCHMARK(uauc_100)->Arg(1'000'000);
BENCHMARK(uauc_100_ties)->Arg(1'000'000);
BENCHMARK(plain_sort_100)->Arg(1'000'000);
BENCHMARK(uauc_ragged)->Arg(1'000'000);
BENCHMARK(plain_sort_ragged)->Arg(1'000'000);
BENCHMARK(uauc_graded_100)->Arg(1'000'000);
BENCHMARK(plain_loop_graded_100)->Arg(1'000'000);
BENCHMARK(uauc_graded_ragged)->Arg(1'000'000);

void xauc_of(benchmark::State& state, bool plain, std::uint64_t sampled) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, [](std::size_t k) { return make_lists(k, k, 0, 0); });
    const auto run = [&] {
        if (plain) return fenwick_xauc(data.scores, data.seconds);
        return reckon::xauc(reckon::exec::serial, data.scores, data.seconds, {.sampled_pairs = sampled}).value;
    };
    const double error = std::fabs(run() - fenwick_xauc(data.scores, data.seconds));
    if (!reckon::bench::gate(state, error, sampled == 0 ? 1e-12 : 3.0 / std::sqrt(double(sampled)))) return;
    for (auto _ : state) benchmark::DoNotOptimize(run());
    reckon::bench::report(state, sampled == 0 ? n : sampled, {.flops = 0, .bytes_read = 8}, n * 32);
}
void xauc_graded(benchmark::State& state) {
    xauc_of(state, false, 0);
}
void plain_fenwick_graded(benchmark::State& state) {
    xauc_of(state, true, 0);
}
// Per drawn pair.
void xauc_sampled(benchmark::State& state) {
    xauc_of(state, false, 1'000'000);
}
BENCHMARK(xauc_graded)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(plain_fenwick_graded)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(xauc_sampled)->Arg(1'000'000);

}  // namespace
