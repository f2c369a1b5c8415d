// One row of a softmax loss with what a plain one does not have: keys that are left out, negatives that weigh more the
// harder they are.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "reckon/core/expects.hpp"
#include "reckon/core/group_by.hpp"
#include "reckon/core/views.hpp"
#include "reckon/losses/contrastive_columns.hpp"
#include "reckon/losses/detail/logit_rows.hpp"

namespace reckon::detail {

// Keys gathered by their label.
class labelled_keys {
  public:
    labelled_keys() = default;
    explicit labelled_keys(vector_view<const std::uint64_t> labels) {
        if (!labels.empty()) groups_ = group_by(labels);
    }
    bool empty() const noexcept { return groups_.ids.empty(); }
    // body(j) for every key with this label, j ascending.
    template <class Body>
    void for_each(std::uint64_t label, Body&& body) const {
        const auto at = std::lower_bound(groups_.ids.begin(), groups_.ids.end(), label);
        if (at == groups_.ids.end() || *at != label) return;
        const auto g = static_cast<std::size_t>(at - groups_.ids.begin());
        for (std::size_t k = groups_.first(g); k < groups_.first(g) + groups_.count(g); ++k) body(groups_.row(k));
    }

  private:
    grouped_rows<std::uint64_t> groups_;
};

template <class T>
void expect_columns(const char* name, std::size_t batch, std::size_t keys, const contrastive_columns<T>& columns) {
    expects(columns.key_labels.empty() || columns.key_labels.size() == keys, name, keys, " keys but ",
            columns.key_labels.size(), " labels");
    expects(columns.query_labels.empty() || columns.query_labels.size() == batch, name, batch, " queries but ",
            columns.query_labels.size(), " labels");
    expects(columns.query_labels.empty() || !columns.key_labels.empty(), name, "labels of queries but none of keys");
    expects(columns.positives.empty() || columns.positives.size() == batch, name, batch, " queries but ",
            columns.positives.size(), " positives");
    for (const std::uint32_t j : columns.positives) {
        expects(j < keys, name, "key ", j, " as a positive, but there are ", keys);
    }
}

// Leaves out the keys that share the label of a query, but for its own key.
template <class T, class Isa>
void leave_out(const logit_row<T, Isa>& row, const labelled_keys& keys, std::uint64_t label, std::size_t own) {
    keys.for_each(label, [&](std::size_t j) {
        if (j != own) row[j] = -std::numeric_limits<T>::infinity();
    });
}

struct softmax_term {
    double loss = 0.0, lse = 0.0;
};

// log(1 + e^x)
inline double softplus_of(double x) noexcept {
    return (std::max)(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
}

// Loss and log-sum-exp of the key `own` against the others of the row. With hardness b the negatives count together as
//   m mean_j(w_j e^s_j),   w_j = e^(b s_j) / mean_j e^(b s_j),   m of them;
// with b = 0 that is the sum of e^s_j. Keys at -infinity are out. Weights replace the logits if they are wanted.
template <class T, class Isa>
softmax_term softmax_row(const logit_row<T, Isa>& row, std::size_t own, double own_logit, double hardness,
                         bool weights) {
    using pack = typename logit_row<T, Isa>::pack;
    constexpr T out = -std::numeric_limits<T>::infinity();
    constexpr double log2e = 1.4426950408889634074;
    row[own] = out;
    const T top = row.largest();
    if (top == out) {
        // Nothing but what is left out, unless a NaN hides in it.
        const bool nan = row.sum([](pack s) { return select(s == s, pack(T(0)), pack(T(1))); }) > 0.0;
        const double loss = nan ? std::numeric_limits<double>::quiet_NaN() : own_logit - own_logit;
        if (weights) row.fill(static_cast<T>(loss));
        return {loss, own_logit + loss};
    }
    const pack shift(top);
    const pack steep(static_cast<T>((1.0 + hardness) * log2e)), gentle(static_cast<T>(hardness * log2e));
    const double sum = row.sum([&](pack s) { return exp2_any((s - shift) * steep); });
    double log_negatives = static_cast<double>(top) + std::log(sum), mean = 1.0;
    if (hardness > 0.0) {
        const double count = row.sum([&](pack s) { return select(s > pack(out), pack(T(1)), pack(T(0))); });
        mean = row.sum([&](pack s) { return exp2_any((s - shift) * gentle); });
        log_negatives += std::log(count) - std::log(mean);
    }
    const double ahead = log_negatives - own_logit;
    const softmax_term term{softplus_of(ahead),
                            (std::max)(own_logit, log_negatives) + std::log1p(std::exp(-std::fabs(ahead)))};
    if (!weights) return term;
    const double share = ahead > 0.0 ? 1.0 / (1.0 + std::exp(-ahead)) : std::exp(ahead) / (1.0 + std::exp(ahead));
    const pack by_sum(static_cast<T>(share * (1.0 + hardness) / sum));
    if (hardness > 0.0) {
        const pack by_mean(static_cast<T>(share * hardness / mean));
        row.transform([&](pack s, std::size_t) {
            const pack d = s - shift;
            return exp2_any(d * steep) * by_sum - exp2_any(d * gentle) * by_mean;
        });
    } else {
        row.transform([&](pack s, std::size_t) { return exp2_any((s - shift) * steep) * by_sum; });
    }
    row[own] = static_cast<T>(-share);
    return term;
}

}  // namespace reckon::detail
