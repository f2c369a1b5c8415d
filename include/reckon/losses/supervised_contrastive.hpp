// Supervised contrastive loss: rows of one class attract each other, all others repel. With the numbers of pairs as
// labels it is NT-Xent, the loss of SimCLR.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/group_by.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/detail/factor.hpp"
#include "reckon/losses/detail/gram_rows.simd.hpp"
#include "reckon/losses/detail/similarity_rows.hpp"
#include "reckon/losses/similarity.hpp"

namespace reckon {

/// Where the mean over the positives of a row stands.
enum class supcon_form {
    /// Outside of the logarithm: every positive is pulled with the same force.
    out,
    /// Inside: mostly the nearest positive is pulled.
    in,
};

struct supervised_contrastive_options {
    /// In [1e-15, 1e15]. Logits are similarities over this.
    double temperature = 0.1;
    supcon_form form = supcon_form::out;
    /// The squared distance needs 10 |z|^2 / temperature in the range of the type.
    similarity metric = similarity::dot;
};

/// Outputs of supervised_contrastive: gradients are added, and an empty view or a null pointer is not wanted.
template <class T>
struct supervised_contrastive_gradients {
    /// As the rows, or empty.
    matrix_view<T> rows = {};
    /// d loss / d temperature, or null.
    double* temperature = nullptr;
    /// Factor of everything that is added.
    double scale = 1.0;
};

namespace detail {

// What pulls in classes of at most `most` rows, form 'out': takes the mean logit of the positives from `losses`, and
// adds its gradient. Linear in sums over classes. Returns the sum over rows of their product with what was added. Rows
// for distances as in gram_log_sums.
template <class Policy, class T, class Id>
double pull_to_class_means(const Policy& where, matrix_view<const T> rows, const grouped_rows<Id>& classes,
                           std::size_t most, double temperature, bool distances,
                           const supervised_contrastive_gradients<T>& grads, double* losses) {
    const std::size_t depth = rows.cols() - (distances ? 1 : 0);
    std::vector<double> products(classes.size(), 0.0);
    exec::map_parts(
        where, classes.size(),
        [&](std::size_t first, std::size_t count) {
            // Distances are those of rows less the first one of their class, so that a common offset does no harm.
            std::vector<double> origin(depth), row(depth), before(depth), rest(depth), after, squares;
            const auto take = [&](std::size_t at) {
                const T* const z = rows.data() + classes.row(at) * rows.stride();
                double square = 0.0;
                for (std::size_t d = 0; d < depth; ++d) {
                    row[d] = static_cast<double>(z[d]) - origin[d];
                    square += row[d] * row[d];
                }
                return square;
            };
            for (std::size_t g = first; g < first + count; ++g) {
                const std::size_t size = classes.count(g), from = classes.first(g);
                if (size < 2 || size > most) continue;
                // Sums over rows before and after each: the sum of all less a long row would lose the short ones.
                std::fill(before.begin(), before.end(), 0.0);
                after.assign(size * depth, 0.0);
                squares.assign(size, 0.0);
                if (distances) {
                    const T* const z = rows.data() + classes.row(from) * rows.stride();
                    std::copy(z, z + depth, origin.begin());
                }
                for (std::size_t k = size - 1; k > 0; --k) {
                    squares[k - 1] = squares[k] + take(from + k);
                    double* const to = after.data() + (k - 1) * depth;
                    for (std::size_t d = 0; d < depth; ++d) to[d] = to[depth + d] + row[d];
                }
                const double others = static_cast<double>(size - 1), mean = 1.0 / (temperature * others);
                double squares_before = 0.0;
                for (std::size_t k = 0; k < size; ++k) {
                    const std::size_t i = classes.row(from + k);
                    const double square = take(from + k);
                    double product = 0.0;
                    for (std::size_t d = 0; d < depth; ++d) {
                        rest[d] = before[d] + after[k * depth + d];
                        product += row[d] * rest[d];
                        before[d] += row[d];
                    }
                    if (distances) {
                        // The sum of -|z - z_p|^2, and its slope by z.
                        product = 2.0 * product - (others * square + (squares_before + squares[k]));
                        squares_before += square;
                        for (std::size_t d = 0; d < depth; ++d) rest[d] = 2.0 * (rest[d] - others * row[d]);
                    }
                    losses[i] -= mean * product;
                    const double share = -2.0 * mean * grads.scale;
                    products[g] += share * product;
                    if (grads.rows.empty()) continue;
                    T* const to = grads.rows.data() + i * grads.rows.stride();
                    for (std::size_t d = 0; d < depth; ++d) to[d] += static_cast<T>(share * rest[d]);
                }
            }
        },
        64);
    double total = 0.0;
    for (const double product : products) total += product;
    return total;
}

// The part of the 'in' form that pulls: the log-sum-exps of the classes, each a Gram matrix of its own, but for classes
// of two: there it is one logit, as in the form 'out'.
template <class Isa, class Policy, class T, class Id>
double pull_within_classes(const Policy& where, matrix_view<const T> rows, const grouped_rows<Id>& classes,
                           double temperature, bool distances, bool bounded,
                           const supervised_contrastive_gradients<T>& grads, double* losses) {
    const bool slopes = !grads.rows.empty() || grads.temperature != nullptr;
    std::vector<double> products(classes.size(), 0.0);
    const auto pull = [&](const auto& inside, std::size_t g) {
        const std::size_t size = classes.count(g), from = classes.first(g);
        scratch_array<T> gathered(size * rows.cols());
        for (std::size_t k = 0; k < size; ++k) {
            const T* const z = rows.data() + classes.row(from + k) * rows.stride();
            std::copy(z, z + rows.cols(), gathered.data() + k * rows.cols());
        }
        gram_log_sums<T, Isa> sums(matrix_view<const T>(gathered.data(), size, rows.cols()), temperature, distances,
                                   bounded, slopes);
        sums.sweep(inside);
        for (std::size_t k = 0; k < size; ++k) {
            losses[classes.row(from + k)] -= sums.log_sum(k) - std::log(static_cast<double>(size - 1));
        }
        if (!slopes) return;
        products[g] = sums.gradient(
            inside, -grads.scale, grads.rows, grads.temperature != nullptr, [](std::size_t) { return true; },
            [&](std::size_t k) { return classes.row(from + k); });
    };
    // Threads share out the classes, and the work inside of one that is worth it.
    constexpr std::size_t worth = 1024;
    exec::for_each_index(where, classes.size(), [&](std::size_t g) {
        if (classes.count(g) > 2 && classes.count(g) < worth) pull(exec::serial, g);
    });
    for (std::size_t g = 0; g < classes.size(); ++g) {
        if (classes.count(g) >= worth) pull(where, g);
    }
    double total = pull_to_class_means(where, rows, classes, 2, temperature, distances, grads, losses);
    for (const double product : products) total += product;
    return total;
}

}  // namespace detail

/// Supervised contrastive loss of a batch of embeddings with classes.
///
///   out:  loss = sum_i [ logsumexp_{a != i}(s_ia) - mean_{p in P(i)} s_ip ]                  s_ij = s(z_i, z_j) / t
///   in:   loss = sum_i [ logsumexp_{a != i}(s_ia) - logsumexp_{p in P(i)}(s_ip) + log |P(i)| ]    in nats
///   s:    options.metric
///
/// P(i) are the other rows with the label of row i. The sums run over rows that have such a positive; rows without one
/// are negatives of the others and add no term. Labels that number the pairs of two views make the 'out' form NT-Xent.
///
/// Shapes    row_vectors [n, D]: float or double, rows may be strided. labels [n] of any integer type but bool, sparse
///           or dense. row_lse [n] of the type of the rows. grads.rows as the rows, or empty; it may not overlap them.
/// Writes    row_lse: the log-sum-exp over all other rows, -inf for a batch of one; adds grads.scale * d loss /
///           d (rows | temperature) where wanted.
/// Returns   mean_value{sum, number of rows that have a positive}. Every row needs all others, so that batches do not
///           merge: the loss of two halves is another loss than that of the whole.
/// Throws    std::invalid_argument on a shape or a temperature out of range. Inputs are not scanned: a NaN reaches
///           every row; logits beyond the range of the type are not finite either.
/// Cost      n n D / 2 multiply-adds forward and four times that with the gradient, because the matrix is symmetric.
///           'in' costs as much again for each class of three rows or more, with its rows for n. Scratch: the rows
///           packed, once for the loss and twice for the gradient, one more n x D for theirs, a window of 96 rows that
///           does not grow with n, and after those the rows of a class for each thread, in double in the form 'out'.
///           The cosine and the distance copy the rows, and their gradient.
/// Numerics  lanes of the type. Sums of powers have at most 256 terms, double above; gradients add up in the type over
///           all rows (float, unit rows: seen 1e-5 of 0.3 at n = 16,384). Where the norms allow logits of more than 60
///           nats, powers are relative to the largest, and finite logits of any size give finite results. Distances
///           are |z_i|^2 - 2 z_i . z_j + |z_j|^2 in the type, exactly 0 for equal rows: a common offset of all rows
///           takes digits. What pulls in the form 'out' is summed in double from differences, and loses none.
/// Source    Khosla et al. 2020, equations 2 and 3, summed over rows; Chen et al. 2020 for NT-Xent.
template <exec::policy Policy, matrix_like X, vector_like Y, class L, class Isa = isa::native>
mean_value supervised_contrastive(
    const Policy& where, const X& row_vectors, const Y& labels, L&& row_lse,
    const supervised_contrastive_options& options = {},
    const supervised_contrastive_gradients<typename decltype(input(row_vectors))::value_type>& grads = {}) {
    const auto row_view = input(row_vectors);
    const auto classes_of = input(labels);
    const auto lse_of = view(row_lse);
    using T = typename decltype(row_view)::value_type;
    static_assert(std::is_same_v<T, typename decltype(lse_of)::value_type>,
                  "reckon: rows and sums of supervised_contrastive must have the same type");
    exec::detail::require_host_policy<Policy>();
    constexpr const char* name = "supervised_contrastive";
    const std::size_t n = row_view.rows();
    const double t = options.temperature;
    detail::expect_factor(name, "temperature", t);
    expects(classes_of.size() == n, name, n, " rows but ", classes_of.size(), " labels");
    expects(lse_of.size() == n, name, n, " rows but room for ", lse_of.size(), " sums");
    expects(grads.rows.empty() || (grads.rows.rows() == n && grads.rows.cols() == row_view.cols()), name,
            "the gradient of rows is ", grads.rows.rows(), " x ", grads.rows.cols(), ", not ", n, " x ",
            row_view.cols());
    if (n == 0) return {};

    using alike = detail::similarity_rows<T>;
    alike side(options.metric, alike::side::gram, row_view);
    const bool distances = options.metric == similarity::squared_distance;
    const matrix_view<const T> rows = side.rows();
    auto added = grads;
    added.rows = side.gradient(grads.rows);
    const auto classes = group_by(classes_of);
    std::vector<char> counts(n, 0);
    std::size_t anchors = 0;
    for (std::size_t g = 0; g < classes.size(); ++g) {
        if (classes.count(g) < 2) continue;
        anchors += classes.count(g);
        for (std::size_t k = classes.first(g); k < classes.first(g) + classes.count(g); ++k) counts[classes.row(k)] = 1;
    }
    const bool slopes = anchors > 0 && (!grads.rows.empty() || grads.temperature != nullptr);
    // No two rows are farther apart than twice the longest.
    const double norm = distances ? 2.0 * detail::largest_norm(row_view) : detail::largest_norm(rows);
    const bool bounded = detail::moderate(norm, norm, t);
    std::vector<double> losses(n);
    double products = 0.0;
    {
        detail::gram_log_sums<T, Isa> sums(rows, t, distances, bounded, slopes);
        sums.sweep(where);
        for (std::size_t i = 0; i < n; ++i) {
            losses[i] = sums.log_sum(i);
            lse_of[i] = static_cast<T>(losses[i]);
        }
        if (slopes) {
            products = sums.gradient(
                where, grads.scale, added.rows, grads.temperature != nullptr,
                [&](std::size_t i) { return counts[i] != 0; }, [](std::size_t i) { return i; });
        }
    }
    products +=
        options.form == supcon_form::out
            ? detail::pull_to_class_means(where, rows, classes, n, t, distances, added, losses.data())
            : detail::pull_within_classes<Isa>(where, rows, classes, t, distances, bounded, added, losses.data());
    side.finish(grads.rows);
    // The loss depends on the products or distances of rows over t alone, and each of those on two rows.
    if (grads.temperature != nullptr) *grads.temperature -= products / (2.0 * t);
    mean_value loss;
    for (std::size_t i = 0; i < n; ++i) {
        if (counts[i] != 0) loss.absorb(losses[i]);
    }
    return loss;
}

}  // namespace reckon
