// Calibration of multiclass predictions: classwise and top-label ECE, log-loss, Brier score and accuracy.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "reckon/core/class_batch.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/detail/examples.hpp"
#include "reckon/metrics/log_loss.hpp"
#include "reckon/metrics/reliability.hpp"
#include "reckon/metrics/score_bins.hpp"

namespace reckon {

struct class_reliability_options {
    /// Bins of every class and of the confidence.
    score_bins bins{};
    /// Inside the logarithm a prediction is clipped to [epsilon, 1]; in [1e-16, 0.1].
    double epsilon = log_loss_options{}.epsilon;
};

/// State: a reliability table for each class, one for the confidence, and the sums of the proper scores.
///
///   classwise_ece  = mean over the classes k of the ECE of column k against [y = k]
///   top_label_ece  = ECE of the largest probability against [its class = y]; of equal ones the first counts
///   log_loss       = - sum w ln p_y / sum w                 nats
///   brier          = sum w sum_k (p_k - [y = k])^2 / sum w  in [0, 2]; for two classes twice the binary one
///   accuracy       = sum w [class of the largest p = y] / sum w
///
/// Two states merge when classes, bins and epsilon are equal. A row with a probability outside [0, 1] (NaN included), a
/// label that names no class or a weight that is negative, NaN or infinite is counted and skipped; that a row adds up
/// to 1 is not checked. Every figure of the identity is NaN.
/// Numerics  plain double sums in the tables, compensated ones for log-loss and Brier.
/// Source    Guo et al. 2017 (top-label); Kull et al. 2019 (classwise); tie rule ours.
class class_reliability {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("CREL");
    static constexpr std::uint32_t bytes_version = 1;

    /// One class, 15 bins of equal width.
    class_reliability() : class_reliability(1) {}
    /// Throws    std::invalid_argument without a class or with an epsilon out of range.
    explicit class_reliability(std::size_t classes, const class_reliability_options& options = {})
        : epsilon_(options.epsilon), top_label_(options.bins), tables_(classes, reliability_table(options.bins)) {
        expects(classes >= 1, "class_reliability", "needs at least one class, got ", classes);
        expects(legal(epsilon_), "class_reliability", "epsilon must be in [1e-16, 0.1], got ", epsilon_);
    }

    template <class T, class Y, class W>
    void absorb(const classified<T, Y, W>& rows) noexcept {
        for (std::size_t i = 0; i < rows.size(); ++i) absorb_row(rows, i);
    }
    /// Throws    std::invalid_argument when classes, bins or epsilon differ.
    void merge(const class_reliability& other) {
        expects(classes() == other.classes() && epsilon_ == other.epsilon_, "class_reliability", "cannot merge ",
                other.classes(), " classes with epsilon ", other.epsilon_, " into ", classes(), " with ", epsilon_);
        expects(bins() == other.bins(), "class_reliability", "cannot merge other bins (", other.bins().size(),
                ") into ", bins().size(), " bins");
        for (std::size_t k = 0; k < tables_.size(); ++k) tables_[k].merge(other.tables_[k]);
        top_label_.merge(other.top_label_);
        weight_.merge(other.weight_);
        loss_.merge(other.loss_);
        square_.merge(other.square_);
        seen_.merge(other.seen_);
    }

    std::size_t classes() const noexcept { return tables_.size(); }
    const score_bins& bins() const noexcept { return top_label_.bins(); }
    double epsilon() const noexcept { return epsilon_; }
    /// The table of class k: its column of probabilities against [y = k].
    const reliability_table& operator[](std::size_t k) const noexcept { return tables_[k]; }
    /// The table of the largest probability of each row against [its class = y].
    const reliability_table& top_label() const noexcept { return top_label_; }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }

    double classwise_ece() const noexcept {
        double sum = 0.0;
        for (const reliability_table& t : tables_) sum += t.ece();
        return sum / static_cast<double>(tables_.size());
    }
    double top_label_ece() const noexcept { return top_label_.ece(); }
    double log_loss() const noexcept { return mean(loss_); }
    double brier() const noexcept { return mean(square_); }
    double accuracy() const noexcept { return top_label_.total().rate(); }
    /// The classwise ECE.
    double finish() const noexcept { return classwise_ece(); }

