// Elementary functions: oracle values, extremes, every instruction set of this build. All floats: tests/exhaustive.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "reckon/core/math.hpp"
#include "reckon/core/simd.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace ts = reckon::testing_support;
namespace isa = reckon::isa;
namespace math = reckon::math;
using reckon::vector_view;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

// Bounds of the double versions in ULP, which cannot be swept; those of float are in tests/exhaustive.
struct exp_function {
    static constexpr const char* name = "exp";
    static constexpr double bound = 1.5;
    template <class V>
    static V apply(V x) {
        return math::exp(x);
    }
};
struct log_function {
    static constexpr const char* name = "log";
    static constexpr double bound = 2.0;
    template <class V>
    static V apply(V x) {
        return math::log(x);
    }
};
struct log1p_function {
    static constexpr const char* name = "log1p";
    static constexpr double bound = 2.0;
    template <class V>
    static V apply(V x) {
        return math::log1p(x);
    }
};
struct sigmoid_function {
    static constexpr const char* name = "sigmoid";
    static constexpr double bound = 2.5;
    template <class V>
    static V apply(V x) {
        return math::sigmoid(x);
    }
};
struct softplus_function {
    static constexpr const char* name = "softplus";
    static constexpr double bound = 3.0;
    template <class V>
    static V apply(V x) {
        return math::softplus(x);
    }
};
struct log_sigmoid_function {
    static constexpr const char* name = "log_sigmoid";
    static constexpr double bound = 3.0;
    template <class V>
    static V apply(V x) {
        return math::log_sigmoid(x);
    }
};
struct logit_function {
    static constexpr const char* name = "logit";
    static constexpr double bound = 4.6;
    template <class V>
    static V apply(V x) {
        return math::logit(x);
    }
};

template <class F, class T, class Isa>
void map(vector_view<const T> in, vector_view<T> out) {
    using pack = reckon::simd::pack<T, Isa>;
    reckon::simd::transform<Isa>(in.data(), out.data(), in.size(), T(0), [](pack x) { return F::apply(x); });
}

// Calls body(isa, function) for every pair.
template <class Body>
void for_each_pair(Body body) {
    const auto functions = [&](auto set) {
        body(set, exp_function{});
        body(set, log_function{});
        body(set, log1p_function{});
        body(set, sigmoid_function{});
        body(set, softplus_function{});
        body(set, log_sigmoid_function{});
        body(set, logit_function{});
    };
    functions(isa::scalar{});
#if defined(__SSE2__)
    functions(isa::sse2{});
#endif
    if constexpr (!std::is_same_v<isa::native, isa::scalar> && !std::is_same_v<isa::native, isa::sse2>) {
        functions(isa::native{});
    }
}

}  // namespace

TEST_CASE("math: double agrees with the oracle on every instruction set") {
    const ts::fixture oracle("core.txt");
    for_each_pair([&](auto set, auto function) {
        using Isa = decltype(set);
        using F = decltype(function);
        INFO(F::name << " " << isa::name(set));
        const std::vector<double>& x = oracle[std::string(F::name) + ".x"];
        const std::vector<double>& y = oracle[std::string(F::name) + ".y"];
        std::vector<double> got(x.size());
        map<F, double, Isa>(reckon::input(x), reckon::view(got));
        CHECK_ALL_NEAR(got, y, ts::ulp(F::bound));
        for (std::size_t i = 0; i < x.size(); ++i) got[i] = F::apply(x[i]);
        CHECK_ALL_NEAR(got, y, ts::ulp(F::bound));
    });
}

TEST_CASE("math: tails, alignment and neighbours do not matter") {
    for_each_pair([](auto set, auto function) {
        using Isa = decltype(set);
        using F = decltype(function);
        INFO(F::name << " " << isa::name(set));
        auto floats = ts::random_uniform<float>(40, 0.0, 1.0);
        auto doubles = ts::random_normal<double>(40, 0.0, 30.0);
        for (const float v : ts::finite_extremes<float>()) floats.push_back(v);
        for (const double v : ts::finite_extremes<double>()) doubles.push_back(v);
        for (const double v : ts::extreme_probabilities<double>()) doubles.push_back(v);
        // NaN results differ in sign and payload between packs and single values, so domains are kept.
        const auto inside = [](auto& values) { std::erase_if(values, [](auto v) { return std::isnan(F::apply(v)); }); };
        inside(floats);
        inside(doubles);
        CHECK_LAW(reckon::testing::check_tails(map<F, float, Isa>, floats, {.all_lengths_to = 20}));
        CHECK_LAW(reckon::testing::check_tails(map<F, double, Isa>, doubles, {.all_lengths_to = 20}));
    });
}

