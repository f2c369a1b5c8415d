// Poisson(1) weights of a cluster for 64 replicates at a time, and exact sums of what they multiply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "reckon/core/config.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/random.hpp"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace reckon::detail {

// Replicates that are drawn together: four from each of 16 Philox blocks.
inline constexpr std::size_t bootstrap_tile = 64;
inline constexpr std::size_t bootstrap_blocks = bootstrap_tile / 4;
// The counter's last word, so that no other use of the same seed meets these numbers.
inline constexpr std::uint32_t bootstrap_purpose = 0x746f6f62u;

// round(2^32 P(X <= k)) for X ~ Poisson(1); from k = 12 on it is 2^32. The weight is how many of them are <= 32 random
// bits.
inline constexpr std::size_t poisson_steps = 12;
inline constexpr std::uint32_t poisson_thresholds[poisson_steps] = {1580030169u, 3160060337u, 3950075422u, 4213413783u,
                                                                    4279248374u, 4292415292u, 4294609778u, 4294923276u,
                                                                    4294962463u, 4294966817u, 4294967253u, 4294967292u};

// Replicate r of tile r / 64 takes word (r % 64) / 16 of block 16 (r / 64) + r % 16.
RECKON_INLINE std::uint32_t poisson_weight(std::uint64_t seed, std::uint64_t cluster,
                                           std::uint64_t replicate) noexcept {
    const std::uint64_t tile = replicate / bootstrap_tile, within = replicate % bootstrap_tile;
    const auto block = static_cast<std::uint32_t>(tile * bootstrap_blocks + within % bootstrap_blocks);
    const auto words = philox4x32(
        {static_cast<std::uint32_t>(cluster), block, static_cast<std::uint32_t>(cluster >> 32), bootstrap_purpose},
        {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    const std::uint32_t u = words[within / bootstrap_blocks];
    std::uint32_t weight = 0;
    for (const std::uint32_t threshold : poisson_thresholds) weight += u >= threshold ? 1u : 0u;
    return weight;
}

// Order of unsigned numbers as that of signed ones.
RECKON_INLINE constexpr std::int32_t signed_order(std::uint32_t u) noexcept {
    return static_cast<std::int32_t>(u ^ 0x80000000u);
}
RECKON_INLINE constexpr std::int32_t reaches(std::int32_t u, std::size_t k) noexcept {
    return u > signed_order(poisson_thresholds[k] - 1u) ? 1 : 0;
}

// 32-bit words in lanes of 64 bits, whose upper halves hold anything: a multiplication ignores them. Compilers do not
// find this form by themselves, and shuffle more than they multiply without it.
template <class Isa>
struct wide_words {
    static constexpr std::size_t lanes = 1;
    std::uint64_t v;

    static RECKON_INLINE wide_words of(std::uint32_t x) noexcept { return {x}; }
    // first, first + 2, ...
    static RECKON_INLINE wide_words every_other(std::uint32_t first) noexcept { return {first}; }
    RECKON_INLINE wide_words times(wide_words b) const noexcept { return {(v & 0xffffffffu) * (b.v & 0xffffffffu)}; }
    RECKON_INLINE wide_words upper() const noexcept { return {v >> 32}; }
    RECKON_INLINE wide_words operator^(wide_words b) const noexcept { return {v ^ b.v}; }
    // Words of a and b in turn.
    static RECKON_INLINE void store(std::uint32_t* p, wide_words a, wide_words b) noexcept {
        p[0] = static_cast<std::uint32_t>(a.v);
        p[1] = static_cast<std::uint32_t>(b.v);
    }
};
#if defined(__SSE2__)
template <>
struct wide_words<isa::sse2> {
    static constexpr std::size_t lanes = 2;
    __m128i v;

    static RECKON_INLINE wide_words of(std::uint32_t x) noexcept { return {_mm_set1_epi32(static_cast<int>(x))}; }
    static RECKON_INLINE wide_words every_other(std::uint32_t first) noexcept {
        return {_mm_add_epi32(_mm_set1_epi32(static_cast<int>(first)), _mm_setr_epi32(0, 0, 2, 0))};
    }
    RECKON_INLINE wide_words times(wide_words b) const noexcept { return {_mm_mul_epu32(v, b.v)}; }
    RECKON_INLINE wide_words upper() const noexcept { return {_mm_srli_epi64(v, 32)}; }
    RECKON_INLINE wide_words operator^(wide_words b) const noexcept { return {_mm_xor_si128(v, b.v)}; }
    static RECKON_INLINE void store(std::uint32_t* p, wide_words a, wide_words b) noexcept {
        const __m128i low = _mm_set1_epi64x(0xffffffff);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_or_si128(_mm_and_si128(a.v, low), _mm_slli_epi64(b.v, 32)));
    }
};
#endif
#if defined(__AVX2__)
template <>
struct wide_words<isa::avx2> {
    static constexpr std::size_t lanes = 4;
    __m256i v;

    static RECKON_INLINE wide_words of(std::uint32_t x) noexcept { return {_mm256_set1_epi32(static_cast<int>(x))}; }
    static RECKON_INLINE wide_words every_other(std::uint32_t first) noexcept {
        return {
            _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(first)), _mm256_setr_epi32(0, 0, 2, 0, 4, 0, 6, 0))};
    }
    RECKON_INLINE wide_words times(wide_words b) const noexcept { return {_mm256_mul_epu32(v, b.v)}; }
    RECKON_INLINE wide_words upper() const noexcept { return {_mm256_srli_epi64(v, 32)}; }
    RECKON_INLINE wide_words operator^(wide_words b) const noexcept { return {_mm256_xor_si256(v, b.v)}; }
    static RECKON_INLINE void store(std::uint32_t* p, wide_words a, wide_words b) noexcept {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_blend_epi32(a.v, _mm256_slli_epi64(b.v, 32), 0xaa));
    }
};
#endif

