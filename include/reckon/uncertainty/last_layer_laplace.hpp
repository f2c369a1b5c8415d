// Bayesian linear regression on the last layer: posterior variance x' A^-1 x of a head's output, as LinUCB uses it.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// Embeddings with a target and a weight each.
///
/// Shapes    x [N, D]; targets, weights [N], or empty for zeros and ones.
template <class T>
struct embedded_rows {
    matrix_view<const T> x;
    vector_view<const T> targets, weights;

    constexpr std::size_t size() const noexcept { return x.rows(); }
    constexpr embedded_rows slice(std::size_t first, std::size_t count) const noexcept {
        return {x.slice(first, count), targets.slice(first, count), weights.slice(first, count)};
    }
};

/// Sums of a linear regression: a mergeable state.
///
///   S = sum_i w_i x_i x_i',   b = sum_i w_i x_i y_i
///
/// For the Laplace approximation of a logistic head give w = p (1 - p) and no targets. Rows with a value that is not
/// finite, or a negative weight, are counted and skipped.
///
/// Law       within roundings of the sums; exact for integers. The identity is a state of the same dimension.
/// Cost      D (D + 1) / 2 multiply-adds a row; as many doubles.
class linear_sums {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("LSUM");
    static constexpr std::uint32_t bytes_version = 1;
    static constexpr std::size_t max_dimension = 4096;

    /// Throws    std::invalid_argument unless 1 <= dimension <= max_dimension.
    explicit linear_sums(std::size_t dimension) : dimension_(dimension) {
        expects(legal(dimension), "linear_sums", "dimension must be in [1, 4096], got ", dimension);
        products_.resize(dimension * (dimension + 1) / 2);
        targets_.resize(dimension);
    }

    std::size_t dimension() const noexcept { return dimension_; }
    /// Element (i, j) of S.
    double product(std::size_t i, std::size_t j) const noexcept {
        return i >= j ? products_[i * (i + 1) / 2 + j] : products_[j * (j + 1) / 2 + i];
    }
    /// b.
    const std::vector<double>& targets() const noexcept { return targets_; }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }

    /// Throws    std::invalid_argument when rows have another number of columns.
    template <class T>
    void absorb(const embedded_rows<T>& rows) {
        expects(rows.size() == 0 || rows.x.cols() == dimension_, "linear_sums", "rows of ", rows.x.cols(),
                " columns for dimension ", dimension_);
        for (std::size_t r = 0; r < rows.size(); ++r) {
            const vector_view<const T> x = rows.x.row(r);
            const double w = rows.weights.empty() ? 1.0 : static_cast<double>(rows.weights[r]);
            const double y = rows.targets.empty() ? 0.0 : static_cast<double>(rows.targets[r]);
            bool ok = std::isfinite(w) && w >= 0.0 && std::isfinite(y);
            for (const T v : x) ok = ok && std::isfinite(v);
            seen_.absorb(ok);
            if (!ok) continue;
            double* out = products_.data();
            for (std::size_t i = 0; i < dimension_; ++i) {
                const double wx = w * static_cast<double>(x[i]);
                targets_[i] += wx * y;
                for (std::size_t j = 0; j <= i; ++j) *out++ += wx * static_cast<double>(x[j]);
            }
        }
    }
    /// Throws    std::invalid_argument when the dimensions differ.
    void merge(const linear_sums& other) {
        expects(dimension_ == other.dimension_, "linear_sums::merge", "dimension ", dimension_, " here, ",
                other.dimension_, " there");
        for (std::size_t i = 0; i < products_.size(); ++i) products_[i] += other.products_[i];
        for (std::size_t i = 0; i < dimension_; ++i) targets_[i] += other.targets_[i];
        seen_.merge(other.seen_);
    }

    void write(byte_writer& out) const {
        out.put(static_cast<std::uint64_t>(dimension_));
        out.put_array(products_);
        out.put_array(targets_);
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static linear_sums read(byte_reader& in) {
        const auto dimension = in.get<std::uint64_t>();
        expects_bytes(legal(dimension), "linear_sums", "dimension ", dimension);
        const auto d = static_cast<std::size_t>(dimension);
        auto products = in.get_array<double>(d * (d + 1) / 2);
        auto targets = in.get_array<double>(d);
        expects_bytes(products.size() == d * (d + 1) / 2 && targets.size() == d, "linear_sums",
                      "the sums do not fit dimension ", dimension);
        for (const double v : products) expects_bytes(std::isfinite(v), "linear_sums", "a product is not finite");
        for (const double v : targets) expects_bytes(std::isfinite(v), "linear_sums", "a target is not finite");
        for (std::size_t i = 0; i < d; ++i) {
            expects_bytes(products[i * (i + 1) / 2 + i] >= 0.0, "linear_sums", "a square is negative");
        }
        linear_sums sums(d);
        sums.products_ = std::move(products);
        sums.targets_ = std::move(targets);
        sums.seen_.accepted = in.get<std::uint64_t>();
        sums.seen_.rejected = in.get<std::uint64_t>();
        return sums;
    }

  private:
    static bool legal(std::uint64_t dimension) noexcept { return dimension >= 1 && dimension <= max_dimension; }

    std::size_t dimension_;
    std::vector<double> products_;  // lower triangle, row after row
    std::vector<double> targets_;
    counts seen_;
};

