// Contrast labels: 2^17 anchors against full histories of 64 or 256 slots, of 1e4 to 1e6 users.
//
// State: the histories, 4 bytes a slot (8 with predictions). Per anchor 8 bytes read and 4 written, and a row of the
// matrix: from memory for random users, once for 16 anchors where they come grouped. strict and mid: two comparisons and
// two integer additions a slot, which the limit does not know. Beside it the plain loop, which g++ turns into vector code.
// Feedback is 0 in four of five events, so that most comparisons of zeros tie.
#include "reckon/percentile/contrast_labels.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
using bench::buffer;

constexpr std::size_t anchors = std::size_t{1} << 17, group = 16;

struct columns {
    std::size_t users = 0, slots = 0;
    buffer<float> values, predictions, feedback, anchor_predictions;
    buffer<std::uint32_t> counts, random, grouped;

    reckon::matrix_histories histories() const {
        const auto matrix = [&](const buffer<float>& b) {
            return reckon::matrix_view<const float>(b.data(), users, slots);
        };
        return {matrix(values), counts, predictions.empty() ? reckon::matrix_view<const float>() : matrix(predictions)};
    }
};
float draw(bench::generator& g) {
    return g.uniform() < 0.8 ? 0.0f : float(std::exp(1.5 * g.normal()));
}
const columns& data(const benchmark::State& state) {
    static columns c;
    const auto users = std::size_t(state.range(0)), slots = std::size_t(state.range(1));
    if (c.users == users && c.slots == slots) return c;
    c = columns{};
    c.users = users;
    c.slots = slots;
    bench::generator g(1);
    c.values = buffer<float>(users * slots);
    // Rows repeat a block of values from a start of their own: a gigabyte of logarithms takes too long.
    buffer<float> block(1 << 16), predicted(1 << 16);
    for (std::size_t i = 0; i < block.size(); ++i) {
        block[i] = draw(g);
        predicted[i] = float(g.normal());
    }
    // Only the smallest case looks at predictions.
    if (users <= 10'000) c.predictions = buffer<float>(users * slots);
    for (std::size_t i = 0, at = 0; i < c.values.size(); ++i) {
        if (i % slots == 0) at = g.bits();
        c.values[i] = block[(at + i) % block.size()];
        if (!c.predictions.empty()) c.predictions[i] = predicted[(at + i) % block.size()];
    }
    c.counts = buffer<std::uint32_t>(users);
    for (auto& n : c.counts) n = std::uint32_t(slots);
    c.random = buffer<std::uint32_t>(anchors);
    c.grouped = buffer<std::uint32_t>(anchors);
    c.feedback = buffer<float>(anchors);
    c.anchor_predictions = buffer<float>(anchors);
    for (std::size_t i = 0; i < anchors; ++i) {
        c.random[i] = std::uint32_t(g.uniform() * double(users));
        c.grouped[i] = c.random[i / group * group];
        c.feedback[i] = draw(g);
        c.anchor_predictions[i] = float(g.normal());
    }
    return c;
}

// The plain loop, in T: two counts, or a sum where `label` says more.
template <class T, class Label>
void plain_labels(const columns& c, const buffer<std::uint32_t>& users, std::size_t n, buffer<float>& out,
                  Label label) {
    for (std::size_t i = 0; i < n; ++i) {
        const float* const row = c.values.data() + users[i] * c.slots;
        const float* const v = c.predictions.empty() ? row : c.predictions.data() + users[i] * c.slots;
        T sum = 0;
        for (std::size_t j = 0; j < c.slots; ++j) sum += label(c.feedback[i], row[j], c.anchor_predictions[i], v[j]);
        out[i] = float(sum) / float(c.slots);
    }
}
double mid(float y, float x, float, float) {
    return (x < y) + 0.5 * (x == y);
}
double boot(float y, float x, float v, float w) {
    return x == y ? 1 / (1 + std::exp((double(w) - double(v)) / 0.5)) : double(x < y);
}

template <class Run, class Label>
void measure(benchmark::State& state, bool grouped, double bytes_a_slot, double allowed, Run run, Label label) {
    const columns& c = data(state);
    const auto& users = grouped ? c.grouped : c.random;
    buffer<float> out(anchors), want(anchors);
    constexpr std::size_t checked = 2000;
    plain_labels<double>(c, users, checked, want, label);
    run(c, users, out);
    double error = 0;
    for (std::size_t i = 0; i < checked; ++i) error = std::fmax(error, std::fabs(double(out[i]) - double(want[i])));
    if (!bench::gate(state, error, allowed)) return;
    for (auto _ : state) {
        run(c, users, out);
        benchmark::ClobberMemory();
    }
    const double row = bytes_a_slot * double(c.slots) / double(grouped ? group : 1);
    bench::report(state, anchors, {.flops = 0, .bytes_read = 8 + row, .bytes_written = 4},
                  std::size_t(bytes_a_slot) * c.values.size());
}

template <reckon::tie_mode Ties, reckon::value_weight Weight>
void run_reckon(const columns& c, const buffer<std::uint32_t>& users, buffer<float>& out) {
    reckon::contrast_labels(reckon::exec::serial, c.histories(), users, c.feedback, {.cbar = reckon::view(out)},
                            {.ties = Ties, .weight = Weight}, reckon::none{}, c.anchor_predictions);
}
template <bool Grouped>
void contrast_mid(benchmark::State& state) {
    measure(state, Grouped, 4, 1e-7, run_reckon<reckon::tie_mode::mid, reckon::value_weight::none>, mid);
}
template <bool Grouped>
void contrast_boot(benchmark::State& state) {
    measure(state, Grouped, 8, 2e-6, run_reckon<reckon::tie_mode::boot, reckon::value_weight::none>, boot);
}
template <reckon::tie_mode Ties>
void contrast_other(benchmark::State& state) {
    measure(state, false, 8, 1, run_reckon<Ties, reckon::value_weight::none>, mid);
}
template <reckon::value_weight Weight>
void contrast_weighted(benchmark::State& state) {
    measure(state, false, 4, 1e-7, run_reckon<reckon::tie_mode::mid, Weight>, mid);
}
template <bool Grouped>
void plain_mid(benchmark::State& state) {
    measure(
        state, Grouped, 4, 1e-6,
        [](const columns& c, const buffer<std::uint32_t>& users, buffer<float>& out) {
            for (std::size_t i = 0; i < anchors; ++i) {
                const float* const row = c.values.data() + users[i] * c.slots;
                const float y = c.feedback[i];
                int won = 0, tied = 0;
                for (std::size_t j = 0; j < c.slots; ++j) {
                    won += row[j] < y;
                    tied += row[j] == y;
                }
                out[i] = (float(won) + 0.5f * float(tied)) / float(c.slots);
            }
        },
        mid);
}
void plain_boot(benchmark::State& state) {
    measure(
        state, false, 8, 1e-6,
        [](const columns& c, const buffer<std::uint32_t>& users, buffer<float>& out) {
            plain_labels<float>(c, users, anchors, out, [](float y, float x, float v, float w) {
                return x == y ? 1 / (1 + std::exp((w - v) / 0.5f)) : float(x < y);
            });
        },
        boot);
}

void users_and_slots(benchmark::internal::Benchmark* b) {
    for (const std::int64_t slots : {64, 256}) {
        for (const std::int64_t users : {10'000, 100'000, 1'000'000}) {
            b->Args({users, slots});
            if (bench::smoke()) return;
        }
    }
}
void in_cache(benchmark::internal::Benchmark* b) {
    b->Args({10'000, 64});
}

BENCHMARK(contrast_mid<false>)->Apply(users_and_slots);
BENCHMARK(plain_mid<false>)->Apply(users_and_slots);
BENCHMARK(contrast_mid<true>)->Apply(users_and_slots);
BENCHMARK(plain_mid<true>)->Apply(users_and_slots);
BENCHMARK(contrast_boot<false>)->Apply(in_cache);
BENCHMARK(contrast_boot<true>)->Apply(in_cache);
BENCHMARK(plain_boot)->Apply(in_cache);
BENCHMARK(contrast_other<reckon::tie_mode::strict>)->Apply(in_cache);
BENCHMARK(contrast_other<reckon::tie_mode::lex>)->Apply(in_cache);
BENCHMARK(contrast_other<reckon::tie_mode::smooth>)->Apply(in_cache);
BENCHMARK(contrast_weighted<reckon::value_weight::gap>)->Apply(in_cache);
BENCHMARK(contrast_weighted<reckon::value_weight::loggap>)->Apply(in_cache);

}  // namespace
