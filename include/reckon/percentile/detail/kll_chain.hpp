// Thinning for sketches of ranks: many values down to 64 that stand for them, by sorting networks in lanes.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "reckon/core/config.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/simd.hpp"

namespace reckon::detail {

/// Values that come out of one call of kll_chain::thin().
inline constexpr std::size_t kll_block = 64;
/// Values that kll_chain::sort_tile() takes.
inline constexpr std::size_t kll_tile = 128;
/// Most halvings in one call.
inline constexpr int kll_most_halvings = 16;

struct kll_pair {
    std::uint8_t first, second;
};
// Batcher's network (1968) for 16 values. Its last 25 exchanges merge two sorted halves.
inline constexpr std::size_t kll_exchanges = 63, kll_merge_exchanges = 25;
constexpr std::array<kll_pair, kll_exchanges> make_kll_network() noexcept {
    std::array<kll_pair, kll_exchanges> network{};
    std::size_t count = 0;
    for (int p = 1; p < 16; p *= 2) {
        for (int k = p; k >= 1; k /= 2) {
            for (int j = k % p; j + k < 16; j += 2 * k) {
                for (int i = 0; i < k && i + j + k < 16; ++i) {
                    if ((i + j) / (2 * p) == (i + j + k) / (2 * p)) {
                        network[count++] = {static_cast<std::uint8_t>(i + j), static_cast<std::uint8_t>(i + j + k)};
                    }
                }
            }
        }
    }
    return network;
}
inline constexpr std::array<kll_pair, kll_exchanges> kll_network = make_kll_network();

// 16 rows of 8 columns. A column is sorted, every second value of it is kept (which half, a coin per column decides), and
// two halved columns make the next one: a chain of compactors of 16 values, 8 of them side by side. The number of
// columns is fixed, so that the result does not depend on the instruction set.
template <class Isa>
class kll_chain {
    static constexpr std::size_t columns = 8, rows = 8;
    // 16 lanes do not fit 8 columns.
    using narrow = std::conditional_t<(simd::pack<float, Isa>::lanes > columns), isa::avx2, Isa>;
    using pack = simd::pack<float, narrow>;
    struct half {
        float at[rows][columns];
    };

  public:
    // 64 values, 8 sorted runs of 8, for the 64 * 2^halvings at x; one stands for 2^halvings of them. No NaN. Coins are
    // coins.bits(index), and index moves on.
    static void thin(const float* x, int halvings, const random_stream& coins, std::uint64_t& index,
                     float* out) noexcept {
        half pending[kll_most_halvings], current;
        std::uint64_t word = 0;
        int bits = 0;
        const auto coin = [&] {
            if (bits == 0) {
                word = coins.bits(index++);
                bits = 64;
            }
            const auto eight = static_cast<std::uint32_t>(word & 0xffu);
            word >>= 8;
            bits -= 8;
            return eight;
        };
        const std::size_t tiles = std::size_t{1} << (halvings - 1);
        for (std::size_t tile = 0; tile < tiles; ++tile, x += 2 * rows * columns) {
            sort_and_halve(x, coin(), current);
            int level = 0;
            for (; ((tile >> level) & 1u) != 0; ++level) merge_and_halve(pending[level], coin(), current);
            if (tile + 1 < tiles) pending[level] = current;
        }
        for (std::size_t c = 0; c < columns; ++c) {
            for (std::size_t r = 0; r < rows; ++r) out[c * rows + r] = current.at[r][c];
        }
    }
    // 128 values into 8 sorted runs of 16.
    static RECKON_NOINLINE void sort_tile(const float* x, float* out) noexcept {
        float sorted[2 * rows][columns];
        for (std::size_t c = 0; c < columns; c += pack::lanes) {
            pack r[2 * rows];
            for (std::size_t i = 0; i < 2 * rows; ++i) r[i] = pack::load(x + i * columns + c);
            exchange<0>(r, std::make_index_sequence<kll_exchanges>());
            for (std::size_t i = 0; i < 2 * rows; ++i) r[i].store(sorted[i] + c);
        }
        for (std::size_t c = 0; c < columns; ++c) {
            for (std::size_t i = 0; i < 2 * rows; ++i) out[c * 2 * rows + i] = sorted[i][c];
        }
    }

  private:
    template <std::size_t First, std::size_t... K>
    static RECKON_INLINE void exchange(pack* r, std::index_sequence<K...>) noexcept {
        (exchange_one<kll_network[First + K].first, kll_network[First + K].second>(r), ...);
    }
    template <std::size_t A, std::size_t B>
    static RECKON_INLINE void exchange_one(pack* r) noexcept {
        const pack a = r[A], b = r[B];
        r[A] = minimum(a, b);
        r[B] = maximum(a, b);
    }
    static RECKON_INLINE void keep_half(const pack* r, std::uint32_t coin, std::size_t column, half& out) noexcept {
        float odd[pack::lanes];
        for (std::size_t i = 0; i < pack::lanes; ++i) odd[i] = static_cast<float>((coin >> (column + i)) & 1u);
        const auto even = pack::load(odd) < pack(0.5f);
        for (std::size_t i = 0; i < rows; ++i) select(even, r[2 * i], r[2 * i + 1]).store(out.at[i] + column);
    }
    static RECKON_NOINLINE void sort_and_halve(const float* x, std::uint32_t coin, half& out) noexcept {
        for (std::size_t c = 0; c < columns; c += pack::lanes) {
            pack r[2 * rows];
            // -0 becomes +0.
            for (std::size_t i = 0; i < 2 * rows; ++i) r[i] = pack::load(x + i * columns + c) + pack(0.0f);
            exchange<0>(r, std::make_index_sequence<kll_exchanges>());
            keep_half(r, coin, c, out);
        }
    }
    static RECKON_NOINLINE void merge_and_halve(const half& a, std::uint32_t coin, half& b) noexcept {
        for (std::size_t c = 0; c < columns; c += pack::lanes) {
            pack r[2 * rows];
            for (std::size_t i = 0; i < rows; ++i) {
                r[i] = pack::load(a.at[i] + c);
                r[rows + i] = pack::load(b.at[i] + c);
            }
            exchange<kll_exchanges - kll_merge_exchanges>(r, std::make_index_sequence<kll_merge_exchanges>());
            keep_half(r, coin, c, b);
        }
    }
};

}  // namespace reckon::detail
