// What the losses of ranked lists share: checks, the fold over whole lists, and packs of rows at the ends of lists.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/segments.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/detail/derivatives.hpp"
#include "reckon/metrics/list_mean.hpp"

namespace reckon::detail {

// Scratch that begins on a cache line, so that packs at multiples of their size do not straddle two.
template <class T>
class lane_column {
  public:
    lane_column() = default;
    // A copy is scratch of its own.
    lane_column(const lane_column&) noexcept {}
    lane_column& operator=(const lane_column&) = delete;

    void reserve(std::size_t n) {
        if (storage_.size() >= n + line) return;
        storage_.resize(n + line);
        const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
        data_ = storage_.data() + (64 - address % 64) % 64 / sizeof(T);
    }
    T* data() const noexcept { return data_; }
    T& operator[](std::size_t i) const noexcept { return data_[i]; }

  private:
    static constexpr std::size_t line = 64 / sizeof(T);
    std::vector<T> storage_;
    T* data_ = nullptr;
};

/// Lists, cut by whole lists. Columns are those of all lists; outputs are empty where they are not wanted.
template <class T, class Y, class Offset>
struct list_rows {
    using score_type = T;
    using label_type = Y;
    vector_view<const T> scores;
    vector_view<const Y> labels;
    segments<Offset> lists;
    vector_view<T> gradient, hessian;

    std::size_t size() const noexcept { return lists.size(); }
    list_rows slice(std::size_t first, std::size_t count) const noexcept {
        return {scores, labels, {lists.offsets.slice(first, count + 1)}, gradient, hessian};
    }
    std::size_t longest() const noexcept {
        std::size_t most = 0;
        for (std::size_t s = 0; s < lists.size(); ++s) most = (std::max)(most, lists.count(s));
        return most;
    }
};

/// One list: `readable` scores and labels are in memory from its first row on, `writable` derivatives belong to the
/// same part. Outputs are null where they are not wanted.
template <class T, class Y>
struct list_span {
    const T* scores;
    const Y* labels;
    std::size_t rows, readable, writable;
    T *gradient, *hessian;
};

/// What a loss says about one list; `used` is false where it is not defined, and then nothing was added.
struct list_loss {
    double value = 0.0;
    bool used = false;
};

/// A list with a value that cannot be used: NaN, and so are its derivatives.
template <class T, class Y>
list_loss spoil(const list_span<T, Y>& list) noexcept {
    constexpr T bad = std::numeric_limits<T>::quiet_NaN();
    if (list.gradient != nullptr) std::fill(list.gradient, list.gradient + list.rows, bad);
    if (list.hessian != nullptr) std::fill(list.hessian, list.hessian + list.rows, bad);
    return {std::numeric_limits<double>::quiet_NaN(), true};
}

template <class Y>
bool labels_are_numbers(const Y* labels, std::size_t n) noexcept {
    if constexpr (std::is_floating_point_v<Y>) {
        int found = 0;
        for (std::size_t i = 0; i < n; ++i) found |= labels[i] != labels[i] ? 1 : 0;
        return found == 0;
    } else {
        return true;
    }
}

/// Loss      loss(list_span) -> list_loss, with memory of its own that it keeps from list to list: each part works with
///           a copy.
template <class Isa, class Loss>
struct list_loss_fold {
    const Loss* prototype;
    list_mean total;

    template <class Batch>
    void absorb(const Batch& batch) {
        Loss loss(*prototype);
        const std::size_t lists = batch.size(), end = batch.lists.first(lists);
        for (std::size_t i = 0; i < lists; ++i) {
            const std::size_t first = batch.lists.first(i), rows = batch.lists.count(i);
            const auto from = [&](auto& column) { return column.empty() ? nullptr : column.data() + first; };
            const list_loss found =
                rows == 0 ? list_loss{}
                          : loss(list_span<typename Batch::score_type, typename Batch::label_type>{
                                batch.scores.data() + first, batch.labels.data() + first, rows,
                                batch.scores.size() - first, end - first, from(batch.gradient), from(batch.hessian)});
            total.seen.accepted += rows;
            total.lists.absorb(found.used);
            if (found.used) total.absorb(found.value);
        }
    }
    void merge(const list_loss_fold& other) noexcept { total.merge(other.total); }
};

/// Checks the shapes.
template <class P, class Y, class Offsets, class G, class H>
auto make_list_rows(const char* kernel, const P& scores, const Y& labels, const Offsets& offsets, G& gradient,
                    H& hessian) {
    const auto s = input(scores);
    const auto y = input(labels);
    using T = typename decltype(s)::value_type;
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "reckon: scores must be float or double");
    static_assert(std::is_arithmetic_v<typename decltype(y)::value_type>, "reckon: labels must be numbers");
    expects(s.size() == y.size(), kernel, s.size(), " scores but ", y.size(), " labels");
    const auto lists = make_segments(kernel, offsets, s.size());
    expect_numbered_lists(kernel, lists, s.size());
    return list_rows<T, typename decltype(y)::value_type, typename decltype(lists.offsets)::value_type>{
        s, y, lists, derivative_output<T>(kernel, gradient, s.size(), "scores"),
        derivative_output<T>(kernel, hessian, s.size(), "scores")};
}

template <class Isa, class Policy, class Batch, class Loss>
list_mean sum_over_lists(const Policy& where, const Batch& lists, const Loss& loss) {
    constexpr std::size_t lists_a_part = 64;
    return exec::fold_parts(where, list_loss_fold<Isa, Loss>{&loss, {}}, lists, lists_a_part).total;
}

// Calls body(i, whole) for each pack of the rows first .. end - 1; `whole` is false for the last one where it has
// fewer.
template <std::size_t Lanes, class Body>
RECKON_INLINE void for_each_pack(std::size_t first, std::size_t end, Body&& body) {
    std::size_t i = first;
    for (; i + Lanes <= end; i += Lanes) body(i, std::true_type{});
    if (i < end) body(i, std::false_type{});
}

// A small number of rows as T; the way through int costs no branch.
template <class T>
RECKON_INLINE T rows_as(std::size_t n) noexcept {
    return static_cast<T>(static_cast<int>(n));
}

}  // namespace reckon::detail
