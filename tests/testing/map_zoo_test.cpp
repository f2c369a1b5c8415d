// Broken maps and gradients, and the check that must catch each.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "reckon/core/math.hpp"
#include "reckon/core/simd.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"

namespace ts = reckon::testing_support;
using namespace reckon::testing;
using reckon::matrix_view;
using reckon::vector_view;
using pack = reckon::simd::pack<float>;

namespace {

void sound(vector_view<const float> in, vector_view<float> out) {
    reckon::simd::transform(in.data(), out.data(), in.size(), 0.0f, [](pack x) { return reckon::math::sigmoid(x); });
}

// The kernels below that leave their memory do so only where the check has put guard bands, so that this program itself
// stays sound: the first 32 runs over 2 elements.
bool between_guards(std::size_t n) {
    static thread_local std::size_t runs = 0;
    if (n != 2) {
        runs = 0;
        return false;
    }
    return runs++ < 32;
}

std::vector<float> inputs() {
    auto values = ts::random_normal<float>(40, 0.0, 5.0);
    for (const float x : ts::finite_extremes<float>()) values.push_back(x);
    return values;
}

}  // namespace

TEST_CASE("check_tails: a map over padded packs passes") {
    const report r = check_tails(sound, inputs());
    CHECK(r.ok);
    CHECK(r.message.empty());
    CHECK(r.cases > 3 * 73 * 32);
    const auto widen = [](vector_view<const float> in, vector_view<double> out) {
        for (std::size_t i = 0; i < in.size(); ++i) out[i] = 2.0 * static_cast<double>(in[i]);
    };
    CHECK_LAW(check_tails<double>(widen, inputs()));
}

TEST_CASE("check_tails: catches another formula in the tail") {
    const auto kernel = [](vector_view<const float> in, vector_view<float> out) {
        const std::size_t body = in.size() / pack::lanes * pack::lanes;
        sound(in.slice(0, body), out);
        for (std::size_t i = body; i < in.size(); ++i) out[i] = 1.0f / (1.0f + std::exp(-in[i]));
    };
    CHECK_FALSE(check_tails(kernel, inputs()).ok);
}

TEST_CASE("check_tails: catches a tail that is forgotten") {
    const auto kernel = [](vector_view<const float> in, vector_view<float> out) {
        if (in.size() < 5) return sound(in, out);
        sound(in.slice(0, in.size() / 4 * 4), out);
    };
    CHECK_FALSE(check_tails(kernel, inputs()).ok);
}

TEST_CASE("check_tails: catches writes past the end") {
    // Stores whole packs of 4; its own buffer has room, so only the guard bands notice.
    std::vector<float> room(2048);
    const auto kernel = [&](vector_view<const float> in, vector_view<float> out) {
        const std::size_t n = in.size();
        sound(in, {room.data(), n});
        const std::size_t stored = between_guards(n) ? 4 : n;
        for (std::size_t i = 0; i < stored; ++i) out.data()[i] = room[i];
    };
    const report r = check_tails(kernel, inputs());
    CHECK_FALSE(r.ok);
    CHECK(r.message == "check_tails: a run over 2 elements writes beyond its output");
}

TEST_CASE("check_tails: catches results that depend on what lies past the end") {
    const auto kernel = [](vector_view<const float> in, vector_view<float> out) {
        for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i];
        // Forgets to mask the lane after the last.
        if (between_guards(in.size())) out[1] = (in[1] + in.data()[2]) - in.data()[2];
    };
    const report r = check_tails(kernel, std::vector<float>{1.1f, 2.2f, 3.3f, 4.4f});
    CHECK_FALSE(r.ok);
    CHECK(r.message == "check_tails: element 1 of 2 differs from a run on it alone");
}

