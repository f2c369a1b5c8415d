// The SIMD shim: the only file that sees xsimd. It hides the differences between xsimd 8.1 and 13 behind `pack`, whose
// operations carry the names of core/lane.hpp.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <xsimd/xsimd.hpp>

#include "reckon/core/config.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/lane.hpp"

namespace reckon::simd {

namespace detail {

template <class Isa>
struct arch;
#if defined(__SSE2__) || defined(_M_X64)
template <>
struct arch<isa::sse2> {
    using type = xsimd::sse2;
};
#endif
#if defined(__AVX2__) && defined(__FMA__)
template <>
struct arch<isa::avx2> {
    using type = xsimd::fma3<xsimd::avx2>;
};
#endif
#if defined(__AVX512F__) && defined(__AVX512CD__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
template <>
struct arch<isa::avx512> {
    using type = xsimd::avx512bw;
};
#endif
#if defined(__aarch64__) || defined(_M_ARM64)
template <>
struct arch<isa::neon> {
    using type = xsimd::neon64;
};
#endif

// A register of one lane, so that isa::scalar runs through the same kernels.
template <class T>
struct one_lane {
    T value;
};

template <class To, class From, class Arch>
RECKON_INLINE xsimd::batch<To, Arch> reinterpret(const xsimd::batch<From, Arch>& a) noexcept {
#if XSIMD_VERSION_MAJOR >= 9
    return xsimd::bitwise_cast<To>(a);
#else
    return xsimd::bitwise_cast<xsimd::batch<To, Arch> >(a);
#endif
}

// One bit a lane, the first lane lowest, from whatever a target keeps its masks in.
#if defined(__SSE2__) || defined(_M_X64)
RECKON_INLINE std::uint32_t lane_bits_of(__m128 a) noexcept {
    return static_cast<std::uint32_t>(_mm_movemask_ps(a));
}
RECKON_INLINE std::uint32_t lane_bits_of(__m128d a) noexcept {
    return static_cast<std::uint32_t>(_mm_movemask_pd(a));
}
#endif
#if defined(__AVX__)
RECKON_INLINE std::uint32_t lane_bits_of(__m256 a) noexcept {
    return static_cast<std::uint32_t>(_mm256_movemask_ps(a));
}
RECKON_INLINE std::uint32_t lane_bits_of(__m256d a) noexcept {
    return static_cast<std::uint32_t>(_mm256_movemask_pd(a));
}
#endif
template <std::integral Bits>
RECKON_INLINE std::uint32_t lane_bits_of(Bits a) noexcept {
    return static_cast<std::uint32_t>(a);
}

template <class T, class Isa>
struct registers {
    using arch_type = typename arch<Isa>::type;
    using reg = xsimd::batch<T, arch_type>;
    using mask = xsimd::batch_bool<T, arch_type>;
    using bits = typename float_format<T>::bits;
    using bits_reg = xsimd::batch<bits, arch_type>;
    static constexpr std::size_t lanes = reg::size;

