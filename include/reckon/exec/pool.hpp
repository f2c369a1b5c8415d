// A small fork-join pool for exec::host.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"

namespace reckon::exec {

/// Fixed set of threads that run one parallel loop at a time.
///
/// The calling thread takes part, so pool(1) starts no thread at all. Indices are handed out one by one, in order. A
/// loop that is started from inside a body runs on the thread that started it. Not for use from two threads at once.
/// After a loop threads stay awake for 50 microseconds, giving way to others, and then sleep until the next one.
///
/// Throws    std::invalid_argument for zero threads.
class pool {
  public:
    /// All hardware threads.
    pool() : pool(std::thread::hardware_concurrency() > 0 ? std::thread::hardware_concurrency() : 1) {}
    explicit pool(unsigned threads) {
        expects(threads > 0, "exec::pool", "needs at least one thread, got ", threads);
#if RECKON_HAS_EXCEPTIONS
        try {
            for (unsigned t = 1; t < threads; ++t) workers_.emplace_back([this] { work(); });
        } catch (...) {
            stop();
            throw;
        }
#else
        for (unsigned t = 1; t < threads; ++t) workers_.emplace_back([this] { work(); });
#endif
    }
    pool(const pool&) = delete;
    pool& operator=(const pool&) = delete;
    ~pool() {
        stop();
    }

    /// Threads that take part in a loop, the caller included.
    unsigned size() const noexcept {
        return static_cast<unsigned>(workers_.size()) + 1;
    }

    /// Calls body(i) once for every i < n and returns when all calls have. The first exception out of a body is thrown
    /// here after the others have finished; indices not yet started are then left out.
    template <class Body>
    void parallel_for(std::size_t n, Body&& body) {
        run(n, &body, [](void* context, std::size_t i) { (*static_cast<std::remove_reference_t<Body>*>(context))(i); });
    }

  private:
    using call = void (*)(void*, std::size_t);

    // The loop without threads goes through the pointer too, so that a body is compiled once.
    void run(std::size_t n, const void* context, call function) {
        if (n == 0) return;
        if (workers_.empty() || n == 1 || busy_) {
            for (std::size_t i = 0; i < n; ++i) function(const_cast<void*>(context), i);
            return;
        }
        {
            const std::lock_guard lock(mutex_);
            count_ = n;
            context_ = const_cast<void*>(context);
            function_ = function;
            next_.store(0, std::memory_order_relaxed);
            running_.store(workers_.size(), std::memory_order_relaxed);
            error_ = nullptr;
            generation_.fetch_add(1, std::memory_order_release);
        }
        start_.notify_all();
        drain();
        const auto done = [this] { return running_.load(std::memory_order_acquire) == 0; };
        if (!comes_soon(done)) {
            std::unique_lock lock(mutex_);
            done_.wait(lock, done);
        }
#if RECKON_HAS_EXCEPTIONS
        if (error_) std::rethrow_exception(error_);
#endif
    }

    // Whether it becomes true within 50 microseconds. To sleep and be woken takes longer than the gap between two loops
    // of one kernel; a thread that has nothing to do gives way to others all the same.
    template <class Condition>
    static bool comes_soon(Condition&& condition) {
        using clock = std::chrono::steady_clock;
        const auto end = clock::now() + std::chrono::microseconds(50);
        do {
            if (condition()) return true;
            std::this_thread::yield();
        } while (clock::now() < end);
        return condition();
    }

    // Takes indices until none is left.
    void drain() noexcept {
        busy_ = true;
#if RECKON_HAS_EXCEPTIONS
        try {
#endif
            for (std::size_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) function_(context_, i);
#if RECKON_HAS_EXCEPTIONS
        } catch (...) {
            next_.store(count_, std::memory_order_relaxed);
            const std::lock_guard lock(mutex_);
            if (!error_) error_ = std::current_exception();
        }
#endif
        busy_ = false;
    }

    void work() {
        std::size_t seen = 0;
        const auto started = [&] { return generation_.load(std::memory_order_acquire) != seen; };
        for (;;) {
            static_cast<void>(comes_soon(started));
            {
                std::unique_lock lock(mutex_);
                start_.wait(lock, [&] { return stopping_ || started(); });
                if (stopping_) return;
                seen = generation_.load(std::memory_order_relaxed);
            }
            drain();
            {
                const std::lock_guard lock(mutex_);
                if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) done_.notify_one();
            }
        }
    }

    void stop() noexcept {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        start_.notify_all();
        for (std::thread& worker : workers_) worker.join();
    }

    // True on a thread that is inside a body, for loops inside loops.
    static inline thread_local bool busy_ = false;

    std::mutex mutex_;
    std::condition_variable start_;
    std::condition_variable done_;
    std::atomic<std::size_t> next_{0};
    std::size_t count_ = 0;
    void* context_ = nullptr;
    call function_ = nullptr;
    std::atomic<std::size_t> running_{0};
    std::atomic<std::size_t> generation_{0};
    bool stopping_ = false;
    std::exception_ptr error_;
    std::vector<std::thread> workers_;
};

}  // namespace reckon::exec
