// Allocation: counted, limited and made to fail. Works in programs that replace operator new by defining
// RECKON_TESTING_REPLACE_NEW before including this header in exactly one source file.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "reckon/core/config.hpp"
#include "reckon/testing/report.hpp"

namespace reckon::testing {

namespace detail {

// All threads share it: kernels allocate on the pool's threads too.
struct allocation_state {
    std::atomic<std::size_t> calls{0};
    std::atomic<std::size_t> live_blocks{0};
    std::atomic<std::size_t> live_bytes{0};
    std::atomic<std::size_t> peak_bytes{0};
    // Calls that still succeed before one fails; negative while none is to fail.
    std::atomic<std::int64_t> until_failure{-1};
    // Requests above this size fail, as on a machine without that much memory.
    std::atomic<std::size_t> largest{static_cast<std::size_t>(-1)};

    bool may_allocate(std::size_t size) noexcept {
        calls.fetch_add(1, std::memory_order_relaxed);
        if (size > largest.load(std::memory_order_relaxed)) return false;
        std::int64_t left = until_failure.load(std::memory_order_relaxed);
        while (left >= 0 && !until_failure.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) {
        }
        return left != 0;
    }
    void add(std::size_t size) noexcept {
        live_blocks.fetch_add(1, std::memory_order_relaxed);
        const std::size_t now = live_bytes.fetch_add(size, std::memory_order_relaxed) + size;
        std::size_t peak = peak_bytes.load(std::memory_order_relaxed);
        while (peak < now && !peak_bytes.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
        }
    }
    void remove(std::size_t size) noexcept {
        live_blocks.fetch_sub(1, std::memory_order_relaxed);
        live_bytes.fetch_sub(size, std::memory_order_relaxed);
    }
};
inline allocation_state allocations;

inline constexpr const char* needs_replaced_new =
    "define RECKON_TESTING_REPLACE_NEW before including reckon/testing/laws.hpp in one source file of this program";

}  // namespace detail

/// Whether this program counts its allocations.
inline bool allocations_are_counted() {
    const std::size_t before = detail::allocations.calls.load();
    // Kept from the optimizer, which may drop a pair of calls.
    void* volatile block = ::operator new(1);
    ::operator delete(block);
    return detail::allocations.calls.load() != before;
}

/// What a piece of work allocated, on all threads of the program.
struct allocation_count {
    /// Calls of operator new.
    std::size_t calls = 0;
    /// Most bytes that were held at one time, beyond those held before.
    std::size_t peak_bytes = 0;
    /// Blocks that were not given back.
    std::size_t kept_blocks = 0;
};

/// Runs `work` and counts its allocations; all zero in a program that does not count.
template <class Work>
allocation_count count_allocations(Work&& work) {
    detail::allocation_state& state = detail::allocations;
    const std::size_t calls = state.calls.load();
    const std::size_t blocks = state.live_blocks.load();
    const std::size_t bytes = state.live_bytes.load();
    state.peak_bytes.store(bytes);
    work();
    const std::size_t kept = state.live_blocks.load();
    return {state.calls.load() - calls, state.peak_bytes.load() - bytes, kept > blocks ? kept - blocks : 0};
}

namespace detail {

inline report check_no_allocation(call_ref<void()> work) {
    recorder record("check_no_allocation");
    if (!record.expect(allocations_are_counted(), needs_replaced_new)) return record.finish();
    const allocation_count count = count_allocations(work);
    record.expect(count.calls == 0, count.calls, " allocations, ", count.peak_bytes, " bytes at most");
    return record.finish();
}

}  // namespace detail

/// Checks that `work` allocates nothing, as the serving paths promise.
template <class Work>
report check_no_allocation(Work&& work) {
    const auto run = [&] { work(); };
    return detail::check_no_allocation(detail::call_ref<void()>(run));
}

#if RECKON_HAS_EXCEPTIONS
/// Checks that work survives any failing allocation: the k-th one throws, for k = 1, 2, ... until the work succeeds.
/// std::bad_alloc must come out, the object must stay usable, and nothing may leak.
///
/// make      make() returns the object that the work is done on.
/// work      work(object), any return value is dropped.
/// usable    usable(object) says, after a failure, whether the object still keeps its promises.
template <class Make, class Work, class Usable>
report check_allocation(Make&& make, Work&& work, Usable&& usable, std::size_t max_failures = 10000) {
    detail::recorder record("check_allocation");
    if (!record.expect(allocations_are_counted(), detail::needs_replaced_new)) return record.finish();
    detail::allocation_state& state = detail::allocations;
    bool finished = false;
    for (std::size_t k = 0; !finished && record.ok() && k < max_failures; ++k) {
        enum class outcome { done, bad_alloc, other } how = outcome::done;
        bool still_usable = false;
        const allocation_count count = count_allocations([&] {
            auto object = make();
            state.until_failure.store(static_cast<std::int64_t>(k));
            try {
                work(object);
            } catch (const std::bad_alloc&) {
                how = outcome::bad_alloc;
            } catch (...) {
                how = outcome::other;
            }
            // Still armed when the work needed no more than k allocations.
            finished = state.until_failure.exchange(-1) >= 0;
            still_usable = usable(object);
        });
        if (finished) {
            record.expect(how == outcome::done, "throws although no allocation failed");
        } else {
            record.expect(how != outcome::done, "swallows the failure of allocation ", k + 1);
            record.expect(how != outcome::other, "allocation ", k + 1, " fails and another exception comes out");
        }
        record.expect(still_usable, "allocation ", k + 1, finished ? " is not needed" : " fails",
                      " and the object is not usable");
        record.expect(count.kept_blocks == 0, "allocation ", k + 1, finished ? " is not needed" : " fails", " and ",
                      count.kept_blocks, " blocks leak");
    }
    record.expect(finished || !record.ok(), "does not succeed after ", max_failures, " failures");
    return record.finish();
}
#endif

}  // namespace reckon::testing

