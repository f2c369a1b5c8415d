// Bins of predicted probabilities: of equal width, at given cuts, or of equal mass.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/search.hpp"
#include "reckon/core/views.hpp"

namespace reckon {

/// Bins of [0, 1], closed on the left; the last one is closed on both sides. Default-built: 15 bins of equal width.
class score_bins {
  public:
    /// Limit on size().
    static constexpr std::size_t max_size = std::size_t{1} << 20;

    score_bins() = default;

    /// Bins of width 1 / bins.
    ///
    /// Throws    std::invalid_argument unless 1 <= bins <= max_size.
    static score_bins width(std::size_t bins) {
        expects(bins >= 1 && bins <= max_size, "score_bins", "1 to ", max_size, " bins are legal, got ", bins);
        score_bins b;
        b.size_ = bins;
        return b;
    }
    /// The bin of a score is the number of cuts that are not above it.
    ///
    /// Throws    std::invalid_argument unless the cuts are finite, strictly increasing and fewer than max_size.
    template <vector_like Cuts>
    static score_bins cuts(const Cuts& points) {
        const auto in = input(points);
        score_bins b;
        b.cuts_.assign(in.begin(), in.end());
        b.size_ = b.cuts_.size() + 1;
        expects(b.size_ <= max_size, "score_bins", "fewer than ", max_size, " cuts are legal, got ", b.cuts_.size());
        expects(increasing(b.cuts_), "score_bins", "cuts must be finite and strictly increasing");
        return b;
    }
    /// Bins of about equal mass: the cuts are the distinct sorted scores at ranks floor(k N / bins), k = 1 .. bins - 1,
    /// so that equal scores share a bin and ties make fewer bins. Scores outside [0, 1] and NaN have no rank.
    ///
    /// Throws    std::invalid_argument unless 1 <= bins <= max_size.
    /// Cost      O(N log N) and a copy of the scores.
    template <vector_like P>
    static score_bins mass(const P& scores, std::size_t bins) {
        expects(bins >= 1 && bins <= max_size, "score_bins", "1 to ", max_size, " bins are legal, got ", bins);
        const auto in = input(scores);
        using T = typename decltype(in)::value_type;
        std::vector<T> sorted;
        sorted.reserve(in.size());
        for (const T p : in) {
            if (p >= T(0) && p <= T(1)) sorted.push_back(p);
        }
        std::sort(sorted.begin(), sorted.end());
        score_bins b;
        if (!sorted.empty()) {
            const std::size_t whole = sorted.size() / bins, rest = sorted.size() % bins;
            for (std::size_t k = 1; k < bins; ++k) {
                const auto cut = static_cast<double>(sorted[k * whole + k * rest / bins]);
                if (b.cuts_.empty() || b.cuts_.back() < cut) b.cuts_.push_back(cut);
            }
        }
        b.size_ = b.cuts_.size() + 1;
        return b;
    }

    std::size_t size() const noexcept { return size_; }
    /// True when the bins have equal width.
    bool equal_width() const noexcept { return cuts_.empty(); }
    /// The bin of a score in [0, 1]. Equal-width bins take floor(p * size()) with the product in double: in float
    /// 0.7f * 10 rounds up to 7, although 0.7f is below 0.7.
    std::size_t index(double p) const noexcept {
        if (cuts_.empty()) {
            const auto b = static_cast<std::size_t>(p * static_cast<double>(size_));
            return b < size_ ? b : size_ - 1;
        }
        return detail::count_before(cuts_.data(), cuts_.size(), [p](double cut) { return cut <= p; });
    }
    /// Bounds of bin b; those of the first and the last bin are 0 and 1.
    double lower(std::size_t b) const noexcept {
        if (b == 0) return 0.0;
        return cuts_.empty() ? static_cast<double>(b) / static_cast<double>(size_) : cuts_[b - 1];
    }
    double upper(std::size_t b) const noexcept { return b + 1 < size_ ? lower(b + 1) : 1.0; }

    friend bool operator==(const score_bins&, const score_bins&) = default;

    void write(byte_writer& out) const {
        out.put(static_cast<std::uint64_t>(size_));
        out.put_array(cuts_);
    }
    static score_bins read(byte_reader& in) {
        const auto size = in.get<std::uint64_t>();
        expects_bytes(size >= 1 && size <= max_size, "score_bins", size, " bins are out of range");
        score_bins b;
        b.size_ = static_cast<std::size_t>(size);
        b.cuts_ = in.get_array<double>(max_size);
        expects_bytes(b.cuts_.empty() || b.cuts_.size() + 1 == b.size_, "score_bins", b.cuts_.size(), " cuts for ",
                      b.size_, " bins");
        expects_bytes(increasing(b.cuts_), "score_bins", "cuts are not finite and strictly increasing");
        return b;
    }

  private:
    static bool increasing(const std::vector<double>& cuts) noexcept {
        for (std::size_t i = 0; i < cuts.size(); ++i) {
            if (!std::isfinite(cuts[i]) || (i > 0 && !(cuts[i - 1] < cuts[i]))) return false;
        }
        return true;
    }

    std::size_t size_ = 15;
    std::vector<double> cuts_;
};

}  // namespace reckon
