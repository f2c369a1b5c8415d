// The SIMD shim: every operation of pack against the same operation on its lanes.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/lane.hpp"
#include "reckon/core/simd.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace ts = reckon::testing_support;
namespace isa = reckon::isa;
namespace simd = reckon::simd;

namespace {

template <class T>
bool same(T a, T b) {
    return std::memcmp(&a, &b, sizeof(T)) == 0 || (std::isnan(a) && std::isnan(b));
}

template <class P>
std::array<typename P::value_type, P::lanes> lanes_of(P a) {
    std::array<typename P::value_type, P::lanes> out;
    a.store(out.data());
    return out;
}

// Calls body(pack type's default value) for float and double on every instruction set of this build.
template <class Body>
void for_each_pack(Body body) {
    const auto types = [&](auto set) {
        body(simd::pack<float, decltype(set)>(0.0f));
        body(simd::pack<double, decltype(set)>(0.0));
    };
    types(isa::scalar{});
#if defined(__SSE2__)
    types(isa::sse2{});
#endif
    if constexpr (!std::is_same_v<isa::native, isa::scalar> && !std::is_same_v<isa::native, isa::sse2>) {
        types(isa::native{});
    }
}

// Pairs of interesting operands: all extremes with NaN and infinities against each other.
template <class T>
std::vector<T> operands() {
    std::vector<T> values = ts::finite_extremes<T>();
    for (const T v : ts::non_finite<T>()) values.push_back(v);
    values.push_back(T(2.5));
    values.push_back(T(-3));
    return values;
}

// Applies a binary operation to packs whose lanes hold different pairs, and compares each lane.
template <class P, class OnPacks, class OnLanes>
bool agrees(OnPacks on_packs, OnLanes on_lanes) {
    using T = typename P::value_type;
    const auto values = operands<T>();
    for (std::size_t i = 0; i < values.size(); ++i) {
        for (std::size_t j = 0; j < values.size(); ++j) {
            std::array<T, P::lanes> a, b;
            for (std::size_t k = 0; k < P::lanes; ++k) {
                a[k] = values[(i + k) % values.size()];
                b[k] = values[(j + 3 * k) % values.size()];
            }
            const auto got = lanes_of<P>(on_packs(P::load(a.data()), P::load(b.data())));
            for (std::size_t k = 0; k < P::lanes; ++k) {
                if (!same(got[k], on_lanes(a[k], b[k]))) return false;
            }
        }
    }
    return true;
}

}  // namespace

TEST_CASE("simd: arithmetic and square roots are those of the lanes") {
    for_each_pack([](auto example) {
        using P = decltype(example);
        using T = typename P::value_type;
        INFO(isa::name(typename P::isa_type{}) << " " << sizeof(T));
        CHECK(agrees<P>([](P a, P b) { return a + b; }, [](T a, T b) { return a + b; }));
        CHECK(agrees<P>([](P a, P b) { return a - b; }, [](T a, T b) { return a - b; }));
        CHECK(agrees<P>([](P a, P b) { return a * b; }, [](T a, T b) { return a * b; }));
        CHECK(agrees<P>([](P a, P b) { return a / b; }, [](T a, T b) { return a / b; }));
        CHECK(agrees<P>([](P a, P) { return -a; }, [](T a, T) { return T(0) - a; }));
        CHECK(agrees<P>([](P a, P) { return square_root(a); }, [](T a, T) { return std::sqrt(a); }));
        CHECK(agrees<P>([](P a, P) { return absolute(a); }, [](T a, T) { return std::fabs(a); }));
        CHECK(agrees<P>([](P a, P b) { return a += b; }, [](T a, T b) { return a + b; }));
        CHECK(agrees<P>([](P a, P b) { return a -= b; }, [](T a, T b) { return a - b; }));
        CHECK(agrees<P>([](P a, P b) { return a *= b; }, [](T a, T b) { return a * b; }));
    });
}

TEST_CASE("simd: minimum and maximum return the second operand for NaN, as on lanes") {
    for_each_pack([](auto example) {
        using P = decltype(example);
        using T = typename P::value_type;
        INFO(isa::name(typename P::isa_type{}) << " " << sizeof(T));
        CHECK(agrees<P>([](P a, P b) { return minimum(a, b); }, [](T a, T b) { return a < b ? a : b; }));
        CHECK(agrees<P>([](P a, P b) { return maximum(a, b); }, [](T a, T b) { return a > b ? a : b; }));
        CHECK(agrees<P>([](P a, P b) { return minimum(a, b); }, [](T a, T b) { return simd::minimum(a, b); }));
        CHECK(agrees<P>([](P a, P b) { return maximum(a, b); }, [](T a, T b) { return simd::maximum(a, b); }));
    });
}

