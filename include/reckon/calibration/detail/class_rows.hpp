// The rows that a multiclass calibrator is fitted on: checked once, summarised, and handed on in short tiles with one
// class of several rows in a register.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <vector>

#include "reckon/calibration/detail/newton.hpp"
#include "reckon/calibration/detail/rows.hpp"
#include "reckon/calibration/multiclass.hpp"
#include "reckon/core/class_batch.hpp"

namespace reckon::detail {

/// True when a fit takes the row: every score usable, a class and a weight.
template <class T, class Y, class W>
bool usable(const classified<T, Y, W>& rows, std::size_t i, score_kind kind) noexcept {
    constexpr T finite = (std::numeric_limits<T>::max)();
    const T least = kind == score_kind::probability ? T(0) : -finite;
    const T most = kind == score_kind::probability ? T(1) : finite;
    bool ok = rows.has_class(i);
    for (const T s : rows.scores.row(i)) ok = ok && least <= s && s <= most;
    return ok;
}

/// What a multiclass fit needs to know before it starts.
struct class_summary {
    score_kind kind = score_kind::probability;
    double weight = 0;                 // sum of w
    double spread = 0;                 // largest difference of two scores of a row
    std::vector<double> class_weight;  // sum of w of the rows of each class
    std::vector<double> largest;       // largest magnitude in each column
    counts seen;

    class_summary(std::size_t classes, score_kind scores) : kind(scores), class_weight(classes), largest(classes) {}

    template <class T, class Y, class W>
    void absorb(const classified<T, Y, W>& rows) noexcept {
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const bool ok = usable(rows, i, kind);
            seen.absorb(ok);
            const double w = rows.weight(i);
            if (!ok || !(w > 0.0)) continue;
            weight += w;
            class_weight[rows.label(i)] += w;
            // Of probabilities the limits are kept as they are; finish() takes the logarithms.
            const bool logs = kind == score_kind::probability;
            const T* const s = rows.scores.row(i).data();
            double low = std::numeric_limits<double>::infinity(), high = -low;
            for (std::size_t k = 0; k < largest.size(); ++k) {
                double x = static_cast<double>(s[k]);
                if (logs) x = (std::max)(1e-7, x);
                low = (std::min)(low, x);
                high = (std::max)(high, x);
                largest[k] = (std::max)(largest[k], logs ? 1.0 / x : std::fabs(x));
            }
            spread = (std::max)(spread, logs ? high / low : high - low);
        }
    }
    void merge(const class_summary& other) noexcept {
        weight += other.weight;
        spread = (std::max)(spread, other.spread);
        for (std::size_t k = 0; k < largest.size(); ++k) {
            class_weight[k] += other.class_weight[k];
            largest[k] = (std::max)(largest[k], other.largest[k]);
        }
        seen.merge(other.seen);
    }
    void finish() noexcept {
        if (kind != score_kind::probability || !(weight > 0.0)) return;
        spread = std::log(spread);
        for (double& x : largest) x = std::log(x);
    }
};

/// Checked rows in log-probabilities or logits. Rows that a fit refuses are gone; without any, and with scores that are
/// logits already, the rows are the caller's own.
///
/// Cost      one pass on the rows; N K scores of scratch for probabilities, and a copy of all rows when one was
///           refused.
template <class T, class Y, class W, class Isa = isa::native>
class class_rows {
  public:
    template <exec::policy Policy>
    class_rows(const Policy& where, const classified<T, Y, W>& batch, score_kind kind)
        : rows_(batch), summary_(exec::fold_parts(where, class_summary(batch.classes(), kind), batch)) {
        summary_.finish();
        const std::size_t classes = batch.classes();
        const bool refused = summary_.seen.rejected > 0, logs = kind == score_kind::probability;
        if (!refused && !logs) return;
        const auto kept = static_cast<std::size_t>(summary_.seen.accepted);
        scores_ = std::make_unique_for_overwrite<T[]>(kept * classes);
        const matrix_view<T> room(scores_.get(), kept, classes);
        rows_.scores = room;
        if (!refused) {
            exec::map_parts(where, kept, [&](std::size_t first, std::size_t count) {
                copy(batch.scores.slice(first, count), room.slice(first, count), logs);
            });
            return;
        }
        labels_.reserve(kept);
        if (!batch.weights.empty()) weights_.reserve(kept);
        std::size_t to = 0;
        for (std::size_t i = 0; i < batch.size(); ++i) {
            if (!usable(batch, i, kind)) continue;
            copy(batch.scores.slice(i, 1), room.slice(to++, 1), logs);
            labels_.push_back(batch.labels[i]);
            if (!batch.weights.empty()) weights_.push_back(batch.weights[i]);
        }
        rows_.labels = vector_view<const Y>(labels_.data(), kept);
        rows_.weights = vector_view<const W>(weights_.data(), weights_.size());
    }
    class_rows(const class_rows&) = delete;
    class_rows& operator=(const class_rows&) = delete;

