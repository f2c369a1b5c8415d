// Measures what one core of this machine can do: clock, FP32 peak and bandwidth of each memory level.
//
// The figures are what the limits in report.hpp are taken from. They hold for the instruction set that the including
// file is compiled for, and for one thread.
#pragma once

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

#include "memory.hpp"

namespace reckon::bench {

/// CPU seconds used by the calling thread. Unlike wall time it does not count the time that other work had the core.
inline double thread_seconds() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

/// One level of the memory hierarchy; bandwidths in bytes per second, copy counts the bytes read and the bytes written.
struct memory_level {
    const char* name = "";
    std::size_t capacity = 0;
    double read = 0;
    double copy = 0;
};

/// What a program does per item; bytes are those that must cross from the level that holds the data.
struct item_cost {
    double flops = 0;
    double bytes_read = 0;
    double bytes_written = 0;
};

/// The measured machine. An aggregate, so that the arithmetic on it can be tested with given figures.
struct machine {
    double hertz = 0;
    double flops = 0;  ///< FP32 operations per second, a fused multiply-add counts as two
    std::array<memory_level, 4> levels{};

    /// The smallest level that holds a working set of so many bytes.
    const memory_level& level(std::size_t working_set) const {
        const auto* found = std::find_if(levels.begin(), levels.end() - 1,
                                         [&](const memory_level& l) { return working_set <= l.capacity; });
        return *found;
    }

    /// Least time per item in seconds: the slower of arithmetic and memory, each at its measured peak.
    double limit(const item_cost& cost, std::size_t working_set) const {
        const memory_level& from = level(working_set);
        const double bytes = cost.bytes_read + cost.bytes_written;
        return (std::max)(cost.flops / flops, bytes / (cost.bytes_written > 0 ? from.copy : from.read));
    }

    /// One line for people, such as "3.10 GHz, FP32 99.2 GFLOP/s, read/copy GB/s: L1 155/160, L2 ...".
    std::string line() const {
        std::array<char, 96> text{};
        std::snprintf(text.data(), text.size(), "%.2f GHz, FP32 %.1f GFLOP/s, read/copy GB/s:", hertz * 1e-9,
                      flops * 1e-9);
        std::string all = text.data();
        for (const memory_level& l : levels) {
            std::snprintf(text.data(), text.size(), " %s %.0f/%.0f", l.name, l.read * 1e-9, l.copy * 1e-9);
            all += text.data();
        }
        return all;
    }
};

namespace detail {

/// Makes the compiler believe that all memory may have been read and written.
inline void clobber() {
    asm volatile("" ::: "memory");
}

#if defined(__AVX512F__)
inline constexpr std::size_t vector_bytes = 64;
#elif defined(__AVX__)
inline constexpr std::size_t vector_bytes = 32;
#else
inline constexpr std::size_t vector_bytes = 16;
#endif
using vector_register [[gnu::vector_size(vector_bytes), gnu::may_alias]] = float;
inline constexpr std::size_t lanes = vector_bytes / sizeof(float);

/// Shortest CPU time of one call in seconds, from `tries` batches of `calls` calls.
template <class Body>
double shortest(int tries, int calls, Body&& body) {
    double best = 1e30;
    for (int i = 0; i < tries; ++i) {
        const double start = thread_seconds();
        for (int j = 0; j < calls; ++j) body();
        best = (std::min)(best, thread_seconds() - start);
    }
    return best / calls;
}

/// Ten chains of multiply-add, enough to cover latency 4 or 5 on two units. Every chain starts from its own values, or
/// the compiler would merge them. The pragma allows the contraction of a * b + c, which strict ISO modes switch off.
#if defined(__clang__)
[[gnu::noinline]]
#else
[[gnu::noinline, gnu::optimize("fp-contract=fast")]]
#endif
inline void
multiply_add_chains(std::size_t steps, vector_register* v) {
#if defined(__clang__)
#pragma clang fp contract(fast)
#endif
    const vector_register a = v[10], b = v[11];
    vector_register r0 = v[0], r1 = v[1], r2 = v[2], r3 = v[3], r4 = v[4];
    vector_register r5 = v[5], r6 = v[6], r7 = v[7], r8 = v[8], r9 = v[9];
    for (std::size_t i = 0; i < steps; ++i) {
        r0 = r0 * a + b;
        r1 = r1 * a + b;
        r2 = r2 * a + b;
        r3 = r3 * a + b;
        r4 = r4 * a + b;
        r5 = r5 * a + b;
        r6 = r6 * a + b;
        r7 = r7 * a + b;
        r8 = r8 * a + b;
        r9 = r9 * a + b;
    }
    v[0] = ((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7)) + (r8 + r9);
}

[[gnu::noinline]] inline float read_all(const float* data, std::size_t count) {
    const auto* p = reinterpret_cast<const vector_register*>(data);
    const auto* end = p + count / lanes;
    vector_register s0{}, s1{}, s2{}, s3{}, s4{}, s5{}, s6{}, s7{};
    for (; p != end; p += 8) {
        s0 += p[0];
        s1 += p[1];
        s2 += p[2];
        s3 += p[3];
        s4 += p[4];
        s5 += p[5];
        s6 += p[6];
        s7 += p[7];
    }
    const vector_register sum = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7));
    return sum[0];
}

