// What every check returns, and the count of cases that a test program ran.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "reckon/core/config.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/views.hpp"

namespace reckon::testing {

/// Outcome of one check.
struct report {
    bool ok = true;
    /// The first case that failed, in words; empty when none did.
    std::string message;
    /// How many cases ran.
    std::size_t cases = 0;

    explicit operator bool() const noexcept { return ok; }
};

namespace detail {

inline std::atomic<std::size_t> total_cases{0};

// Counts cases and keeps the first failure.
class recorder {
  public:
    explicit recorder(const char* check) : check_(check) {}

    template <class... Parts>
    bool expect(bool good, const Parts&... parts) {
        ++result_.cases;
        if (!good && result_.ok) {
            result_.ok = false;
            result_.message = reckon::detail::sentence(check_, parts...);
        }
        return good;
    }
    bool ok() const noexcept { return result_.ok; }
    report finish() {
        total_cases.fetch_add(result_.cases, std::memory_order_relaxed);
        return std::move(result_);
    }

  private:
    const char* check_;
    report result_;
};

// A call through a pointer: a check that takes its kernel so is compiled once for all kernels of a signature.
template <class Signature>
class call_ref;
template <class... Args>
class call_ref<void(Args...)> {
  public:
    template <class F>
    explicit call_ref(const F& f) noexcept
        : object_(&f), call_([](const void* object, Args... args) { (*static_cast<const F*>(object))(args...); }) {}
    void operator()(Args... args) const { call_(object_, args...); }

  private:
    const void* object_;
    void (*call_)(const void*, Args...);
};

// Random decisions in a fixed order.
class dice {
  public:
    explicit dice(std::uint64_t seed) noexcept : stream_(seed) {}
    std::size_t below(std::size_t n) noexcept { return static_cast<std::size_t>(stream_.below(next_++, n)); }
    double normal() noexcept { return stream_.normal(next_++); }

  private:
    random_stream stream_;
    std::uint64_t next_ = 0;
};

template <class T>
bool same_bits(const T* a, const T* b, std::size_t n) noexcept {
    return n == 0 || std::memcmp(a, b, n * sizeof(T)) == 0;
}

template <class T>
std::size_t first_difference(const T* a, const T* b, std::size_t n) noexcept {
    std::size_t i = 0;
    while (i < n && std::memcmp(a + i, b + i, sizeof(T)) == 0) ++i;
    return i;
}

}  // namespace detail

/// Cases that all checks of this program ran so far; print it, and fail below a floor, so that a check that silently
/// stopped running is noticed.
inline std::size_t cases_run() noexcept {
    return detail::total_cases.load(std::memory_order_relaxed);
}

}  // namespace reckon::testing