TEST_CASE("check_tails: catches dependence on position") {
    const auto kernel = [](vector_view<const float> in, vector_view<float> out) {
        for (std::size_t i = 0; i < in.size(); ++i) out[i] = i % 16 == 15 ? in[i] * 1.0000001f : in[i];
    };
    const report r = check_tails(kernel, std::vector<float>{1, 2, 3, 4, 5});
    CHECK_FALSE(r.ok);
    CHECK(r.message == "check_tails: element 15 of 16 differs from a run on it alone");
}

TEST_CASE("check_tails: catches dependence on alignment") {
    const auto kernel = [](vector_view<const float> in, vector_view<float> out) {
        const bool aligned = reinterpret_cast<std::uintptr_t>(in.data()) % 16 == 0;
        for (std::size_t i = 0; i < in.size(); ++i) out[i] = aligned ? in[i] * 3.0f : in[i] + in[i] * 2.0000002f;
    };
    CHECK_FALSE(check_tails(kernel, inputs()).ok);
}

TEST_CASE("check_tails: catches a map that cannot run in place") {
    const auto kernel = [](vector_view<const float> in, vector_view<float> out) {
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = 0.0f;
        for (std::size_t i = 0; i < out.size(); ++i) out[i] += in[i];
    };
    CHECK_FALSE(check_tails(kernel, inputs()).ok);
    CHECK_LAW(check_tails(kernel, std::vector<float>{1, 2, 3}, {.in_place = false}));
}

TEST_CASE("check_tails: catches a map that changes its input") {
    const auto kernel = [](vector_view<const float> in, vector_view<float> out) {
        for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i];
        if (in.size() > 1) const_cast<float*>(in.data())[0] = 9.0f;
    };
    CHECK_FALSE(check_tails(kernel, std::vector<float>{1, 2, 3}, {.in_place = false}).ok);
}

namespace {

void row_sums(matrix_view<const float> in, matrix_view<float> out) {
    for (std::size_t r = 0; r < in.rows(); ++r) {
        float sum = 0.0f;
        for (std::size_t c = 0; c < in.cols(); ++c) sum += in(r, c);
        out(r, 0) = sum;
    }
}

}  // namespace

TEST_CASE("check_strides: a kernel that uses the strides passes") {
    const auto values = ts::random_normal<float>(7 * 5);
    CHECK_LAW(check_strides<float>(row_sums, values, 7, 5, 7, 1));
}

TEST_CASE("check_strides: catches an ignored input or output stride and writes into gaps") {
    const auto values = ts::random_normal<float>(7 * 5);
    const auto ignores_in = [](matrix_view<const float> in, matrix_view<float> out) {
        row_sums({in.data(), in.rows(), in.cols()}, out);
    };
    CHECK_FALSE(check_strides<float>(ignores_in, values, 7, 5, 7, 1).ok);
    const auto ignores_out = [](matrix_view<const float> in, matrix_view<float> out) {
        row_sums(in, {out.data(), out.rows(), out.cols()});
    };
    CHECK_FALSE(check_strides<float>(ignores_out, values, 7, 5, 7, 1).ok);
    const auto clears_gaps = [](matrix_view<const float> in, matrix_view<float> out) {
        for (std::size_t r = 0; r < out.rows(); ++r) {
            for (std::size_t c = 0; c < (r + 1 < out.rows() ? out.stride() : 1); ++c)
                out.data()[r * out.stride() + c] = 0;
        }
        row_sums(in, out);
    };
    CHECK_FALSE(check_strides<float>(clears_gaps, values, 7, 5, 7, 1).ok);
}

TEST_CASE("check_nan_propagates: catches swallowed and spreading NaN") {
    const auto values = ts::random_normal<float>(37);
    CHECK_LAW(check_nan_propagates(sound, values));
    const auto swallows = [](vector_view<const float> in, vector_view<float> out) {
        for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i] > 0.0f ? in[i] : 0.0f;
    };
    CHECK_FALSE(check_nan_propagates(swallows, values).ok);
    const auto spreads = [](vector_view<const float> in, vector_view<float> out) {
        float largest = 0.0f;
        for (const float x : in) largest = std::isnan(x) || largest < x ? x : largest;
        for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i] - largest;
    };
    CHECK_FALSE(check_nan_propagates(spreads, values).ok);
}

