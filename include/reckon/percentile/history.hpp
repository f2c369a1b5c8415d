// A user's past feedback as the percentile kernels read it, wherever it is kept.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "reckon/core/expects.hpp"
#include "reckon/core/views.hpp"

namespace reckon {

/// What find() returns for a user without history.
inline constexpr std::uint32_t no_history = 0xffffffffu;

/// One user's history: `count` values in no particular order. Slots from count to capacity are readable and hold NaN,
/// which every comparison refuses.
struct history_row {
    const float* values = nullptr;
    const float* predictions = nullptr;  ///< of the base model when the value was stored; null when not kept
    std::uint32_t count = 0;
    std::uint32_t capacity = 0;  ///< readable slots, at least count
};

/// Where histories come from: a reservoir, a mapped file, a plain matrix.
///
/// find(user)                 row of the user, or no_history
/// row(r)                     the history in it
/// slot_of(r, user, event)    slot that holds this event, or no_history when it holds none or cannot know
/// has_predictions()          whether rows carry predictions
template <class H>
concept history_source = requires(const H& histories, std::uint64_t user, std::uint32_t row, std::uint64_t event) {
    { histories.find(user) } -> std::same_as<std::uint32_t>;
    { histories.row(row) } -> std::same_as<history_row>;
    { histories.slot_of(row, user, event) } -> std::same_as<std::uint32_t>;
    { histories.has_predictions() } -> std::same_as<bool>;
};

/// Histories in a matrix: row u is user u. Does not know events, so slot_of() finds none.
///
/// Shapes    values [U, R]: feedback, filled from the left; counts [U], each at most R. predictions [U, R] or empty.
///           Nothing is copied. Slots from counts[u] on must hold NaN.
/// Throws    std::invalid_argument when shapes differ or a count exceeds R.
/// Cost      reads the counts once.
class matrix_histories {
  public:
    template <vector_like Counts>
    matrix_histories(matrix_view<const float> values, const Counts& counts, matrix_view<const float> predictions = {})
        : values_(values), predictions_(predictions), counts_(input(counts)) {
        expects(counts_.size() == values.rows(), "matrix_histories", values.rows(), " rows but ", counts_.size(),
                " counts");
        expects(values.rows() < no_history && values.cols() < no_history, "matrix_histories", values.rows(), " x ",
                values.cols(), " is too large");
        for (const std::uint32_t count : counts_) {
            expects(count <= values.cols(), "matrix_histories", "a count of ", count, " exceeds ", values.cols(),
                    " slots");
        }
        expects(predictions.empty() || (predictions.rows() == values.rows() && predictions.cols() == values.cols()),
                "matrix_histories", "predictions are ", predictions.rows(), " x ", predictions.cols(), ", values ",
                values.rows(), " x ", values.cols());
    }
    std::uint32_t find(std::uint64_t user) const noexcept {
        return user < values_.rows() ? static_cast<std::uint32_t>(user) : no_history;
    }
    history_row row(std::uint32_t r) const noexcept {
        return {values_.data() + r * values_.stride(),
                predictions_.empty() ? nullptr : predictions_.data() + r * predictions_.stride(), counts_[r],
                static_cast<std::uint32_t>(values_.cols())};
    }
    std::uint32_t slot_of(std::uint32_t, std::uint64_t, std::uint64_t) const noexcept { return no_history; }
    bool has_predictions() const noexcept { return !predictions_.empty(); }

  private:
    matrix_view<const float> values_, predictions_;
    vector_view<const std::uint32_t> counts_;
};
static_assert(history_source<matrix_histories>);

}  // namespace reckon
