// Compiler switches that every other header relies on. Nothing here is meant for users except RECKON_ALLOW_FAST_MATH.
#pragma once

#include <cstddef>
#include <cstdint>

// Compensated sums, NaN policies and range reductions are rewritten into something else under -ffast-math.
#if defined(__FAST_MATH__) && !defined(RECKON_ALLOW_FAST_MATH)
#error \
    "reckon: -ffast-math breaks the promises of docs/numerics.md; define RECKON_ALLOW_FAST_MATH to go on without them"
#endif

// Small arithmetic that several instruction sets share must not leave a symbol behind: two translation units with
// different flags would otherwise exchange machine code through the linker.
#if defined(_MSC_VER) && !defined(__clang__)
#define RECKON_INLINE __forceinline
#define RECKON_RESTRICT __restrict
#define RECKON_NOINLINE __declspec(noinline)
#else
#define RECKON_INLINE inline __attribute__((always_inline))
#define RECKON_RESTRICT __restrict__
#define RECKON_NOINLINE __attribute__((noinline))
#endif

// Arithmetic shared with CUDA threads.
#if defined(__CUDACC__)
#define RECKON_HD __host__ __device__
#else
#define RECKON_HD
#endif

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define RECKON_HAS_EXCEPTIONS 1
#else
#define RECKON_HAS_EXCEPTIONS 0
#endif