    const classified<T, Y, W>& rows() const noexcept { return rows_; }
    const class_summary& summary() const noexcept { return summary_; }

  private:
    static void copy(matrix_view<const T> from, matrix_view<T> to, bool logs) noexcept {
        const auto line = [logs](const T* in, T* out, std::size_t n) {
            if (!logs) {
                std::copy(in, in + n, out);
            } else {
                simd::transform<Isa>(in, out, n, T(1), [](auto p) { return clipped_log(p); });
            }
        };
        if (from.stride() == from.cols()) return line(from.data(), to.data(), from.rows() * from.cols());
        for (std::size_t r = 0; r < from.rows(); ++r) line(from.row(r).data(), to.row(r).data(), from.cols());
    }

    classified<T, Y, W> rows_;
    class_summary summary_;
    std::unique_ptr<T[]> scores_;
    std::vector<Y> labels_;
    std::vector<W> weights_;
};

/// Every sixteenth row, for a start from which a fit of all rows needs two or three passes less. Empty when there are
/// too few rows for that to pay.
template <class T, class Y, class W>
class class_sample {
  public:
    explicit class_sample(const classified<T, Y, W>& rows) {
        constexpr std::size_t stride = 16;
        if (rows.size() < 512 * stride) return;
        const std::size_t kept = rows.size() / stride;
        rows_.scores = matrix_view<const T>(rows.scores.data(), kept, rows.classes(), stride * rows.scores.stride());
        for (std::size_t i = 0; i < kept; ++i) {
            labels_.push_back(rows.labels[i * stride]);
            if (!rows.weights.empty()) weights_.push_back(rows.weights[i * stride]);
        }
        rows_.labels = vector_view<const Y>(labels_.data(), labels_.size());
        rows_.weights = vector_view<const W>(weights_.data(), weights_.size());
    }
    class_sample(const class_sample&) = delete;
    class_sample& operator=(const class_sample&) = delete;
    const classified<T, Y, W>& rows() const noexcept { return rows_; }
    /// Sum of weights.
    double weight() const noexcept {
        double sum = 0.0;
        for (std::size_t i = 0; i < rows_.size(); ++i) sum += rows_.weight(i);
        return sum;
    }

  private:
    classified<T, Y, W> rows_;
    std::vector<Y> labels_;
    std::vector<W> weights_;
};

/// Some rows in double, class after class: score(k)[r] is the score of class k in row r. Rows beyond the last one have
/// scores 0, class 0 and weight 0.
template <class Isa>
class class_tile {
  public:
    using pack = simd::pack<double, Isa>;

    /// About `scores` numbers a tile, and at most 64 rows.
    class_tile(std::size_t classes, std::size_t scores)
        : classes_(classes),
          height_((std::max)(std::size_t{1}, (std::min)(std::size_t{64}, scores / classes) / pack::lanes) *
                  pack::lanes),
          scores_(classes * height_),
          weights_(height_),
          labels_(height_) {}

    std::size_t height() const noexcept { return height_; }
    std::size_t classes() const noexcept { return classes_; }
    double* score(std::size_t k) noexcept { return scores_.data() + k * height_; }
    const double* score(std::size_t k) const noexcept { return scores_.data() + k * height_; }
    const double* weights() const noexcept { return weights_.data(); }
    /// Classes of the rows.
    const std::size_t* labels() const noexcept { return labels_.data(); }
    /// The score of the row's own class.
    double own(std::size_t r) const noexcept { return score(labels_[r])[r]; }

    /// Takes rows first .. of the batch, scores times scale[k] and weights over `total`; returns how many it took.
    template <class T, class Y, class W>
    std::size_t take(const classified<T, Y, W>& rows, std::size_t first, const double* scale, double total) noexcept {
        const std::size_t count = (std::min)(height_, rows.size() - first);
        for (std::size_t r = 0; r < height_; ++r) {
            const bool real = r < count;
            weights_[r] = real ? rows.weight(first + r) / total : 0.0;
            labels_[r] = real ? rows.label(first + r) : 0;
            const T* const row = rows.scores.data() + (first + (real ? r : 0)) * rows.scores.stride();
            for (std::size_t k = 0; k < classes_; ++k) {
                scores_[k * height_ + r] = real ? static_cast<double>(row[k]) * scale[k] : 0.0;
            }
        }
        return count;
    }

  private:
    std::size_t classes_;
    std::size_t height_;
    std::vector<double> scores_;
    std::vector<double> weights_;
    std::vector<std::size_t> labels_;
};

}  // namespace reckon::detail