// Philox blocks first, first + 1, ... of a cluster: twice as many as there are lanes.
template <class Words>
struct philox_pair {
    Words a[4], b[4];

    RECKON_INLINE philox_pair(std::uint64_t cluster, std::uint32_t first, std::uint64_t seed) noexcept {
        a[0] = b[0] = Words::of(static_cast<std::uint32_t>(cluster));
        a[1] = Words::every_other(first);
        b[1] = Words::every_other(first + 1);
        a[2] = b[2] = Words::of(static_cast<std::uint32_t>(cluster >> 32));
        a[3] = b[3] = Words::of(bootstrap_purpose);
        std::uint32_t k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
        for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
            turn(a, Words::of(k0), Words::of(k1));
            turn(b, Words::of(k0), Words::of(k1));
        }
    }
    static RECKON_INLINE void turn(Words (&x)[4], Words k0, Words k1) noexcept {
        const Words m = x[0].times(Words::of(0xD2511F53u)), n = x[2].times(Words::of(0xCD9E8D57u));
        x[0] = n.upper() ^ x[1] ^ k0;
        x[1] = n;
        x[2] = m.upper() ^ x[3] ^ k1;
        x[3] = m;
    }
};

// poisson_weight() of the 64 replicates of a tile. Plain loops of known length, which compilers turn into vector code.
template <class Isa>
RECKON_INLINE void poisson_tile(std::uint64_t seed, std::uint64_t cluster, std::uint32_t tile,
                                double* RECKON_RESTRICT weights) noexcept {
    using lanes = std::conditional_t<std::is_same_v<Isa, isa::avx512>, wide_words<isa::avx2>, wide_words<Isa>>;
    std::uint32_t words[4][bootstrap_blocks];
    for (std::size_t i = 0; i < bootstrap_blocks; i += 2 * lanes::lanes) {
        const philox_pair<lanes> blocks(cluster, static_cast<std::uint32_t>(tile * bootstrap_blocks + i), seed);
        for (std::size_t word = 0; word < 4; ++word) lanes::store(words[word] + i, blocks.a[word], blocks.b[word]);
    }
    // Signed comparisons, which every vector unit has.  One tile in 26 has a number beyond
    // the sixth threshold.
    constexpr std::size_t usual = 6;
    const std::uint32_t* const flat = &words[0][0];
    std::int32_t ordered[bootstrap_tile], counts[bootstrap_tile];
    std::int32_t most = signed_order(0);
    for (std::size_t i = 0; i < bootstrap_tile; ++i) ordered[i] = signed_order(flat[i]);
    for (std::size_t i = 0; i < bootstrap_tile; ++i) most = ordered[i] > most ? ordered[i] : most;
    for (std::size_t i = 0; i < bootstrap_tile; ++i) counts[i] = reaches(ordered[i], 0);
    const std::size_t steps = reaches(most, usual) != 0 ? poisson_steps : usual;
    for (std::size_t k = 1; k < steps; ++k) {
        for (std::size_t i = 0; i < bootstrap_tile; ++i) counts[i] += reaches(ordered[i], k);
    }
    for (std::size_t i = 0; i < bootstrap_tile; ++i) weights[i] = static_cast<double>(counts[i]);
}

// sums += weights * x, of a tile.
template <class Isa>
RECKON_INLINE void add_weighted(const double* RECKON_RESTRICT weights, double x,
                                double* RECKON_RESTRICT sums) noexcept {
    for (std::size_t i = 0; i < bootstrap_tile; ++i) sums[i] += weights[i] * x;
}

}  // namespace reckon::detail