TEST_CASE("simd: comparisons, masks and select, false for NaN") {
    for_each_pack([](auto example) {
        using P = decltype(example);
        using T = typename P::value_type;
        INFO(isa::name(typename P::isa_type{}) << " " << sizeof(T));
        const P yes(T(1)), no(T(0));
        CHECK(agrees<P>([&](P a, P b) { return select(a < b, yes, no); }, [](T a, T b) { return T(a < b); }));
        CHECK(agrees<P>([&](P a, P b) { return select(a > b, yes, no); }, [](T a, T b) { return T(a > b); }));
        CHECK(agrees<P>([&](P a, P b) { return select(a <= b, yes, no); }, [](T a, T b) { return T(a <= b); }));
        CHECK(agrees<P>([&](P a, P b) { return select(a >= b, yes, no); }, [](T a, T b) { return T(a >= b); }));
        CHECK(agrees<P>([&](P a, P b) { return select(a == b, yes, no); }, [](T a, T b) { return T(a == b); }));
        CHECK(agrees<P>([&](P a, P b) { return select((a < b) & (a < yes), yes, no); },
                        [](T a, T b) { return T(a < b && a < T(1)); }));
        CHECK(agrees<P>([&](P a, P b) { return select((a < b) | (a == b), yes, no); },
                        [](T a, T b) { return T(a < b || a == b); }));
        // select takes either operand as it stands.
        CHECK(agrees<P>([&](P a, P b) { return select(b < a, a, b); }, [](T a, T b) { return b < a ? a : b; }));
    });
}

TEST_CASE("simd: any sees a single lane") {
    for_each_pack([](auto example) {
        using P = decltype(example);
        using T = typename P::value_type;
        CHECK_FALSE(any(P(T(1)) < P(T(0))));
        for (std::size_t k = 0; k < P::lanes; ++k) {
            std::array<T, P::lanes> a{};
            a[k] = T(-1);
            CHECK(any(P::load(a.data()) < P(T(0))));
        }
    });
}

TEST_CASE("simd: lane_bits and lane_counts see every lane by itself") {
    for_each_pack([](auto example) {
        using P = decltype(example);
        using T = typename P::value_type;
        using counts = simd::lane_counts<T, typename P::isa_type>;
        INFO(isa::name(typename P::isa_type{}) << " " << sizeof(T));
        counts sum;
        std::array<typename counts::bits, P::lanes> want{}, got{};
        for (std::uint32_t pattern = 0; pattern < 1u << (P::lanes < 9 ? P::lanes : 9); ++pattern) {
            std::array<T, P::lanes> a{};
            for (std::size_t k = 0; k < P::lanes; ++k) a[k] = T((pattern >> k) & 1u);
            const auto mask = P(T(0)) < P::load(a.data());
            CHECK(lane_bits(mask) == pattern);
            sum.add(mask);
            for (std::size_t k = 0; k < P::lanes; ++k) want[k] += (pattern >> k) & 1u;
        }
        (sum + sum).store(got.data());
        typename counts::bits total = 0;
        for (std::size_t k = 0; k < P::lanes; ++k) {
            CHECK(got[k] == 2 * want[k]);
            total += want[k];
        }
        CHECK(reduce_add(sum) == total);
    });
}

TEST_CASE("simd: mul_add is within one rounding of the exact value") {
    for_each_pack([](auto example) {
        using P = decltype(example);
        using T = typename P::value_type;
        INFO(isa::name(typename P::isa_type{}) << " " << sizeof(T));
        const auto a = ts::random_normal<T>(64 * P::lanes, 0.0, 1.0, 1);
        const auto b = ts::random_normal<T>(64 * P::lanes, 0.0, 1.0, 2);
        const auto c = ts::random_normal<T>(64 * P::lanes, 0.0, 1.0, 3);
        std::vector<T> got(a.size());
        double worst = 0.0;
        for (std::size_t i = 0; i < a.size(); i += P::lanes) {
            mul_add(P::load(&a[i]), P::load(&b[i]), P::load(&c[i])).store(&got[i]);
        }
        for (std::size_t i = 0; i < a.size(); ++i) {
            const long double want = static_cast<long double>(a[i]) * b[i] + c[i];
            const auto size =
                std::fabs(static_cast<double>(a[i]) * static_cast<double>(b[i])) + std::fabs(static_cast<double>(c[i]));
            worst = std::fmax(worst, static_cast<double>(std::fabs(static_cast<long double>(got[i]) - want)) / size);
        }
        CHECK(worst <= static_cast<double>(std::numeric_limits<T>::epsilon()));
    });
}

