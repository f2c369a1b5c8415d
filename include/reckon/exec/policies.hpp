// Execution policies: the first argument of every kernel says where the work runs.
#pragma once

#include <cstddef>
#include <type_traits>

#include "reckon/core/config.hpp"

namespace reckon::exec {

/// One thread, SIMD lanes.
struct serial_policy {};
inline constexpr serial_policy serial{};

/// Several host threads, supplied by the caller.
///
/// Pool      anything with `parallel_for(std::size_t n, body)` that calls body(i) once for every i < n, on any threads,
///           and returns when all calls have: reckon's own exec::pool, or a thin wrapper over TBB or OpenMP. The policy
///           keeps a reference; the library owns no thread.
template <class Pool>
struct host {
    Pool& pool;
    explicit host(Pool& p) noexcept : pool(p) {}
};

/// Work on a CUDA stream, on device views. Usable in files compiled by nvcc only.
struct cuda {
    /// A cudaStream_t; null is the default stream.
    void* stream = nullptr;
};

namespace detail {

template <class>
inline constexpr bool is_policy_v = false;
template <>
inline constexpr bool is_policy_v<serial_policy> = true;
template <class Pool>
inline constexpr bool is_policy_v<host<Pool>> = true;
template <>
inline constexpr bool is_policy_v<cuda> = true;

// Fails with a sentence where a kernel has no body for the policy in this translation unit.
template <class Policy>
constexpr void require_host_policy() noexcept {
#if defined(__CUDACC__)
    static_assert(!std::is_same_v<Policy, cuda>,
                  "reckon: this kernel has no CUDA body; use exec::serial or exec::host");
#else
    static_assert(!std::is_same_v<Policy, cuda>,
                  "reckon: exec::cuda needs a file compiled by nvcc; use exec::serial or exec::host here");
#endif
}

}  // namespace detail

/// exec::serial, exec::host{...} or exec::cuda{...}.
template <class P>
concept policy = detail::is_policy_v<std::remove_cvref_t<P>>;

}  // namespace reckon::exec