[[gnu::noinline]] inline void copy_all(const float* from, float* to, std::size_t count) {
    const auto* p = reinterpret_cast<const vector_register*>(from);
    auto* q = reinterpret_cast<vector_register*>(to);
    const auto* end = p + count / lanes;
    for (; p != end; p += 4, q += 4) {
        q[0] = p[0];
        q[1] = p[1];
        q[2] = p[2];
        q[3] = p[3];
        clobber();  // or the loop becomes a call of memcpy, whose non-temporal stores no ordinary kernel has
    }
}

inline double measure_flops() {
    constexpr std::size_t steps = 20000;
    vector_register values[12] = {};
    for (std::size_t i = 0; i < 12; ++i) values[i] += 0.5F + 0.01F * float(i);
    const double seconds = shortest(15, 5, [&] {
        multiply_add_chains(steps, values);
        clobber();
    });
    return double(steps) * 10 * 2 * double(lanes) / seconds;
}

inline std::size_t cache_bytes([[maybe_unused]] int name, std::size_t fallback) {
    const long bytes = sysconf(name);
    return bytes > 0 ? std::size_t(bytes) : fallback;
}

/// `footprint` bytes are touched in all: one array when reading, two halves when copying.
inline void measure_level(memory_level& level, std::size_t footprint) {
    const std::size_t floats = footprint / (8 * vector_bytes * 2) * (8 * vector_bytes * 2) / sizeof(float);
    buffer<float> data(floats, 1.0F);
    const int calls = int((std::max)(std::size_t{1}, (std::size_t{64} << 20) / footprint));
    volatile float sink = 0;
    const double read = shortest(15, calls, [&] {
        sink = read_all(data.data(), floats);
        clobber();
    });
    const double copy = shortest(15, calls, [&] {
        copy_all(data.data(), data.data() + floats / 2, floats / 2);
        clobber();
    });
    level.read = double(floats * sizeof(float)) / read;
    level.copy = double(floats * sizeof(float)) / copy;
}

}  // namespace detail

/// Clock in hertz, seen by a chain of dependent additions of one cycle each; takes about 0.1 ms.
inline double measure_clock() {
    constexpr std::uint32_t steps = 100000;
    const double seconds = detail::shortest(3, 1, [] {
        std::uint64_t x = 0;
#pragma GCC unroll 10
        for (std::uint32_t i = 0; i < steps; ++i) {
            x += 3;
            asm volatile("" : "+r"(x));
        }
    });
    return steps / seconds;
}

/// The machine this program runs on, measured at the first call (under a second) and kept.
inline const machine& this_machine() {
    static const machine measured = [] {
        machine m;
        m.hertz = measure_clock();
        m.flops = detail::measure_flops();
        const std::size_t l1 = detail::cache_bytes(_SC_LEVEL1_DCACHE_SIZE, std::size_t{32} << 10);
        const std::size_t l2 = (std::max)(2 * l1, detail::cache_bytes(_SC_LEVEL2_CACHE_SIZE, std::size_t{512} << 10));
        const std::size_t l3 = (std::max)(2 * l2, detail::cache_bytes(_SC_LEVEL3_CACHE_SIZE, std::size_t{16} << 20));
        m.levels = {memory_level{"L1", l1}, memory_level{"L2", l2}, memory_level{"L3", l3}, memory_level{"DRAM"}};
        detail::measure_level(m.levels[0], l1 / 2);
        detail::measure_level(m.levels[1], l2 / 2);
        detail::measure_level(m.levels[2], (std::min)(l3 / 2, 4 * l2));  // the last level is shared: stay small in it
        detail::measure_level(m.levels[3], (std::min)(std::size_t{1} << 28, 4 * l3));
        return m;
    }();
    return measured;
}

}  // namespace reckon::bench
