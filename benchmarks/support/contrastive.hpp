// Batches of unit rows, the contrastive losses of them and their errors, for the benchmarks that time these.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/core/random.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/losses/clip_loss.hpp"
#include "reckon/losses/info_nce.hpp"
#include "reckon/losses/sampled_softmax.hpp"

namespace reckon::bench {

inline constexpr double temperature = 0.05;

struct batch {
    std::size_t n, depth;
    std::vector<float> q, k, dq, dk, lse, column_lse, log_q;
    batch(std::size_t rows, std::size_t d)
        : n(rows), depth(d), q(unit(1)), k(unit(2)), dq(n * d), dk(n * d), lse(n), column_lse(n), log_q(n) {
        const random_stream rng(3);
        for (std::size_t j = 0; j < n; ++j) log_q[j] = static_cast<float>(-8.0 * rng.uniform(j));
    }
    std::vector<float> unit(std::uint64_t seed) const {
        const random_stream rng(seed);
        std::vector<float> x(n * depth);
        for (std::size_t i = 0; i < n; ++i) {
            double square = 0.0;
            for (std::size_t c = 0; c < depth; ++c) {
                x[i * depth + c] = static_cast<float>(rng.uniform(i * depth + c) - 0.5);
                square += static_cast<double>(x[i * depth + c]) * static_cast<double>(x[i * depth + c]);
            }
            for (std::size_t c = 0; c < depth; ++c) x[i * depth + c] *= static_cast<float>(1.0 / std::sqrt(square));
        }
        return x;
    }
    matrix_view<const float> queries() const { return {q.data(), n, depth}; }
    matrix_view<const float> keys() const { return {k.data(), n, depth}; }
    contrastive_gradients<float> gradients() {
        return {matrix_view<float>(dq.data(), n, depth), matrix_view<float>(dk.data(), n, depth)};
    }
};

template <class Policy = exec::serial_policy>
double info_nce(batch& b, const Policy& where = exec::serial) {
    return reckon::info_nce(where, b.queries(), b.keys(), b.lse, {temperature}).sum();
}
template <class Policy = exec::serial_policy>
double info_nce_gradients(batch& b, const Policy& where = exec::serial) {
    return reckon::info_nce(where, b.queries(), b.keys(), b.lse, {temperature}, b.gradients()).sum();
}
template <class Policy = exec::serial_policy>
double clip(batch& b, const Policy& where = exec::serial) {
    return reckon::clip_loss(where, b.queries(), b.keys(), b.lse, b.column_lse, {temperature}).sum();
}
template <class Policy = exec::serial_policy>
double clip_gradients(batch& b, const Policy& where = exec::serial) {
    return reckon::clip_loss(where, b.queries(), b.keys(), b.lse, b.column_lse, {temperature}, b.gradients()).sum();
}
template <class Policy = exec::serial_policy>
double sampled_softmax(batch& b, const Policy& where = exec::serial) {
    return reckon::sampled_softmax(where, b.queries(), b.keys(), b.log_q, b.lse, {temperature}).sum();
}
template <class Policy = exec::serial_policy>
double sampled_softmax_gradients(batch& b, const Policy& where = exec::serial) {
    return reckon::sampled_softmax(where, b.queries(), b.keys(), b.log_q, b.lse, {temperature}, b.gradients()).sum();
}
// The sums that the kernel wrote, on a few rows and columns.
enum class kind { plain, sampled, symmetric };
inline double error_of(batch& b, kind which) {
    double worst = 0.0;
    for (std::size_t i = 0; i < b.n; i += b.n / 7 + 1) {
        double across = 0.0, down = 0.0;
        for (std::size_t j = 0; j < b.n; ++j) {
            double row = 0.0, column = 0.0;
            for (std::size_t c = 0; c < b.depth; ++c) {
                row += static_cast<double>(b.q[i * b.depth + c]) * static_cast<double>(b.k[j * b.depth + c]);
                column += static_cast<double>(b.q[j * b.depth + c]) * static_cast<double>(b.k[i * b.depth + c]);
            }
            across += std::exp(row / temperature - (which == kind::sampled ? static_cast<double>(b.log_q[j]) : 0.0));
            down += std::exp(column / temperature);
        }
        worst = std::fmax(worst, std::fabs(static_cast<double>(b.lse[i]) / std::log(across) - 1.0));
        if (which == kind::symmetric)
            worst = std::fmax(worst, std::fabs(static_cast<double>(b.column_lse[i]) / std::log(down) - 1.0));
    }
    return worst;
}

}  // namespace reckon::bench
