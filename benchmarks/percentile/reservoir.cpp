// Offering events of random users to a reservoir.
//
// State: 8 bytes a slot (bottom_k), 12 (decayed), 4 (algorithm_r), and 22 to 40 bytes a user.
// Per event: 12 bytes of feedback and event number and 8 of user read; one cache line of the index and one head (16 to
// 32 bytes) of the user's row. An event that is kept also reads the keys of the row (4 R bytes, bottom_k) and
// writes one slot. Names: form_regime/R/users. "fill" offers 128 events a user (17 to 1e6 users) to an empty reservoir, "steady" offers 2^20
// events to one that saw 8 R events of each user. Beside it what a program without the library has: one std::vector a
// user in a std::unordered_map, Algorithm R with a 64-bit linear generator.
#include "reckon/percentile/reservoir.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;
namespace sampling = reckon::sampling;

// Feedback is a function of (user, event), so that the gate can tell whether a slot holds what its user did.
float feedback_of(std::uint64_t user, std::uint64_t event) {
    return float((user + 31 * event) % 1009);
}

struct log {
    buffer<std::uint64_t> users;
    buffer<float> feedback;
    buffer<std::uint64_t> events;
    buffer<double> times;
};

log make_log(std::size_t n, std::size_t users, std::uint64_t seed) {
    reckon::bench::generator g(seed);
    log made{buffer<std::uint64_t>(n), buffer<float>(n), buffer<std::uint64_t>(n), buffer<double>(n)};
    for (std::size_t i = 0; i < n; ++i) {
        made.users[i] = (g.bits() % users) * 0x9e3779b97f4a7c15u;  // sparse
        made.events[i] = g.bits();
        made.feedback[i] = feedback_of(made.users[i], made.events[i]);
        made.times[i] = 20000.0 + 30.0 * double(i) / double(n);
    }
    return made;
}

template <class S>
void offer(reckon::reservoir<S>& into, const log& events) {
    if constexpr (S::is_timed) {
        into.offer(reckon::exec::serial, events.users, events.feedback, events.events, reckon::none{}, events.times);
    } else {
        into.offer(reckon::exec::serial, events.users, events.feedback, events.events);
    }
}

// The plain loop.
class plain_reservoir {
  public:
    explicit plain_reservoir(std::size_t capacity) : capacity_(capacity) {}
    void offer(const log& in) {
        for (std::size_t i = 0; i < in.users.size(); ++i) {
            row& r = rows_[in.users[i]];
            ++r.seen;
            if (r.values.size() < capacity_) {
                r.values.push_back(in.feedback[i]);
                continue;
            }
            state_ = state_ * 6364136223846793005u + 1442695040888963407u;
            const std::uint64_t slot = ((state_ >> 32) * r.seen) >> 32;
            if (slot < capacity_) r.values[slot] = in.feedback[i];
        }
    }

  private:
    struct row {
        std::uint64_t seen = 0;
        std::vector<float> values;
    };
    std::size_t capacity_;
    std::uint64_t state_ = 1;
    std::unordered_map<std::uint64_t, row> rows_;
};

// Share of the users whose row does not hold min(R, events) values.
template <class S>
double wrong_rows(const reckon::reservoir<S>& r) {
    double wrong = 0;
    for (std::uint32_t k = 0; k < r.rows(); ++k) {
        const auto row = r.row(k);
        const auto events = r.seen(r.user(k));
        bool ok = row.count == (events < r.options().capacity ? events : r.options().capacity);
        for (std::uint32_t s = 0; s < row.count; ++s) ok = ok && row.values[s] >= 0 && row.values[s] < 1009;
        wrong += ok ? 0 : 1;
    }
    return wrong / double(r.rows());
}

template <class State, class Offer, class Wrong>
void measure(benchmark::State& state, bool steady, const State& empty, Offer give, Wrong wrong) {
    const auto capacity = std::size_t(state.range(0)), users = std::size_t(state.range(1));
    const std::size_t n = steady ? std::size_t{1} << 20 : (std::min)(128 * users, std::size_t{1} << 24);
    log events = make_log(n, users, 1);
    auto kept = std::make_unique<State>(empty);
    if (steady) {
        for (std::size_t had = 0; had < 8 * capacity * users; had += std::size_t{1} << 22) {
            give(*kept, make_log(std::size_t{1} << 22, users, 100 + had));
        }
    }
    give(*kept, events);
    if (!reckon::bench::gate(state, wrong(*kept), 0)) return;
    std::uint64_t batch = 1;
    for (auto _ : state) {
        state.PauseTiming();
        if (steady) {
            events = make_log(n, users, ++batch);  // the same events again would be duplicates
        } else {
            kept = std::make_unique<State>(empty);
        }
        state.ResumeTiming();
        give(*kept, events);
        benchmark::ClobberMemory();
    }
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = 20 + 64 + 64, .bytes_written = 64},
                          users * (8 * capacity + 32));
}

template <class S>
void run(benchmark::State& state, bool steady) {
    const auto capacity = std::size_t(state.range(0));
    measure(
        state, steady, reckon::reservoir<S>({.capacity = capacity}),
        [](reckon::reservoir<S>& r, const log& events) { offer(r, events); }, wrong_rows<S>);
}

#define RESERVOIR_CASE(name, form)                       \
    void name##_fill(benchmark::State& state) {          \
        run<form>(state, false);                         \
    }                                                    \
    void name##_steady(benchmark::State& state) {        \
        run<form>(state, true);                          \
    }                                                    \
    BENCHMARK(name##_fill)->Apply(sizes)->Iterations(2); \
    BENCHMARK(name##_steady)->Apply(sizes)->Iterations(4)

void sizes(benchmark::internal::Benchmark* b) {
    for (const std::int64_t users : {10'000, 100'000, 1'000'000}) {
        for (const std::int64_t capacity : {32, 64, 128, 256}) {
            // 1e6 users with large rows are gigabytes.
            if (users * capacity <= 64'000'000) b->Args({capacity, users});
            if (reckon::bench::smoke()) return;
        }
    }
}

RESERVOIR_CASE(bottom_k, sampling::bottom_k);
RESERVOIR_CASE(decayed, sampling::decayed);
RESERVOIR_CASE(algorithm_r, sampling::algorithm_r);

void plain_loop_fill(benchmark::State& state) {
    measure(
        state, false, plain_reservoir(std::size_t(state.range(0))),
        [](plain_reservoir& r, const log& events) { r.offer(events); }, [](const plain_reservoir&) { return 0.0; });
}
void plain_loop_steady(benchmark::State& state) {
    measure(
        state, true, plain_reservoir(std::size_t(state.range(0))),
        [](plain_reservoir& r, const log& events) { r.offer(events); }, [](const plain_reservoir&) { return 0.0; });
}
BENCHMARK(plain_loop_fill)->Apply(sizes)->Iterations(2);
BENCHMARK(plain_loop_steady)->Apply(sizes)->Iterations(4);

}  // namespace
