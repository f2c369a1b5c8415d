// Which events of a user a reservoir keeps.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>

#include "reckon/core/bytes.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/lane.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/simd.hpp"

/// Sampling of a reservoir. Each event gets a key that is a function of (seed, user, event), and of its time for
/// `decayed`; the hashed forms keep the events of the R smallest keys.
namespace reckon::sampling {

/// A uniform sample without replacement: the R events of smallest hashed key (bottom-k).
///
/// What is kept depends on the set of events alone: not on their order, nor on how they were split over shards, nor on
/// how often each was delivered. Of two values of one event the one with the smaller hash stays.
///
/// Key       float, 4 bytes a slot: two events of a user share a key with probability 2^-31 and then count as one, which
///           costs about R H / 2^31 of the slots of a user with H events. double, 8 bytes a slot: 2^-63.
/// Source    Cohen and Kaplan 2007.
template <class Key>
    requires std::same_as<Key, float> || std::same_as<Key, double>
struct smallest_key {
    static constexpr bool is_keyed = true;
    static constexpr bool is_timed = false;
    static constexpr std::uint32_t bytes_kind = four_letters(sizeof(Key) == 4 ? "RESB" : "RESW");
    using key_type = Key;

    /// A positive normal number with uniform bits, from the leading bits of the hash.
    static RECKON_INLINE Key key_of(std::uint64_t hash) noexcept {
        return std::bit_cast<Key>(static_cast<bits>(lowest + scale_bits(hash, infinite - lowest)));
    }
    template <class Isa>
    RECKON_INLINE void make_keys(const std::uint64_t* hashes, const double*, std::size_t n, Key* keys) const noexcept {
        for (std::size_t i = 0; i < n; ++i) keys[i] = key_of(hashes[i]);
    }
    /// Whether a stored key is that of the event with this hash.
    static RECKON_INLINE bool is_key_of(Key key, std::uint64_t hash) noexcept { return key == key_of(hash); }
    static bool is_legal(Key key) noexcept {
        return simd::float_format<Key>::smallest_normal <= key && key < simd::float_format<Key>::infinity;
    }
    double parameter() const noexcept { return 0.0; }
    static smallest_key from_parameter(double) noexcept { return {}; }

  private:
    using bits = typename simd::float_format<Key>::bits;
    static constexpr bits lowest = std::bit_cast<bits>(simd::float_format<Key>::smallest_normal);
    static constexpr bits infinite = std::bit_cast<bits>(simd::float_format<Key>::infinity);
};

/// The default of reservoir.
using bottom_k = smallest_key<float>;
/// bottom_k with keys that hardly ever collide.
using bottom_k_wide = smallest_key<double>;

/// A weighted sample without replacement that forgets: an event of age a has weight 2^(-a / half_life).
///
///   keeps the R smallest keys   log(-log U) - time * ln 2 / half_life,   U in (0, 1) from the hash
///
/// The sample does not depend on the moment at which it is looked at, since all weights fade alike. Order, split and
/// repeated delivery do not matter, provided that an event always carries the same time. Exponents are never taken, so
/// seconds since 1970 are as good as days.
///
/// Numerics  8 bytes a slot: the number above in double, its last 20 bits replaced by bits of the hash, by which
///           slot_of() knows an event (another one of the row by chance, with probability R / 2^20). Times resolve
///           half-lives as long as |time| < 2^25 half_life. The bits of the logarithm depend on whether the target
///           fuses multiply and add.
/// Source    exponential clocks of Efraimidis and Spirakis 2006 in the log domain (Gumbel).
struct decayed {
    static constexpr bool is_keyed = true;
    static constexpr bool is_timed = true;
    static constexpr std::uint32_t bytes_kind = four_letters("RESD");
    using key_type = double;

    /// > 0, in the unit of the times: 14 for days, 1209600 for seconds.
    double half_life = 14.0;

    /// `times` * rate() must be finite.
    double rate() const noexcept { return 0.69314718055994530942 / half_life; }

    template <class Isa>
    void make_keys(const std::uint64_t* hashes, const double* times, std::size_t n, double* keys) const noexcept {
        constexpr std::size_t block = 64;
        double log_wait[block];
        for (std::size_t first = 0; first < n; first += block) {
            const std::size_t count = n - first < block ? n - first : block;
            for (std::size_t i = 0; i < count; ++i) {
                // 52 bits and one half: exact, and neither 0 nor 1.
                log_wait[i] = (static_cast<double>(hashes[first + i] >> 12) + 0.5) * 0x1p-52;
            }
            simd::transform<Isa>(log_wait, log_wait, count, 0.5,
                                 [](auto u) { return math::log(decltype(u)(0.0) - math::log(u)); });
            for (std::size_t i = 0; i < count; ++i) {
                const double key = simd::mul_add(-times[first + i], rate(), log_wait[i]);
                keys[first + i] = std::bit_cast<double>((std::bit_cast<std::uint64_t>(key) & ~event_bits) |
                                                        (hashes[first + i] & event_bits));
            }
        }
    }
    static RECKON_INLINE bool is_key_of(double key, std::uint64_t hash) noexcept {
        return ((std::bit_cast<std::uint64_t>(key) ^ hash) & event_bits) == 0;
    }
    static bool is_legal(double key) noexcept { return std::isfinite(key); }
    double parameter() const noexcept { return half_life; }
    static decayed from_parameter(double half_life) noexcept { return {half_life}; }

  private:
    static constexpr std::uint64_t event_bits = (std::uint64_t{1} << 20) - 1;
};

/// A uniform sample without replacement that keeps no keys: Algorithm R.
///
/// The least memory, 4 bytes a slot. Which events stay depends on their order; an event that is delivered twice counts
/// twice; merging draws how many events come from either side (hypergeometric), so that every event is kept with equal
/// probability. Random numbers are a function of (seed, user, event, place in the user's stream).
///
/// Source    Waterman, in Knuth 1981; the merge is textbook.
struct algorithm_r {
    static constexpr bool is_keyed = false;
    static constexpr bool is_timed = false;
    static constexpr std::uint32_t bytes_kind = four_letters("RESR");
    using key_type = std::uint64_t;

    template <class Isa>
    RECKON_INLINE void make_keys(const std::uint64_t* hashes, const double*, std::size_t n,
                                 std::uint64_t* keys) const noexcept {
        for (std::size_t i = 0; i < n; ++i) keys[i] = hashes[i];
    }
    double parameter() const noexcept { return 0.0; }
    static algorithm_r from_parameter(double) noexcept { return {}; }
};

}  // namespace reckon::sampling