    static RECKON_INLINE reg broadcast(T a) noexcept { return reg(a); }
    static RECKON_INLINE reg load(const T* p) noexcept { return reg::load_unaligned(p); }
    static RECKON_INLINE void store(T* p, reg a) noexcept { a.store_unaligned(p); }
    static RECKON_INLINE reg fma(reg a, reg b, reg c) noexcept { return xsimd::fma(a, b, c); }
    static RECKON_INLINE reg choose(mask m, reg a, reg b) noexcept { return xsimd::select(m, a, b); }
#if defined(__SSE2__) || defined(_M_X64)
    // minps and maxps return their second operand when either is NaN, which is the contract of minimum and maximum.
    static RECKON_INLINE reg lesser(reg a, reg b) noexcept {
        return (xsimd::min)(a, b);
    }
    static RECKON_INLINE reg greater(reg a, reg b) noexcept {
        return (xsimd::max)(a, b);
    }
#else
    static RECKON_INLINE reg lesser(reg a, reg b) noexcept {
        return xsimd::select(a < b, a, b);
    }
    static RECKON_INLINE reg greater(reg a, reg b) noexcept {
        return xsimd::select(a > b, a, b);
    }
#endif
    static RECKON_INLINE reg abs(reg a) noexcept {
        return xsimd::abs(a);
    }
    static RECKON_INLINE reg sqrt(reg a) noexcept {
        return xsimd::sqrt(a);
    }
    static RECKON_INLINE reg bits_and(reg a, bits m) noexcept {
        return reinterpret<T>(reinterpret<bits>(a) & bits_reg(m));
    }
    static RECKON_INLINE reg bits_or(reg a, bits m) noexcept {
        return reinterpret<T>(reinterpret<bits>(a) | bits_reg(m));
    }
    template <int K>
    static RECKON_INLINE reg shift_left(reg a) noexcept {
        return reinterpret<T>(reinterpret<bits>(a) << K);
    }
    template <int K>
    static RECKON_INLINE reg shift_right(reg a) noexcept {
        return reinterpret<T>(reinterpret<bits>(a) >> K);
    }
    static RECKON_INLINE bool any(mask m) noexcept {
        return xsimd::any(m);
    }
    static RECKON_INLINE std::uint32_t lane_bits(mask m) noexcept {
        if constexpr (requires { lane_bits_of(m.data); }) {
            return lane_bits_of(m.data);
        } else {
            T ones[lanes];
            store(ones, choose(m, broadcast(T(1)), broadcast(T(0))));
            std::uint32_t found = 0;
            for (std::size_t i = 0; i < lanes; ++i) found |= (ones[i] != T(0) ? 1u : 0u) << i;
            return found;
        }
    }
    static RECKON_INLINE bits_reg no_counts() noexcept {
        return bits_reg(bits(0));
    }
    static RECKON_INLINE bits_reg count(bits_reg a, mask m) noexcept {
        if constexpr (sizeof(m.data) == sizeof(reg) && requires { reg(m.data); }) {
            return a - reinterpret<bits>(reg(m.data));  // a lane that holds is -1
        } else {
            return a + reinterpret<bits>(choose(m, reinterpret<T>(bits_reg(bits(1))), broadcast(T(0))));
        }
    }
    static RECKON_INLINE void store_counts(bits* p, bits_reg a) noexcept {
        a.store_unaligned(p);
    }
    static RECKON_INLINE T sum(reg a) noexcept {
#if XSIMD_VERSION_MAJOR >= 10
        return xsimd::reduce_add(a);
#else
        return xsimd::hadd(a);
#endif
    }
    static RECKON_INLINE bits sum_counts(bits_reg a) noexcept {
#if XSIMD_VERSION_MAJOR >= 10
        return xsimd::reduce_add(a);
#else
        return xsimd::hadd(a);
#endif
    }
};

template <class T>
struct registers<T, isa::scalar> {
    using reg = one_lane<T>;
    using mask = bool;
    using bits = typename float_format<T>::bits;
    using bits_reg = bits;
    static constexpr std::size_t lanes = 1;

    static RECKON_INLINE reg broadcast(T a) noexcept { return {a}; }
    static RECKON_INLINE reg load(const T* p) noexcept { return {*p}; }
    static RECKON_INLINE void store(T* p, reg a) noexcept { *p = a.value; }
    static RECKON_INLINE reg fma(reg a, reg b, reg c) noexcept { return {mul_add(a.value, b.value, c.value)}; }
    static RECKON_INLINE reg choose(mask m, reg a, reg b) noexcept { return m ? a : b; }
    static RECKON_INLINE reg lesser(reg a, reg b) noexcept { return {minimum(a.value, b.value)}; }
    static RECKON_INLINE reg greater(reg a, reg b) noexcept { return {maximum(a.value, b.value)}; }
    static RECKON_INLINE reg abs(reg a) noexcept { return {absolute(a.value)}; }
    static RECKON_INLINE reg sqrt(reg a) noexcept { return {square_root(a.value)}; }
    static RECKON_INLINE reg bits_and(reg a, bits m) noexcept { return {simd::bits_and(a.value, m)}; }
    static RECKON_INLINE reg bits_or(reg a, bits m) noexcept { return {simd::bits_or(a.value, m)}; }
    template <int K>
    static RECKON_INLINE reg shift_left(reg a) noexcept {
        return {bits_shift_left<K>(a.value)};
    }
    template <int K>
    static RECKON_INLINE reg shift_right(reg a) noexcept {
        return {bits_shift_right<K>(a.value)};
    }
    static RECKON_INLINE bool any(mask m) noexcept { return m; }
    static RECKON_INLINE std::uint32_t lane_bits(mask m) noexcept { return m ? 1u : 0u; }
    static RECKON_INLINE bits no_counts() noexcept { return 0; }
    static RECKON_INLINE bits count(bits a, mask m) noexcept { return a + (m ? 1u : 0u); }
    static RECKON_INLINE void store_counts(bits* p, bits a) noexcept { *p = a; }
    static RECKON_INLINE T sum(reg a) noexcept { return a.value; }
    static RECKON_INLINE bits sum_counts(bits a) noexcept { return a; }
};

template <class T>
RECKON_INLINE one_lane<T> operator+(one_lane<T> a, one_lane<T> b) noexcept {
    return {a.value + b.value};
}
template <class T>
RECKON_INLINE one_lane<T> operator-(one_lane<T> a, one_lane<T> b) noexcept {
    return {a.value - b.value};
}
template <class T>
RECKON_INLINE one_lane<T> operator*(one_lane<T> a, one_lane<T> b) noexcept {
    return {a.value * b.value};
}
template <class T>
RECKON_INLINE one_lane<T> operator/(one_lane<T> a, one_lane<T> b) noexcept {
    return {a.value / b.value};
}
template <class T>
RECKON_INLINE bool operator<(one_lane<T> a, one_lane<T> b) noexcept {
    return a.value < b.value;
}
template <class T>
RECKON_INLINE bool operator<=(one_lane<T> a, one_lane<T> b) noexcept {
    return a.value <= b.value;
}
template <class T>
RECKON_INLINE bool operator==(one_lane<T> a, one_lane<T> b) noexcept {
    return a.value == b.value;
}

}  // namespace detail

/// Result of comparing two packs.
template <class T, class Isa = isa::native>
struct pack_mask {
    typename detail::registers<T, Isa>::mask m;