    void write(byte_writer& out) const {
        out.put(static_cast<std::uint64_t>(tables_.size()));
        out.put(epsilon_);
        for (const compensated_sum* s : {&weight_, &loss_, &square_}) detail::put_sum(out, *s);
        detail::put_counts(out, seen_);
        top_label_.write(out);
        for (const reliability_table& t : tables_) t.write(out);
    }
    static class_reliability read(byte_reader& in) {
        const auto classes = in.get<std::uint64_t>();
        // A table of one bin takes 80 bytes.
        expects_bytes(classes >= 1 && classes <= in.left() / 80, "class_reliability", classes,
                      " classes do not fit in ", in.left(), " bytes");
        class_reliability state(1, {.bins = score_bins::width(1)});
        state.epsilon_ = in.get<double>();
        expects_bytes(legal(state.epsilon_), "class_reliability", "epsilon ", state.epsilon_, " is out of range");
        for (compensated_sum* s : {&state.weight_, &state.loss_, &state.square_}) {
            *s = detail::get_positive_sum(in, "class_reliability");
        }
        const double most = state.weight_.value() * (1.0 + 1e-9);
        expects_bytes(state.loss_.value() <= -std::log(state.epsilon_) * most &&
                          state.square_.value() <= static_cast<double>(classes) * most,
                      "class_reliability", "log-loss ", state.loss_.value(), " and squares ", state.square_.value(),
                      " with weight ", state.weight_.value());
        state.seen_ = detail::get_counts(in);
        state.top_label_ = read_table(in, state.weight_.value(), state.seen_);
        state.tables_.clear();
        for (std::uint64_t k = 0; k < classes; ++k) {
            state.tables_.push_back(read_table(in, state.weight_.value(), state.seen_));
            expects_bytes(state.tables_.back().bins() == state.bins(), "class_reliability", "the bins of class ", k,
                          " are others");
        }
        return state;
    }

  private:
    static bool legal(double epsilon) noexcept { return epsilon >= 1e-16 && epsilon <= 0.1; }
    double mean(const compensated_sum& s) const noexcept {
        return detail::ratio_or_nan(s.value(), weight_.value(), weight_.value());
    }
    // Every table has seen the same rows.
    static reliability_table read_table(byte_reader& in, double weight, counts seen) {
        reliability_table table = reliability_table::read(in);
        const double total = table.total().weight;
        expects_bytes(std::fabs(total - weight) <= 1e-6 * weight, "class_reliability", "a table of weight ", total,
                      " in a state of weight ", weight);
        expects_bytes(table.seen() == counts{seen.accepted, 0}, "class_reliability", "a table of ",
                      table.seen().accepted, " rows in a state of ", seen.accepted);
        return table;
    }
    template <class T, class Y, class W>
    void absorb_row(const classified<T, Y, W>& rows, std::size_t i) noexcept {
        const T* const p = rows.scores.row(i).data();
        bool ok = rows.has_class(i);
        for (std::size_t k = 0; k < tables_.size(); ++k) ok = ok && p[k] >= T(0) && p[k] <= T(1);
        seen_.absorb(ok);
        if (!ok) return;
        const double w = rows.weight(i);
        const std::size_t y = rows.label(i);
        std::size_t top = 0;
        double squares = 0.0;
        for (std::size_t k = 0; k < tables_.size(); ++k) {
            const double q = static_cast<double>(p[k]), hit = k == y ? 1.0 : 0.0;
            tables_[k].absorb(q, hit, w);
            squares += (q - hit) * (q - hit);
            if (p[k] > p[top]) top = k;
        }
        top_label_.absorb(static_cast<double>(p[top]), top == y ? 1.0 : 0.0, w);
        weight_.absorb(w);
        loss_.absorb(w * -std::log((std::max)(epsilon_, static_cast<double>(p[y]))));
        square_.absorb(w * squares);
    }

    double epsilon_;
    reliability_table top_label_;
    std::vector<reliability_table> tables_;
    compensated_sum weight_, loss_, square_;
    counts seen_;
};

/// Classwise and top-label calibration, log-loss, Brier score and accuracy of multiclass predictions in one pass.
///
/// Shapes    scores [N, K] probabilities, labels [N] in 0 .. K - 1, weights [N] or empty for ones.
/// Returns   class_reliability; merges over shards.
/// Throws    std::invalid_argument on lengths that differ or an epsilon out of range. Bad rows are counted and skipped.
/// Cost      O(N K) for equal-width bins, one logarithm a row; a state of 40 bytes a class and bin.
/// Numerics  as class_reliability.
template <exec::policy Policy, matrix_like S, vector_like Y, class W = none>
class_reliability classwise_reliability(const Policy& where, const S& scores, const Y& labels, const W& weights = {},
                                        const class_reliability_options& options = {}) {
    const auto batch = make_classified("classwise_reliability", scores, labels, weights);
    return exec::fold_parts(where, class_reliability(batch.classes(), options), batch);
}

/// Mean over the classes of the expected calibration error of each; as classwise_reliability().
template <exec::policy Policy, matrix_like S, vector_like Y, class W = none>
double classwise_ece(const Policy& where, const S& scores, const Y& labels, const W& weights = {},
                     const score_bins& bins = {}) {
    return classwise_reliability(where, scores, labels, weights, {.bins = bins}).classwise_ece();
}

/// Expected calibration error of the largest probability; as classwise_reliability().
template <exec::policy Policy, matrix_like S, vector_like Y, class W = none>
double top_label_ece(const Policy& where, const S& scores, const Y& labels, const W& weights = {},
                     const score_bins& bins = {}) {
    return classwise_reliability(where, scores, labels, weights, {.bins = bins}).top_label_ece();
}

}  // namespace reckon
