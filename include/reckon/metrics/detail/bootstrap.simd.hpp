// Poisson(1) weights of a cluster for 64 replicates at a time, and exact sums of what they multiply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "reckon/core/config.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/simd.hpp"

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
// One word in 1700 reaches threshold 5 or later ones.
inline constexpr std::size_t poisson_usual = 5;
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
// The largest number below threshold k, in that order.
RECKON_INLINE constexpr std::int32_t last_below(std::size_t k) noexcept {
    return signed_order(poisson_thresholds[k] - 1u);
}
RECKON_INLINE constexpr std::int32_t reaches(std::int32_t u, std::size_t k) noexcept {
    return u > last_below(k) ? 1 : 0;
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
    // Weights of the words of a and b in turn.
    static RECKON_INLINE void store(double* p, wide_words a, wide_words b) noexcept {
        const std::int32_t x = signed_order(static_cast<std::uint32_t>(a.v));
        const std::int32_t y = signed_order(static_cast<std::uint32_t>(b.v));
        std::int32_t count_x = 0, count_y = 0;
        for (std::size_t k = 0; k < poisson_steps; ++k) {
            count_x += reaches(x, k);
            count_y += reaches(y, k);
        }
        p[0] = static_cast<double>(count_x);
        p[1] = static_cast<double>(count_y);
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
    static RECKON_INLINE void store(double* p, wide_words a, wide_words b) noexcept {
        const __m128i low = _mm_set1_epi64x(0xffffffff);
        const __m128i words = _mm_or_si128(_mm_and_si128(a.v, low), _mm_slli_epi64(b.v, 32));
        const __m128i u = _mm_xor_si128(words, _mm_set1_epi32(signed_order(0)));
        __m128i count = _mm_setzero_si128();
        for (std::size_t k = 0; k < poisson_usual; ++k) {
            count = _mm_sub_epi32(count, _mm_cmpgt_epi32(u, _mm_set1_epi32(last_below(k))));
        }
        if (_mm_movemask_epi8(_mm_cmpgt_epi32(u, _mm_set1_epi32(last_below(poisson_usual)))) != 0) {
            for (std::size_t k = poisson_usual; k < poisson_steps; ++k) {
                count = _mm_sub_epi32(count, _mm_cmpgt_epi32(u, _mm_set1_epi32(last_below(k))));
            }
        }
        _mm_storeu_pd(p, _mm_cvtepi32_pd(count));
        _mm_storeu_pd(p + 2, _mm_cvtepi32_pd(_mm_unpackhi_epi64(count, count)));
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
    static RECKON_INLINE void store(double* p, wide_words a, wide_words b) noexcept {
        const __m256i words = _mm256_blend_epi32(a.v, _mm256_slli_epi64(b.v, 32), 0xaa);
        const __m256i u = _mm256_xor_si256(words, _mm256_set1_epi32(signed_order(0)));
        __m256i count = _mm256_setzero_si256();
        for (std::size_t k = 0; k < poisson_usual; ++k) {
            count = _mm256_sub_epi32(count, _mm256_cmpgt_epi32(u, _mm256_set1_epi32(last_below(k))));
        }
        if (_mm256_movemask_epi8(_mm256_cmpgt_epi32(u, _mm256_set1_epi32(last_below(poisson_usual)))) != 0) {
            for (std::size_t k = poisson_usual; k < poisson_steps; ++k) {
                count = _mm256_sub_epi32(count, _mm256_cmpgt_epi32(u, _mm256_set1_epi32(last_below(k))));
            }
        }
        _mm256_storeu_pd(p, _mm256_cvtepi32_pd(_mm256_castsi256_si128(count)));
        _mm256_storeu_pd(p + 4, _mm256_cvtepi32_pd(_mm256_extracti128_si256(count, 1)));
    }
};
#endif

// poisson_weight() of one seed for the 64 replicates of a tile.
template <class Isa>
class poisson_tiles {
    using words = std::conditional_t<std::is_same_v<Isa, isa::avx512>, wide_words<isa::avx2>, wide_words<Isa>>;

  public:
    explicit poisson_tiles(std::uint64_t seed) noexcept {
        auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
        for (auto& round : keys_) {
            round[0] = words::of(k0);
            round[1] = words::of(k1);
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
    }
    RECKON_INLINE void draw(std::uint64_t cluster, std::uint32_t tile, double* RECKON_RESTRICT weights) const noexcept {
        const words low = words::of(static_cast<std::uint32_t>(cluster));
        const words high = words::of(static_cast<std::uint32_t>(cluster >> 32));
        const words purpose = words::of(bootstrap_purpose);
        for (std::size_t i = 0; i < bootstrap_blocks; i += 2 * words::lanes) {
            const auto first = static_cast<std::uint32_t>(tile * bootstrap_blocks + i);
            words a[4] = {low, words::every_other(first), high, purpose};
            words b[4] = {low, words::every_other(first + 1), high, purpose};
            // Ten rounds in a row: a loop would keep half of the words in memory.
            turn<0>(a, b), turn<1>(a, b), turn<2>(a, b), turn<3>(a, b), turn<4>(a, b);
            turn<5>(a, b), turn<6>(a, b), turn<7>(a, b), turn<8>(a, b), turn<9>(a, b);
            for (std::size_t word = 0; word < 4; ++word) {
                words::store(weights + word * bootstrap_blocks + i, a[word], b[word]);
            }
        }
    }

  private:
    template <std::size_t Round>
    RECKON_INLINE void turn(words (&a)[4], words (&b)[4]) const noexcept {
        turn(a, keys_[Round]);
        turn(b, keys_[Round]);
    }
    static RECKON_INLINE void turn(words (&x)[4], const words (&key)[2]) noexcept {
        const words m = x[0].times(words::of(0xD2511F53u)), n = x[2].times(words::of(0xCD9E8D57u));
        x[0] = n.upper() ^ x[1] ^ key[0];
        x[1] = n;
        x[2] = m.upper() ^ x[3] ^ key[1];
        x[3] = m;
    }

    words keys_[10][2];
};

// Clusters that are added together, so that sums are loaded and stored once for all of them.
inline constexpr std::size_t bootstrap_group = 4;

// sums += weights of four clusters times their x, of a tile. All numbers are integers far below 2^53: exact in any
// order, fused or not.
template <class Isa>
RECKON_INLINE void add_weighted(const double (&weights)[bootstrap_group][bootstrap_tile],
                                const double (&x)[bootstrap_group], double* RECKON_RESTRICT sums) noexcept {
    using pack = simd::pack<double, Isa>;
    const pack x0(x[0]), x1(x[1]), x2(x[2]), x3(x[3]);
    for (std::size_t i = 0; i < bootstrap_tile; i += pack::lanes) {
        const pack sum = mul_add(pack::load(weights[0] + i), x0, pack::load(sums + i));
        const pack more = mul_add(pack::load(weights[1] + i), x1, pack::load(weights[2] + i) * x2);
        mul_add(pack::load(weights[3] + i), x3, sum + more).store(sums + i);
    }
}

}  // namespace reckon::detail