/// Sums over the rows of a table.
///
/// Shapes    x [N, D]; targets, weights [N] or none.
/// Returns   linear_sums; merges over shards.
/// Throws    std::invalid_argument on shapes. Counts and skips bad rows.
template <exec::policy Policy, class X, class Y = none, class W = none, class Isa = isa::native>
linear_sums sum_linear(const Policy& where, const X& x, const Y& targets = {}, const W& weights = {}) {
    embedded_rows<typename decltype(input(x))::value_type> rows;
    rows.x = input(x);
    if constexpr (!std::is_same_v<Y, none>) rows.targets = input(targets);
    if constexpr (!std::is_same_v<W, none>) rows.weights = input(weights);
    expects(rows.targets.empty() || rows.targets.size() == rows.size(), "sum_linear", rows.size(), " rows but ",
            rows.targets.size(), " targets");
    expects(rows.weights.empty() || rows.weights.size() == rows.size(), "sum_linear", rows.size(), " rows but ",
            rows.weights.size(), " weights");
    return exec::fold_parts(where, linear_sums(rows.x.cols()), rows);
}

/// Posterior of the weights of a linear head: N(A^-1 b, noise^2 A^-1), A = S + ridge I.
///
///   mean(x) = x' A^-1 b,   variance(x) = noise^2 x' A^-1 x         variance of the mean, without the noise of a label
///
/// Throws    std::invalid_argument when ridge or noise is not positive and finite, when A is not positive definite in
///           double, or on shapes. Maps propagate NaN.
/// Cost      D^3 once; D^2 multiply-adds for a variance; update(): 2 D^2.
/// Numerics  double. update() keeps A^-1 by the formula of Sherman and Morrison: within about cond(A) * 1e-16 a step of
///           the fresh inverse, so rebuild it from the sums now and then.
/// Source    MacKay 1992; Li et al. 2010 for the bonus of LinUCB; Sherman and Morrison 1950.
class last_layer_laplace {
  public:
    explicit last_layer_laplace(const linear_sums& sums, double ridge = 1.0, double noise = 1.0)
        : dimension_(sums.dimension()), noise_(noise), inverse_(dimension_ * dimension_), weights_(dimension_) {
        expects(ridge > 0.0 && std::isfinite(ridge), "last_layer_laplace", "ridge must be positive, got ", ridge);
        expects(noise > 0.0 && std::isfinite(noise), "last_layer_laplace", "noise must be positive, got ", noise);
        invert(sums, ridge);
        for (std::size_t i = 0; i < dimension_; ++i) {
            for (std::size_t j = 0; j < dimension_; ++j)
                weights_[i] += inverse_[i * dimension_ + j] * sums.targets()[j];
        }
    }

    std::size_t dimension() const noexcept { return dimension_; }
    double noise() const noexcept { return noise_; }
    /// A^-1, row after row.
    const std::vector<double>& inverse() const noexcept { return inverse_; }
    /// A^-1 b.
    const std::vector<double>& weights() const noexcept { return weights_; }

    template <vector_like X>
    double mean(const X& x) const {
        const auto v = checked(input(x));
        double sum = 0.0;
        for (std::size_t i = 0; i < dimension_; ++i) sum += weights_[i] * static_cast<double>(v[i]);
        return sum;
    }
    template <vector_like X>
    double variance(const X& x) const {
        return noise_ * noise_ * quadratic(checked(input(x)));
    }
    /// Variance of every row of x [N, D] into out [N], float or double.
    template <exec::policy Policy, class X, vector_like Out, class Isa = isa::native>
    void variance(const Policy& where, const X& x, Out&& out) const {
        const auto rows = input(x);
        const auto to = view(out);
        using T = typename decltype(to)::value_type;
        expects(rows.rows() == to.size(), "last_layer_laplace", rows.rows(), " rows but room for ", to.size());
        expects(rows.empty() || rows.cols() == dimension_, "last_layer_laplace", "rows of ", rows.cols(),
                " columns for dimension ", dimension_);
        exec::map_parts(
            where, rows.rows(),
            [&](std::size_t first, std::size_t count) {
                for (std::size_t r = first; r < first + count; ++r) {
                    to[r] = static_cast<T>(noise_ * noise_ * quadratic(rows.row(r)));
                }
            },
            256);
    }