TEST_CASE("math: NaN comes out where it went in") {
    for_each_pair([](auto set, auto function) {
        using Isa = decltype(set);
        using F = decltype(function);
        INFO(F::name << " " << isa::name(set));
        const auto values = ts::random_uniform<float>(19, 0.0, 1.0);
        CHECK_LAW(reckon::testing::check_nan_propagates(map<F, float, Isa>, values));
        const auto wide = ts::random_uniform<double>(19, 0.0, 1.0);
        CHECK_LAW(reckon::testing::check_nan_propagates(map<F, double, Isa>, wide));
    });
}

TEST_CASE("math: limits and poles") {
    CHECK(math::exp(-inf) == 0.0);
    CHECK(math::exp(inf) == inf);
    CHECK(math::exp(0.0) == 1.0);
    CHECK(math::log(0.0) == -inf);
    CHECK(math::log(inf) == inf);
    CHECK(math::log(1.0) == 0.0);
    CHECK(std::isnan(math::log(-1.0)));
    CHECK(std::isnan(math::log(-inf)));
    CHECK(math::log1p(-1.0) == -inf);
    CHECK(math::log1p(inf) == inf);
    CHECK(std::isnan(math::log1p(-1.5)));
    CHECK(std::isnan(math::log1p(-inf)));
    CHECK(math::log1p(-0.0) == 0.0);
    CHECK(std::signbit(math::log1p(-0.0)));
    CHECK(math::sigmoid(-inf) == 0.0);
    CHECK(math::sigmoid(inf) == 1.0);
    CHECK(math::sigmoid(0.0) == 0.5);
    CHECK(math::softplus(-inf) == 0.0);
    CHECK(math::softplus(inf) == inf);
    CHECK(math::log_sigmoid(-inf) == -inf);
    CHECK(math::log_sigmoid(inf) == 0.0);
    CHECK(math::logit(0.0) == -inf);
    CHECK(math::logit(1.0) == inf);
    CHECK(math::logit(0.5) == 0.0);
    for (const double outside : {-1e-300, -1.0, 1.0000000000000002, inf, -inf, nan_value}) {
        CHECK(std::isnan(math::logit(outside)));
    }
}

TEST_CASE("math: symmetries and inverses") {
    for (const double x : ts::random_normal<double>(500, 0.0, 8.0)) {
        CHECK_NEAR(math::sigmoid(x) + math::sigmoid(-x), 1.0, ts::probability());
        CHECK(math::log_sigmoid(x) == -math::softplus(-x));
        // sigmoid(x) near 1 has lost the digits of x: d logit / d p = 1 / (p (1 - p)).
        const double p = math::sigmoid(x);
        CHECK_NEAR(math::logit(p), x,
                   ts::tolerance{.absolute = ts::probability().absolute * (std::fabs(x) + 1 / (1 - p))});
        CHECK(p >= 0.0);
        CHECK(p <= 1.0);
    }
}

TEST_CASE("math: derivatives of softplus and log_sigmoid") {
    const auto value = [](vector_view<const double> x) {
        double sum = 0.0;
        for (const double v : x) sum += math::softplus(v) + 0.5 * math::log_sigmoid(v);
        return sum;
    };
    const auto gradient = [](vector_view<const double> x, vector_view<double> out) {
        for (std::size_t i = 0; i < x.size(); ++i) out[i] += math::sigmoid(x[i]) + 0.5 * math::sigmoid(-x[i]);
    };
    CHECK_LAW(reckon::testing::check_gradient(value, gradient, ts::random_normal<double>(20, 0.0, 3.0)));
}