namespace {

// sum of softplus(x_i) + x_0 * x_1 / 2
double value(vector_view<const double> x) {
    double sum = 0.5 * x[0] * x[1];
    for (const double v : x) sum += reckon::math::softplus(v);
    return sum;
}
void gradient(vector_view<const double> x, vector_view<double> out) {
    for (std::size_t i = 0; i < x.size(); ++i) out[i] += reckon::math::sigmoid(x[i]);
    out[0] += 0.5 * x[1];
    out[1] += 0.5 * x[0];
}

}  // namespace

TEST_CASE("check_gradient: a right gradient passes, from tiny to huge arguments") {
    CHECK_LAW(check_gradient(value, gradient, {0.3, -1.2, 2.5, 0.0, -20.0}));
    CHECK_LAW(check_gradient(value, gradient, {1e4, -1e3, 1e-8}));
    CHECK_LAW(check_gradient(value, gradient, ts::random_normal<double>(300)));
    const auto float_value = [](vector_view<const double> x) {
        float sum = 0.0f;
        for (const double v : x) sum += reckon::math::softplus(static_cast<float>(v));
        return static_cast<double>(sum);
    };
    const auto float_gradient = [](vector_view<const double> x, vector_view<double> out) {
        for (std::size_t i = 0; i < x.size(); ++i) out[i] += reckon::math::sigmoid(x[i]);
    };
    CHECK_LAW(check_gradient(float_value, float_gradient, {0.3, -1.2, 2.5}, {.tolerance = 1e-3, .noise = 1.2e-7}));
}

TEST_CASE("check_gradient: catches a wrong sign, a wrong factor and a forgotten term") {
    const std::vector<double> point{0.3, -1.2, 2.5, 0.1};
    const auto wrong_sign = [](vector_view<const double> x, vector_view<double> out) {
        std::vector<double> g(x.size(), 0.0);
        gradient(x, vector_view<double>(g.data(), g.size()));
        for (std::size_t i = 0; i < x.size(); ++i) out[i] -= g[i];
    };
    CHECK_FALSE(check_gradient(value, wrong_sign, point).ok);
    const auto wrong_factor = [](vector_view<const double> x, vector_view<double> out) {
        std::vector<double> g(x.size(), 0.0);
        gradient(x, vector_view<double>(g.data(), g.size()));
        for (std::size_t i = 0; i < x.size(); ++i) out[i] += g[i] * 1.00001;
    };
    CHECK_FALSE(check_gradient(value, wrong_factor, point).ok);
    const auto forgets_a_term = [](vector_view<const double> x, vector_view<double> out) {
        gradient(x, out);
        out[1] -= 0.5 * x[0];
    };
    CHECK_FALSE(check_gradient(value, forgets_a_term, point).ok);
}

TEST_CASE("check_gradient: the random direction sees components that were not drawn") {
    std::vector<double> point = ts::random_normal<double>(200);
    const auto wrong_at_117 = [](vector_view<const double> x, vector_view<double> out) {
        gradient(x, out);
        out[117] += 0.01;
    };
    CHECK_FALSE(check_gradient(value, wrong_at_117, point, {.max_components = 1}).ok);
}

TEST_CASE("check_gradient: catches overwriting where adding was promised, and the reverse") {
    const std::vector<double> point{0.3, -1.2, 2.5, 0.1};
    const auto overwrites = [](vector_view<const double> x, vector_view<double> out) {
        for (double& g : out) g = 0.0;
        gradient(x, out);
    };
    CHECK_FALSE(check_gradient(value, overwrites, point).ok);
    CHECK_LAW(check_gradient(value, overwrites, point, {.adds = false}));
    CHECK_FALSE(check_gradient(value, gradient, point, {.adds = false}).ok);
}