    /// Takes one more example: the posterior that the sums with it would give.
    ///
    /// Throws    std::invalid_argument on shape, and for a value that is not finite or a negative weight: it would stay.
    template <vector_like X>
    void update(const X& x, double target = 0.0, double weight = 1.0) {
        const auto v = checked(input(x));
        bool ok = std::isfinite(target) && std::isfinite(weight) && weight >= 0.0;
        for (const auto e : v) ok = ok && std::isfinite(e);
        expects(ok, "last_layer_laplace", "update needs finite numbers and a weight >= 0");
        std::vector<double> gain(dimension_);
        double spread = 0.0, predicted = 0.0;
        for (std::size_t i = 0; i < dimension_; ++i) {
            const double* const row = inverse_.data() + i * dimension_;
            for (std::size_t j = 0; j < dimension_; ++j) gain[i] += row[j] * static_cast<double>(v[j]);
            spread += gain[i] * static_cast<double>(v[i]);
            predicted += weights_[i] * static_cast<double>(v[i]);
        }
        const double share = weight / (1.0 + weight * spread);
        for (std::size_t i = 0; i < dimension_; ++i) {
            weights_[i] += share * gain[i] * (target - predicted);
            double* const row = inverse_.data() + i * dimension_;
            // (g_i g_j) is the same product for (i, j) and (j, i), so the inverse stays symmetric.
            for (std::size_t j = 0; j < dimension_; ++j) row[j] -= share * (gain[i] * gain[j]);
        }
    }

  private:
    template <class V>
    V checked(V x) const {
        expects(x.size() == dimension_, "last_layer_laplace", x.size(), " values for dimension ", dimension_);
        return x;
    }
    template <class T>
    double quadratic(vector_view<const T> x) const noexcept {
        double sum = 0.0;
        for (std::size_t i = 0; i < dimension_; ++i) {
            const double* const row = inverse_.data() + i * dimension_;
            double inner = 0.0;
            for (std::size_t j = 0; j < i; ++j) inner += row[j] * static_cast<double>(x[j]);
            const double xi = static_cast<double>(x[i]);
            sum += xi * (2.0 * inner + row[i] * xi);
        }
        return sum;
    }
    // A = L L' (Cholesky), A^-1 = L^-T L^-1.
    void invert(const linear_sums& sums, double ridge) {
        const std::size_t d = dimension_;
        std::vector<double> lower(d * d);
        for (std::size_t i = 0; i < d; ++i) {
            for (std::size_t j = 0; j <= i; ++j) {
                double v = sums.product(i, j) + (i == j ? ridge : 0.0);
                for (std::size_t k = 0; k < j; ++k) v -= lower[i * d + k] * lower[j * d + k];
                if (i == j) {
                    expects(v > 0.0 && std::isfinite(v), "last_layer_laplace",
                            "A is not positive definite in double; a larger ridge helps");
                    lower[i * d + i] = std::sqrt(v);
                } else {
                    lower[i * d + j] = v / lower[j * d + j];
                }
            }
        }
        // Rows of L^-1 by forward substitution, in place.
        for (std::size_t i = 0; i < d; ++i) {
            const double pivot = 1.0 / lower[i * d + i];
            for (std::size_t j = 0; j < i; ++j) {
                double v = 0.0;
                for (std::size_t k = j; k < i; ++k) v -= lower[i * d + k] * lower[k * d + j];
                lower[i * d + j] = v * pivot;
            }
            lower[i * d + i] = pivot;
        }
        for (std::size_t i = 0; i < d; ++i) {
            for (std::size_t j = 0; j <= i; ++j) {
                double v = 0.0;
                for (std::size_t k = i; k < d; ++k) v += lower[k * d + i] * lower[k * d + j];
                inverse_[i * d + j] = inverse_[j * d + i] = v;
            }
        }
    }

    std::size_t dimension_;
    double noise_;
    std::vector<double> inverse_, weights_;
};

}  // namespace reckon
