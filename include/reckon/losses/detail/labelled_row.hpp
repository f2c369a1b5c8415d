// Rows of similarities in which labels say who is a positive of the query, who a negative, and which key is the query
// itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/views.hpp"
#include "reckon/losses/contrastive_gradients.hpp"
#include "reckon/losses/detail/gradient_sums.hpp"
#include "reckon/losses/detail/logit_rows.hpp"
#include "reckon/losses/detail/softmax_row.hpp"

namespace reckon::detail {

template <class T>
struct positive_key {
    std::size_t key;
    T value;
};

class row_labels {
  public:
    // Labels of queries and keys; key first_self + i is query i itself, unless first_self is negative.
    row_labels(vector_view<const std::uint64_t> queries, vector_view<const std::uint64_t> keys,
               std::ptrdiff_t first_self)
        : queries_(queries), count_(keys.size()), first_self_(first_self), groups_(keys) {}

    // Takes the positives of query i out of its row, keys ascending, and returns the number of negatives. Their places,
    // and that of the query itself, are -infinity.
    template <class T, class Isa>
    std::size_t split(std::size_t i, const logit_row<T, Isa>& row, std::vector<positive_key<T>>& positives) const {
        constexpr T out = -std::numeric_limits<T>::infinity();
        const std::size_t self = first_self_ < 0 ? count_ : static_cast<std::size_t>(first_self_) + i;
        positives.clear();
        groups_.for_each(queries_[i], [&](std::size_t j) {
            if (j == self) return;
            positives.push_back({j, row[j]});
            row[j] = out;
        });
        if (self < count_) row[self] = out;
        return count_ - positives.size() - (self < count_ ? 1 : 0);
    }

  private:
    vector_view<const std::uint64_t> queries_;
    std::size_t count_;
    std::ptrdiff_t first_self_;
    labelled_keys groups_;
};

// Checks that the losses on labelled rows share.
template <class T>
void expect_labelled(const char* name, matrix_view<const T> queries, matrix_view<const T> keys,
                     vector_view<const std::uint64_t> query_labels, vector_view<const std::uint64_t> key_labels,
                     std::ptrdiff_t first_self, const contrastive_gradients<T>& grads) {
    expect_contrastive(name, queries, keys, row_temperatures<T>{}, grads);
    expects(grads.temperature == nullptr && grads.temperatures.empty(), name,
            "there is no temperature, so no gradient of one");
    expects(query_labels.size() == queries.rows(), name, queries.rows(), " queries but ", query_labels.size(),
            " labels");
    expects(key_labels.size() == keys.rows(), name, keys.rows(), " keys but ", key_labels.size(), " labels");
    expects(first_self < 0 || queries.rows() + static_cast<std::size_t>(first_self) <= keys.rows(), name,
            queries.rows(), " queries are keys ", first_self, " and on, but there are ", keys.rows(), " keys");
}

// Whether any similarity is not a number. Comparisons would lose it.
template <class T, class Isa>
bool holds_nan(const logit_row<T, Isa>& row) noexcept {
    using pack = typename logit_row<T, Isa>::pack;
    pack seen(T(0));
    row.for_each([&](pack x) { seen += select(x == x, pack(T(0)), x); });
    const T sum = reduce_add(seen);
    return sum != sum;
}

}  // namespace reckon::detail