TEST_CASE("simd: bit operations act on the representation") {
    for_each_pack([](auto example) {
        using P = decltype(example);
        using T = typename P::value_type;
        using format = simd::float_format<T>;
        using bits = typename format::bits;
        INFO(isa::name(typename P::isa_type{}) << " " << sizeof(T));
        const auto of = [](T x) {
            bits b;
            std::memcpy(&b, &x, sizeof b);
            return b;
        };
        const auto to = [](bits b) {
            T x;
            std::memcpy(&x, &b, sizeof x);
            return x;
        };
        constexpr int m = format::mantissa_bits;
        CHECK(agrees<P>([](P a, P) { return bits_and(a, format::mantissa_mask); },
                        [&](T a, T) { return to(of(a) & format::mantissa_mask); }));
        CHECK(
            agrees<P>([](P a, P) { return bits_or(a, format::one); }, [&](T a, T) { return to(of(a) | format::one); }));
        CHECK(agrees<P>([](P a, P) { return simd::bits_shift_left<m>(a); },
                        [&](T a, T) { return to(static_cast<bits>(of(a) << m)); }));
        CHECK(agrees<P>([](P a, P) { return simd::bits_shift_right<m>(a); },
                        [&](T a, T) { return to(static_cast<bits>(of(a) >> m)); }));
        CHECK(agrees<P>([](P a, P) { return bits_and(a, format::mantissa_mask); },
                        [](T a, T) { return simd::bits_and(a, format::mantissa_mask); }));
        CHECK(of(T(1)) == format::one);
    });
}

TEST_CASE("simd: loads and stores, whole and partial") {
    for_each_pack([](auto example) {
        using P = decltype(example);
        using T = typename P::value_type;
        INFO(isa::name(typename P::isa_type{}) << " " << sizeof(T));
        for (const std::size_t offset : {0u, 1u, 3u}) {
            ts::placed<T> in(P::lanes, offset), out(P::lanes + 1, offset, T(-7));
            for (std::size_t k = 0; k < P::lanes; ++k) in.data()[k] = static_cast<T>(k + 1);
            P::load(in.data()).store(out.data());
            for (std::size_t k = 0; k < P::lanes; ++k) CHECK(out.data()[k] == in.data()[k]);
            CHECK(out.data()[P::lanes] == T(-7));
            for (std::size_t count = 0; count < P::lanes; ++count) {
                // A block that ends where the data ends.
                const std::vector<T> head(in.data(), in.data() + count);
                const auto padded = lanes_of<P>(P::load_padded(head.data(), count, T(9)));
                for (std::size_t k = 0; k < P::lanes; ++k) CHECK(padded[k] == (k < count ? in.data()[k] : T(9)));
                std::vector<T> written(count);
                P::load(in.data()).store_head(written.data(), count);
                CHECK(written == head);
            }
        }
    });
}

TEST_CASE("simd: reduce_add sums all lanes") {
    for_each_pack([](auto example) {
        using P = decltype(example);
        using T = typename P::value_type;
        std::array<T, P::lanes> a;
        for (std::size_t k = 0; k < P::lanes; ++k) a[k] = static_cast<T>(std::size_t{1} << k);
        CHECK(reduce_add(P::load(a.data())) == static_cast<T>((std::size_t{1} << P::lanes) - 1));
        CHECK(reduce_add(P(T(0.5))) == T(0.5) * static_cast<T>(P::lanes));
    });
}

TEST_CASE("simd: gather takes the indexed entries") {
    for_each_pack([](auto example) {
        using P = decltype(example);
        using T = typename P::value_type;
        const auto table = ts::random_normal<T>(100);
        std::array<std::int32_t, P::lanes> index;
        for (std::size_t k = 0; k < P::lanes; ++k) index[k] = static_cast<std::int32_t>((k * 37 + 99) % 100);
        const auto got = lanes_of<P>(simd::gather<typename P::isa_type>(table.data(), index.data()));
        for (std::size_t k = 0; k < P::lanes; ++k) CHECK(got[k] == table[static_cast<std::size_t>(index[k])]);
    });
}

TEST_CASE("simd: transform treats tails as it treats the rest") {
    for_each_pack([](auto example) {
        using P = decltype(example);
        using T = typename P::value_type;
        const auto kernel = [](reckon::vector_view<const T> in, reckon::vector_view<T> out) {
            simd::transform<typename P::isa_type>(in.data(), out.data(), in.size(), T(0),
                                                  [](P x) { return mul_add(x, x, P(T(1)) / (x + P(T(3)))); });
        };
        CHECK_LAW(reckon::testing::check_tails(kernel, ts::random_normal<T>(50)));
    });
}

TEST_CASE("simd: lane counts fill the registers") {
    static_assert(simd::pack<float, isa::scalar>::lanes == 1);
#if defined(__SSE2__)
    static_assert(simd::pack<float, isa::sse2>::lanes == 4);
    static_assert(simd::pack<double, isa::sse2>::lanes == 2);
#endif
#if defined(__AVX2__) && defined(__FMA__)
    static_assert(simd::pack<float, isa::avx2>::lanes == 8);
    static_assert(simd::pack<double, isa::avx2>::lanes == 4);
#endif
    static_assert(std::is_same_v<simd::lane_t<simd::pack<double>>, double>);
    static_assert(std::is_same_v<simd::lane_t<float>, float>);
    CHECK(simd::pack<float>::lanes == 2 * simd::pack<double>::lanes - (simd::pack<float>::lanes == 1 ? 1 : 0));
}
