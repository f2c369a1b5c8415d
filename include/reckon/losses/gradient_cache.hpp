// Contrastive batches that are larger than the memory of the encoder: embeddings are kept, what made them is not.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/losses/contrastive_gradients.hpp"

namespace reckon {

/// Gradients of a loss over a whole batch for an encoder that sees a few rows at a time.
///
///   for each micro-batch     encode without keeping what a backward pass needs; put_queries(), put_keys()
///   once                     run(loss)
///   for each micro-batch     encode again, and go back with query_gradient(), key_gradient()
///
/// By the chain rule the sum over micro-batches of (d loss / d embeddings) . (d embeddings / d weights) is the gradient
/// of the whole batch, whatever the cut; the second encoding must give what the first one did (same dropout).
///
/// Shapes    B queries and N keys of D numbers, float or double. Micro-batches of any size and order.
/// Throws    std::invalid_argument when rows lie outside or come twice, from run() while rows are missing or after it
///           was called, and from the gradients before it was. clear() starts the next batch.
/// Cost      2 (B + N) D numbers and B + N bytes are held, and no more; all allocated by the constructor.
/// Source    Gao, Zhang, Han and Callan 2021 (GradCache).
template <class T>
class gradient_cache {
  public:
    gradient_cache(std::size_t queries, std::size_t keys, std::size_t depth)
        : queries_(queries, depth), keys_(keys, depth) {}

    /// Embeddings of queries first, first + 1, ...
    template <matrix_like Rows>
    void put_queries(std::size_t first, const Rows& rows) {
        put(queries_, first, input(rows), "queries");
    }
    template <matrix_like Rows>
    void put_keys(std::size_t first, const Rows& rows) {
        put(keys_, first, input(rows), "keys");
    }
    /// Calls loss(queries, keys, grads) once, with all embeddings (matrix_view<const T>) and contrastive_gradients<T>
    /// that are 0, times `scale`; returns what it returns.
    template <class Loss>
    auto run(Loss&& loss, double scale = 1.0) {
        expects(!done_, "gradient_cache", "run() a second time without clear()");
        expects_all(queries_, "queries");
        expects_all(keys_, "keys");
        std::fill(queries_.gradient.begin(), queries_.gradient.end(), T(0));
        std::fill(keys_.gradient.begin(), keys_.gradient.end(), T(0));
        temperature_ = 0.0;
        contrastive_gradients<T> grads;
        grads.queries = of(queries_.gradient, queries_);
        grads.keys = of(keys_.gradient, keys_);
        grads.temperature = &temperature_;
        grads.scale = scale;
        auto result = std::forward<Loss>(loss)(of(std::as_const(queries_.values), queries_),
                                               of(std::as_const(keys_.values), keys_), grads);
        done_ = true;
        return result;
    }
    /// d loss / d queries first .. first + count - 1.
    matrix_view<const T> query_gradient(std::size_t first, std::size_t count) const {
        return gradient(queries_, first, count, "queries");
    }
    matrix_view<const T> key_gradient(std::size_t first, std::size_t count) const {
        return gradient(keys_, first, count, "keys");
    }
    double temperature_gradient() const {
        expects(done_, "gradient_cache", "gradients before run()");
        return temperature_;
    }
    /// Forgets all rows.
    void clear() noexcept {
        done_ = false;
        for (side* s : {&queries_, &keys_}) {
            std::fill(s->there.begin(), s->there.end(), static_cast<unsigned char>(0));
            s->missing = s->there.size();
        }
    }

  private:
    struct side {
        std::size_t depth, missing;
        std::vector<T> values, gradient;
        std::vector<unsigned char> there;
        side(std::size_t rows, std::size_t d)
            : depth(d), missing(rows), values(rows * d), gradient(rows * d), there(rows) {}
    };

    template <class V>
    static auto of(V& numbers, const side& s) noexcept {
        return matrix_view(numbers.data(), s.there.size(), s.depth);
    }
    static void expects_inside(const side& s, std::size_t first, std::size_t count, const char* which) {
        expects(first <= s.there.size() && count <= s.there.size() - first, "gradient_cache", which, " ", first, " to ",
                first + count, " of ", s.there.size());
    }
    static void expects_all(const side& s, const char* which) {
        expects(s.missing == 0, "gradient_cache", s.missing, " of ", s.there.size(), " ", which, " are missing");
    }
    void put(side& s, std::size_t first, matrix_view<const T> rows, const char* which) {
        expects(!done_, "gradient_cache", "new rows after run() without clear()");
        expects(rows.cols() == s.depth, "gradient_cache", which, " have ", rows.cols(), " columns, not ", s.depth);
        expects_inside(s, first, rows.rows(), which);
        for (std::size_t r = 0; r < rows.rows(); ++r) {
            expects(s.there[first + r] == 0, "gradient_cache", which, " ", first + r, " a second time");
        }
        for (std::size_t r = 0; r < rows.rows(); ++r) {
            const auto row = rows.row(r);
            std::copy(row.begin(), row.end(), s.values.data() + (first + r) * s.depth);
            s.there[first + r] = 1;
        }
        s.missing -= rows.rows();
    }
    matrix_view<const T> gradient(const side& s, std::size_t first, std::size_t count, const char* which) const {
        expects(done_, "gradient_cache", "gradients before run()");
        expects_inside(s, first, count, which);
        return of(s.gradient, s).slice(first, count);
    }

    side queries_, keys_;
    double temperature_ = 0.0;
    bool done_ = false;
};

}  // namespace reckon
