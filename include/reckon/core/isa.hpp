// Instruction sets as types. A kernel takes one as a defaulted template parameter, so that translation units built with
// different flags instantiate different functions and link safely into one program.
#pragma once

#include "reckon/core/config.hpp"

namespace reckon::isa {

/// One element at a time; also the reference that the others are tested against.
struct scalar {};
/// x86-64 baseline, 128-bit.
struct sse2 {};
/// AVX2 with FMA, 256-bit.
struct avx2 {};
/// AVX-512 F, CD, DQ and BW, 512-bit.
struct avx512 {};
/// AArch64, 128-bit.
struct neon {};

/// The widest set that this translation unit's own flags allow.
#if defined(__AVX512F__) && defined(__AVX512CD__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
using native = avx512;
#elif defined(__AVX2__) && defined(__FMA__)
using native = avx2;
#elif defined(__SSE2__) || defined(_M_X64)
using native = sse2;
#elif defined(__aarch64__) || defined(_M_ARM64)
using native = neon;
#else
using native = scalar;
#endif

/// Name for reports.
constexpr const char* name(scalar) noexcept {
    return "scalar";
}
constexpr const char* name(sse2) noexcept {
    return "sse2";
}
constexpr const char* name(avx2) noexcept {
    return "avx2";
}
constexpr const char* name(avx512) noexcept {
    return "avx512";
}
constexpr const char* name(neon) noexcept {
    return "neon";
}

}  // namespace reckon::isa