#if defined(RECKON_TESTING_REPLACE_NEW)
#include <cstdlib>

namespace reckon::testing::detail {

// A prefix before each block holds its size and where malloc's block starts.
struct block_prefix {
    void* start;
    std::size_t size;
};

inline void* counted_new(std::size_t size, std::size_t alignment) noexcept {
    if (!allocations.may_allocate(size)) return nullptr;
    const std::size_t extra = sizeof(block_prefix) + alignment;
    if (size > static_cast<std::size_t>(-1) - extra) return nullptr;
    void* const start = std::malloc(size + extra);
    if (start == nullptr) return nullptr;
    const auto least = reinterpret_cast<std::uintptr_t>(start) + sizeof(block_prefix);
    const std::size_t past = least % alignment;
    char* const block =
        static_cast<char*>(start) + sizeof(block_prefix) + (past == 0 ? std::size_t{0} : alignment - past);
    const block_prefix prefix{start, size};
    std::memcpy(block - sizeof prefix, &prefix, sizeof prefix);
    allocations.add(size);
    return block;
}

inline void* counted_new_or_throw(std::size_t size, std::size_t alignment) {
    void* const block = counted_new(size, alignment);
#if RECKON_HAS_EXCEPTIONS
    if (block == nullptr) throw std::bad_alloc();
#else
    if (block == nullptr) std::abort();
#endif
    return block;
}

inline void counted_delete(void* block) noexcept {
    if (block == nullptr) return;
    block_prefix prefix;
    std::memcpy(&prefix, static_cast<char*>(block) - sizeof prefix, sizeof prefix);
    allocations.remove(prefix.size);
    std::free(prefix.start);
}

}  // namespace reckon::testing::detail

// Every form, because a sanitizer's own array and nothrow forms would not forward to these.
#define RECKON_TESTING_NEW(op)                                                                           \
    void* op(std::size_t size) {                                                                         \
        return reckon::testing::detail::counted_new_or_throw(size, alignof(std::max_align_t));           \
    }                                                                                                    \
    void* op(std::size_t size, const std::nothrow_t&) noexcept {                                         \
        return reckon::testing::detail::counted_new(size, alignof(std::max_align_t));                    \
    }                                                                                                    \
    void* op(std::size_t size, std::align_val_t alignment) {                                             \
        return reckon::testing::detail::counted_new_or_throw(size, static_cast<std::size_t>(alignment)); \
    }                                                                                                    \
    void* op(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {             \
        return reckon::testing::detail::counted_new(size, static_cast<std::size_t>(alignment));          \
    }
#define RECKON_TESTING_DELETE(op, ...)                         \
    void op(void* block __VA_OPT__(, ) __VA_ARGS__) noexcept { \
        reckon::testing::detail::counted_delete(block);        \
    }
RECKON_TESTING_NEW(operator new)
RECKON_TESTING_NEW(operator new[])
RECKON_TESTING_DELETE(operator delete)
RECKON_TESTING_DELETE(operator delete, std::size_t)
RECKON_TESTING_DELETE(operator delete, std::align_val_t)
RECKON_TESTING_DELETE(operator delete, std::size_t, std::align_val_t)
RECKON_TESTING_DELETE(operator delete, const std::nothrow_t&)
RECKON_TESTING_DELETE(operator delete, std::align_val_t, const std::nothrow_t&)
RECKON_TESTING_DELETE(operator delete[])
RECKON_TESTING_DELETE(operator delete[], std::size_t)
RECKON_TESTING_DELETE(operator delete[], std::align_val_t)
RECKON_TESTING_DELETE(operator delete[], std::size_t, std::align_val_t)
RECKON_TESTING_DELETE(operator delete[], const std::nothrow_t&)
RECKON_TESTING_DELETE(operator delete[], std::align_val_t, const std::nothrow_t&)
#undef RECKON_TESTING_NEW
#undef RECKON_TESTING_DELETE
#endif