    friend RECKON_INLINE pack_mask operator&(pack_mask a, pack_mask b) noexcept {
        return {static_cast<decltype(a.m)>(a.m & b.m)};
    }
    friend RECKON_INLINE pack_mask operator|(pack_mask a, pack_mask b) noexcept {
        return {static_cast<decltype(a.m)>(a.m | b.m)};
    }
    friend RECKON_INLINE bool any(pack_mask a) noexcept { return detail::registers<T, Isa>::any(a.m); }
    /// One bit a lane, the first lane lowest.
    friend RECKON_INLINE std::uint32_t lane_bits(pack_mask a) noexcept {
        return detail::registers<T, Isa>::lane_bits(a.m);
    }
};

/// One unsigned integer counter a lane, of the width of T.
template <class T, class Isa = isa::native>
struct lane_counts {
    using ops = detail::registers<T, Isa>;
    using bits = typename ops::bits;

    typename ops::bits_reg v = ops::no_counts();

    /// Adds 1 where the mask holds.
    RECKON_INLINE void add(pack_mask<T, Isa> m) noexcept { v = ops::count(v, m.m); }
    RECKON_INLINE void store(bits* p) const noexcept { ops::store_counts(p, v); }
    friend RECKON_INLINE lane_counts operator+(lane_counts a, lane_counts b) noexcept {
        return {static_cast<decltype(a.v)>(a.v + b.v)};
    }
    friend RECKON_INLINE bits reduce_add(lane_counts a) noexcept { return ops::sum_counts(a.v); }
};

/// `lanes` values of type T in one register of the instruction set Isa.
///
/// Values come in through load and broadcast, leave through store and reduce_add, and in between behave like T.
/// Scalars convert into a pack of equal lanes.
template <class T, class Isa = isa::native>
struct pack {
    using value_type = T;
    using isa_type = Isa;
    using ops = detail::registers<T, Isa>;
    using bits = typename float_format<T>::bits;
    using mask = pack_mask<T, Isa>;
    static constexpr std::size_t lanes = ops::lanes;

    typename ops::reg v;

    pack() noexcept = default;
    RECKON_INLINE pack(typename ops::reg r) noexcept : v(r) {}
    RECKON_INLINE pack(T a) noexcept : v(ops::broadcast(a)) {}

    static RECKON_INLINE pack load(const T* p) noexcept { return ops::load(p); }
    /// The first `count` < lanes elements from `p`, then `fill`. Reads no further than that.
    static RECKON_INLINE pack load_padded(const T* p, std::size_t count, T fill) noexcept {
        T padded[lanes];
        for (std::size_t i = 0; i < lanes; ++i) padded[i] = i < count ? p[i] : fill;
        return ops::load(padded);
    }
    RECKON_INLINE void store(T* p) const noexcept { ops::store(p, v); }
    /// Writes only the first `count` lanes.
    RECKON_INLINE void store_head(T* p, std::size_t count) const noexcept {
        T padded[lanes];
        ops::store(padded, v);
        for (std::size_t i = 0; i < count; ++i) p[i] = padded[i];
    }

