// Which of sixteen bytes have a value: the tags of a hash table at one look.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "reckon/core/config.hpp"

namespace reckon::detail {

// Bit i is set where bytes[i] == wanted.
RECKON_INLINE std::uint32_t equal_bytes(const std::uint8_t (&bytes)[16], std::uint8_t wanted) noexcept {
#if defined(__SSE2__) || defined(_M_X64)
    const __m128i all = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_set1_epi8(static_cast<char>(wanted)))));
#elif defined(__aarch64__)
    const uint8x16_t weights = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t hits = vandq_u8(vceqq_u8(vld1q_u8(bytes), vdupq_n_u8(wanted)), weights);
    return vaddv_u8(vget_low_u8(hits)) | (std::uint32_t{vaddv_u8(vget_high_u8(hits))} << 8);
#else
    std::uint32_t hits = 0;
    for (std::size_t i = 0; i < 16; ++i) hits |= std::uint32_t{bytes[i] == wanted} << i;
    return hits;
#endif
}

}  // namespace reckon::detail
