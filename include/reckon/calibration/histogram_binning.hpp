// Histogram binning: the observed rate of a score's bin.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/bin_rates.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/metrics/score_bins.hpp"

namespace reckon {

/// How histogram_binning::fit works.
struct histogram_binning_options {
    enum class partition : std::uint8_t {
        equal_width,  // floor(p * bins)
        equal_mass,   // cut at the scores of ranks floor(k * N / bins); equal scores stay together
    };
    enum class empty_bin : std::uint8_t {
        nearest,   // the value of the nearest bin with data, of the lower one of two
        midpoint,  // the middle of the bin
    };
    /// 1 .. 2^20.
    std::size_t bins = 15;
    partition edges = partition::equal_mass;
    empty_bin empty = empty_bin::nearest;
    /// (K + 1)/(n + 2) instead of K/n, n and K the sums of weights and of weighted labels; 1/2 for an empty bin.
    bool laplace = false;
};

/// Histogram binning: p' is the mean label of the rows whose score fell into the same bin.
///
/// Fit       counts per bin, which merge over shards when the bins are given (equal width). No data: every bin gives
///           its midpoint (1/2 with laplace). One distinct score or one class: the bins hold what there is.
/// Throws    fit: std::invalid_argument when columns differ in length or bins is out of range; counts and skips bad
///           examples. apply: std::invalid_argument when sizes differ; propagates NaN, scores outside [0, 1] go to the
///           first and the last bin.
/// Cost      fit: one pass for equal width, three for equal mass (the first two on one thread). apply: a multiplication
///           and a look-up, or two look-ups and a few comparisons, without a branch on the score.
/// Numerics  bins and sums in double; the bin of a score does not depend on whether it arrives as float or double.
/// Source    Zadrozny and Elkan 2001.
class histogram_binning {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("HIST");
    static constexpr std::uint32_t bytes_version = 1;
    /// The fit ranks rows, whatever their weight: see refit().
    static constexpr bool ranks_rows = true;

    /// One bin with the value 1/2.
    histogram_binning() : bins_(score_bins::width(1)), values_(1, 0.5) {}

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static histogram_binning fit(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                                 const histogram_binning_options& options = {}) {
        const auto batch = make_scored("histogram_binning", scores, labels, weights);
        expects(1 <= options.bins && options.bins <= score_bins::max_size, "histogram_binning",
                "bins must be in [1, 2^20], got ", options.bins);
        auto bins = options.edges == histogram_binning_options::partition::equal_width
                        ? score_bins::width(options.bins)
                        : detail::equal_mass_bins<Isa>(batch, options.bins);
        return from_sums(exec::fold_parts(where, detail::score_bin_sums<Isa>(std::move(bins)), batch), options);
    }
    /// The calibrator that belongs to sums per bin, wherever they were gathered; uses `empty` and `laplace`.
    template <class Isa>
    static histogram_binning from_sums(const detail::score_bin_sums<Isa>& sums,
                                       const histogram_binning_options& options = {}) {
        histogram_binning fitted;
        fitted.bins_ = sums.bins();
        fitted.seen_ = sums.seen();
        fitted.values_ = rates(sums, options);
        fitted.index_cuts();
        return fitted;
    }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        return bins_.equal_width() ? at(score) : steps_.at(score);
    }
    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        if (!bins_.equal_width()) return steps_.template apply<Isa>("histogram_binning", where, scores, out);
        detail::map_each_score<Isa>("histogram_binning", where, scores, out, [this](auto p) { return this->at(p); });
    }

    std::size_t bins() const noexcept { return values_.size(); }
    /// Value of bin k.
    double value(std::size_t k) const noexcept { return values_[k]; }
    /// Lower edge of bin k, k = 0 .. bins().
    double edge(std::size_t k) const noexcept { return k < bins() ? bins_.lower(k) : 1.0; }
    /// True when all bins are equally wide, so that the bin of a score is floor(score * bins()).
    bool equal_width() const noexcept { return bins_.equal_width(); }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        bins_.write(out);
        out.put_array(values_);
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static histogram_binning read(byte_reader& in) {
        histogram_binning h;
        h.bins_ = score_bins::read(in);
        h.values_ = in.get_array<double>(score_bins::max_size);
        expects_bytes(h.values_.size() == h.bins_.size(), "histogram_binning", h.values_.size(), " values for ",
                      h.bins_.size(), " bins");
        for (const double v : h.values_) {
            expects_bytes(0.0 <= v && v <= 1.0, "histogram_binning", "value ", v, " is outside [0, 1]");
        }
        h.seen_.accepted = in.get<std::uint64_t>();
        h.seen_.rejected = in.get<std::uint64_t>();
        h.index_cuts();
        return h;
    }

  private:
    template <class T>
    RECKON_INLINE T at(T score) const noexcept {
        // A NaN becomes 0 here, so that every index is legal.
        const T inside = simd::minimum(simd::maximum(score, T(0)), T(1));
        const auto p = static_cast<double>(inside);
        return score == score ? static_cast<T>(values_[bins_.index(p)]) : score;
    }

    void index_cuts() {
        if (bins_.equal_width()) return;
        std::vector<double> cuts;
        for (std::size_t b = 1; b < bins_.size(); ++b) cuts.push_back(bins_.lower(b));
        steps_ = detail::step_table(std::move(cuts), values_);
    }

    template <class Isa>
    static std::vector<double> rates(const detail::score_bin_sums<Isa>& sums,
                                     const histogram_binning_options& options) {
        const auto& cells = sums.cells();
        const std::size_t n = cells.size();
        std::vector<double> values(n);
        constexpr std::size_t nowhere = (std::numeric_limits<std::size_t>::max)();
        std::size_t before = nowhere;  // last bin with data
        for (std::size_t b = 0; b < n; ++b) {
            const auto& cell = cells[b];
            if (options.laplace) {
                values[b] = (cell.positive + 1.0) / (cell.weight + 2.0);
            } else if (cell.weight > 0.0) {
                values[b] = (std::min)(cell.positive / cell.weight, 1.0);
                if (options.empty == histogram_binning_options::empty_bin::nearest) {
                    // The empty bins in between; a tie goes to the lower one.
                    for (std::size_t e = before == nowhere ? 0 : before + 1; e < b; ++e) {
                        values[e] = before != nowhere && e - before <= b - e ? values[before] : values[b];
                    }
                }
                before = b;
            } else {
                values[b] = 0.5 * (sums.bins().lower(b) + sums.bins().upper(b));
            }
        }
        if (!options.laplace && options.empty == histogram_binning_options::empty_bin::nearest && before != nowhere) {
            for (std::size_t e = before + 1; e < n; ++e) values[e] = values[before];
        }
        return values;
    }

    score_bins bins_;
    std::vector<double> values_;
    detail::step_table steps_;  // bins_ and values_ arranged for apply(), when the bins have cuts
    counts seen_;
};

}  // namespace reckon