    friend RECKON_INLINE pack operator+(pack a, pack b) noexcept { return a.v + b.v; }
    friend RECKON_INLINE pack operator-(pack a, pack b) noexcept { return a.v - b.v; }
    friend RECKON_INLINE pack operator*(pack a, pack b) noexcept { return a.v * b.v; }
    friend RECKON_INLINE pack operator/(pack a, pack b) noexcept { return a.v / b.v; }
    friend RECKON_INLINE pack operator-(pack a) noexcept { return pack(T(0)) - a; }
    RECKON_INLINE pack& operator+=(pack b) noexcept { return *this = *this + b; }
    RECKON_INLINE pack& operator-=(pack b) noexcept { return *this = *this - b; }
    RECKON_INLINE pack& operator*=(pack b) noexcept { return *this = *this * b; }
    friend RECKON_INLINE mask operator<(pack a, pack b) noexcept { return {a.v < b.v}; }
    friend RECKON_INLINE mask operator>(pack a, pack b) noexcept { return {b.v < a.v}; }
    friend RECKON_INLINE mask operator<=(pack a, pack b) noexcept { return {a.v <= b.v}; }
    friend RECKON_INLINE mask operator>=(pack a, pack b) noexcept { return {b.v <= a.v}; }
    friend RECKON_INLINE mask operator==(pack a, pack b) noexcept { return {a.v == b.v}; }

    friend RECKON_INLINE pack mul_add(pack a, pack b, pack c) noexcept { return ops::fma(a.v, b.v, c.v); }
    friend RECKON_INLINE pack select(mask m, pack yes, pack no) noexcept { return ops::choose(m.m, yes.v, no.v); }
    friend RECKON_INLINE pack minimum(pack a, pack b) noexcept { return ops::lesser(a.v, b.v); }
    friend RECKON_INLINE pack maximum(pack a, pack b) noexcept { return ops::greater(a.v, b.v); }
    friend RECKON_INLINE pack absolute(pack a) noexcept { return ops::abs(a.v); }
    friend RECKON_INLINE pack square_root(pack a) noexcept { return ops::sqrt(a.v); }
    friend RECKON_INLINE pack bits_and(pack a, bits m) noexcept { return ops::bits_and(a.v, m); }
    friend RECKON_INLINE pack bits_or(pack a, bits m) noexcept { return ops::bits_or(a.v, m); }
    /// Sum of all lanes, in an order that depends on the instruction set only.
    friend RECKON_INLINE T reduce_add(pack a) noexcept { return ops::sum(a.v); }
};

template <int K, class T, class Isa>
RECKON_INLINE pack<T, Isa> bits_shift_left(pack<T, Isa> a) noexcept {
    return pack<T, Isa>(detail::registers<T, Isa>::template shift_left<K>(a.v));
}
template <int K, class T, class Isa>
RECKON_INLINE pack<T, Isa> bits_shift_right(pack<T, Isa> a) noexcept {
    return pack<T, Isa>(detail::registers<T, Isa>::template shift_right<K>(a.v));
}

/// 0, 1, 2, ... in lanes.
template <class T, class Isa = isa::native>
RECKON_INLINE pack<T, Isa> lane_numbers() noexcept {
    T numbers[pack<T, Isa>::lanes];
    for (std::size_t i = 0; i < pack<T, Isa>::lanes; ++i) numbers[i] = static_cast<T>(i);
    return pack<T, Isa>::load(numbers);
}

/// table[index[i]] for every lane i; the caller guarantees that the indices are in range.
template <class Isa = isa::native, class T>
RECKON_INLINE pack<T, Isa> gather(const T* table, const std::int32_t* index) noexcept {
    T lanes[pack<T, Isa>::lanes];
    for (std::size_t i = 0; i < pack<T, Isa>::lanes; ++i) lanes[i] = table[index[i]];
    return pack<T, Isa>::load(lanes);
}

/// Runs `body(offset, value)` over packs of `in`; the tail runs through a pack padded with `fill`, so that an element's
/// result does not depend on where it falls, and `body`'s pack is written back through `out`.
template <class Isa = isa::native, class T, class Body>
RECKON_INLINE void transform(const T* in, T* out, std::size_t n, T fill, Body&& body) noexcept {
    using P = pack<T, Isa>;
    std::size_t i = 0;
    for (; i + P::lanes <= n; i += P::lanes) body(P::load(in + i)).store(out + i);
    if (i < n) body(P::load_padded(in + i, n - i, fill)).store_head(out + i, n - i);
}

}  // namespace reckon::simd
