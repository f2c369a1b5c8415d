// The fork-join pool: every index once, exceptions, nesting, reuse.
#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "reckon/exec/pool.hpp"

using reckon::exec::pool;

TEST_CASE("pool: every index runs once, for 1 to 8 threads and any number of indices") {
    for (unsigned threads = 1; threads <= 8; ++threads) {
        pool workers(threads);
        CHECK(workers.size() == threads);
        for (const std::size_t n : {0u, 1u, 2u, 7u, 8u, 9u, 1000u}) {
            std::vector<std::atomic<int>> runs(n);
            workers.parallel_for(n, [&](std::size_t i) { runs[i].fetch_add(1); });
            bool once = true;
            for (const auto& r : runs) once = once && r.load() == 1;
            CHECK_MESSAGE(once, threads << " threads, " << n << " indices");
        }
    }
}

TEST_CASE("pool: needs a thread, and has one by default") {
    CHECK_THROWS_WITH_AS(pool(0), "exec::pool: needs at least one thread, got 0", std::invalid_argument);
    pool all;
    CHECK(all.size() >= 1);
}

TEST_CASE("pool: one thread means the caller's, in order") {
    pool one(1);
    const auto caller = std::this_thread::get_id();
    std::vector<std::size_t> order;
    one.parallel_for(5, [&](std::size_t i) {
        CHECK(std::this_thread::get_id() == caller);
        order.push_back(i);
    });
    CHECK(order == std::vector<std::size_t>{0, 1, 2, 3, 4});
}

TEST_CASE("pool: what bodies wrote is visible after the loop") {
    pool workers(4);
    std::vector<double> values(1000, 0.0);
    for (int round = 1; round <= 20; ++round) {
        workers.parallel_for(values.size(), [&](std::size_t i) { values[i] += static_cast<double>(i); });
        CHECK(values[999] == 999.0 * round);
    }
}

TEST_CASE("pool: many small loops one after another") {
    pool workers(4);
    std::atomic<std::size_t> total{0};
    for (std::size_t loop = 0; loop < 5000; ++loop) {
        workers.parallel_for(loop % 5, [&](std::size_t) { total.fetch_add(1); });
    }
    CHECK(total.load() == 1000 * (0 + 1 + 2 + 3 + 4));
}

TEST_CASE("pool: the first exception comes out, and the pool goes on working") {
    for (unsigned threads = 1; threads <= 4; ++threads) {
        pool workers(threads);
        for (int round = 0; round < 50; ++round) {
            std::atomic<int> started{0};
            CHECK_THROWS_WITH_AS(workers.parallel_for(100,
                                                      [&](std::size_t i) {
                                                          started.fetch_add(1);
                                                          if (i == 3) throw std::runtime_error("body 3");
                                                      }),
                                 "body 3", std::runtime_error);
            CHECK(started.load() >= 4);
            std::atomic<int> ran{0};
            workers.parallel_for(10, [&](std::size_t) { ran.fetch_add(1); });
            CHECK(ran.load() == 10);
        }
    }
}

TEST_CASE("pool: when every body throws, exactly one exception comes out") {
    pool workers(4);
    for (int round = 0; round < 100; ++round) {
        CHECK_THROWS_AS(workers.parallel_for(64, [](std::size_t i) { throw static_cast<int>(i); }), int);
    }
}

TEST_CASE("pool: a loop inside a body runs in the thread that started it") {
    pool workers(3);
    std::vector<int> sums(20, 0);
    workers.parallel_for(sums.size(), [&](std::size_t i) {
        const auto self = std::this_thread::get_id();
        workers.parallel_for(50, [&](std::size_t) {
            if (std::this_thread::get_id() == self) ++sums[i];
        });
    });
    CHECK(sums == std::vector<int>(20, 50));
    // A pool of its own inside a body is legal too.
    std::atomic<int> inner{0};
    workers.parallel_for(4, [&](std::size_t) {
        pool own(2);
        own.parallel_for(5, [&](std::size_t) { inner.fetch_add(1); });
    });
    CHECK(inner.load() == 20);
}

TEST_CASE("pool: an exception leaves nested loops in order") {
    for (unsigned threads = 1; threads <= 3; ++threads) {
        pool workers(threads);
        CHECK_THROWS_AS(workers.parallel_for(8,
                                             [&](std::size_t) {
                                                 workers.parallel_for(8, [](std::size_t i) {
                                                     if (i == 5) throw std::logic_error("inner");
                                                 });
                                             }),
                        std::logic_error);
        // Loops started by the caller are parallel again, not mistaken for nested ones.
        std::mutex guard;
        std::set<std::thread::id> seen;
        std::atomic<unsigned> arrived{0};
        workers.parallel_for(threads, [&](std::size_t) {
            {
                const std::lock_guard lock(guard);
                seen.insert(std::this_thread::get_id());
            }
            arrived.fetch_add(1);
            while (arrived.load() < threads) std::this_thread::yield();
        });
        CHECK(seen.size() == threads);
    }
}

TEST_CASE("pool: pools come and go") {
    std::atomic<int> ran{0};
    for (int round = 0; round < 50; ++round) {
        pool workers(4);
        if (round % 2 == 0) workers.parallel_for(4, [&](std::size_t) { ran.fetch_add(1); });
    }
    CHECK(ran.load() == 100);
}

TEST_CASE("pool: bodies may be temporary, const or keep state") {
    pool workers(2);
    std::atomic<int> ran{0};
    const auto constant = [&](std::size_t) { ran.fetch_add(1); };
    workers.parallel_for(3, constant);
    struct counting {
        std::atomic<int>& count;
        void operator()(std::size_t) { count.fetch_add(1); }
    };
    workers.parallel_for(3, counting{ran});
    counting kept{ran};
    workers.parallel_for(3, kept);
    CHECK(ran.load() == 9);
}
