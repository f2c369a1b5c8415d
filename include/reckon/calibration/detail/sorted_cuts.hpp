// Tables over sorted cuts: where a score lies among them, and the maps that are constant or linear in between.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/core/config.hpp"
#include "reckon/core/lane.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon::detail {

/// How many of a sorted list of numbers are at most x, found without a branch on the data.
///
/// Cuts      non-decreasing, no NaN.
/// Cost      a table of 4096 cells or fewer, of equal width in the ordered bits of float, says how many cuts lie in
///           earlier cells; the cuts of a cell are searched by halving. A column takes these steps in blocks, whose
///           loads overlap.
/// Numerics  exact for float and double. A float is compared as an integer with the cuts rounded up to float, which
///           decides as the cuts themselves do.
class sorted_cuts {
  public:
    /// Scores that take each step together.
    static constexpr std::size_t block = 64;

    sorted_cuts() = default;
    explicit sorted_cuts(std::vector<double> cuts) : cuts_(std::move(cuts)), size_(cuts_.size()) { index(); }

    vector_view<const double> cuts() const noexcept { return {cuts_.data(), size_}; }

    /// Any count for NaN.
    template <class T>
    RECKON_INLINE std::size_t count_up_to(T x) const noexcept {
        std::uint32_t count;
        count_block<1>(&x, &count, 1);
        return count;
    }
    /// counts[k] = count_up_to(x[k]), k < n <= N.
    template <std::size_t N, class T>
    RECKON_INLINE void count_block(const T* x, std::uint32_t* counts, std::size_t n) const noexcept {
        std::uint32_t keys[N];
        const std::uint32_t lowest = lowest_, highest = highest_;
        for (std::size_t k = 0; k < n; ++k) keys[k] = (std::clamp)(key_of(x[k]), lowest, highest) - lowest;
        const std::uint32_t* const cells = cells_.data();
        const int shift = cell_shift_;
        for (std::size_t k = 0; k < n; ++k) counts[k] = cells[keys[k] >> shift];
        for (std::uint32_t step = first_step_; step > 0; step /= 2) {
            if constexpr (sizeof(T) == sizeof(float)) {
                const std::uint32_t* const table = keys_.data() + (step - 1);
                for (std::size_t k = 0; k < n; ++k) {
                    counts[k] += step * static_cast<std::uint32_t>(table[counts[k]] <= keys[k]);
                }
            } else {
                const double* const table = cuts_.data() + (step - 1);
                for (std::size_t k = 0; k < n; ++k) {
                    counts[k] += step * static_cast<std::uint32_t>(table[counts[k]] <= x[k]);
                }
            }
        }
    }

  private:
    // Ordered bits of the least float that is not below x.
    template <class T>
    RECKON_INLINE static std::uint32_t key_of(T x) noexcept {
        const auto nearest = static_cast<float>(x);
        return ordered_bits(nearest) + static_cast<std::uint32_t>(static_cast<T>(nearest) < x);
    }
    RECKON_INLINE static std::uint32_t steps_for(std::uint32_t most) noexcept {
        return static_cast<std::uint32_t>(std::bit_width(most));
    }

    void index() {
        if (cuts_.empty()) return;
        keys_.reserve(cuts_.size());
        for (const double cut : cuts_) keys_.push_back(key_of(cut));
        // One below the first: the key of every score that is below all cuts.
        lowest_ = keys_.front() - 1;
        highest_ = keys_.back();
        for (std::uint32_t& key : keys_) key -= lowest_;
        const auto width = static_cast<int>(std::bit_width(highest_ - lowest_));
        // The smallest table with the fewest steps.
        std::uint32_t best = (std::numeric_limits<std::uint32_t>::max)();
        const int size_bits = static_cast<int>(std::bit_width(cuts_.size()));
        const int most_bits = (std::min)(size_bits + 3, max_cell_bits);
        for (int bits = (std::min)(size_bits, most_bits); bits <= most_bits && best > 1; ++bits) {
            const int shift = (std::max)(width - bits, 0);
            const std::uint32_t most = fill_cells(shift);
            if (steps_for(most) < steps_for(best)) {
                best = most;
                cell_shift_ = shift;
            }
            if (shift == 0) break;
        }
        first_step_ = std::bit_floor(fill_cells(cell_shift_));
        // Past the last cut, rows that no score reaches, not even infinity: the search need not look where the cuts end.
        keys_.resize(keys_.size() + 2 * first_step_, (std::numeric_limits<std::uint32_t>::max)());
        cuts_.resize(cuts_.size() + 2 * first_step_, std::numeric_limits<double>::quiet_NaN());
    }
    // cells_[c]: how many cuts lie in cells before c. Returns the most that share a cell.
    std::uint32_t fill_cells(int shift) {
        cells_.assign((std::size_t{highest_ - lowest_} >> shift) + 1, 0);
        std::uint32_t most = 0;
        for (const std::uint32_t key : keys_) most = (std::max)(most, ++cells_[key >> shift]);
        std::uint32_t before = 0;
        for (std::uint32_t& cell : cells_) before += std::exchange(cell, before);
        return most;
    }

    static constexpr int max_cell_bits = 12;

    std::vector<double> cuts_;
    std::size_t size_ = 0;
    std::vector<std::uint32_t> keys_;
    std::vector<std::uint32_t> cells_ = std::vector<std::uint32_t>(1, 0);
    std::uint32_t lowest_ = 0;
    std::uint32_t highest_ = 0;
    std::uint32_t first_step_ = 0;
    int cell_shift_ = 0;
};

/// out[i] = body(scores[i], cuts.count_up_to(scores[i])); out may be the scores themselves.
///
/// Throws    std::invalid_argument when the sizes differ.
template <class Isa, exec::policy Policy, vector_like In, vector_like Out, class Body>
void map_by_cuts(const char* kernel, const Policy& where, const sorted_cuts& cuts, const In& scores, Out& out,
                 Body&& body) {
    const auto from = input(scores);
    const auto to = output_like(kernel, scores, out);
    using T = typename decltype(from)::value_type;
    exec::map_parts(where, from.size(), [&](std::size_t first, std::size_t count) {
        constexpr std::size_t block = sorted_cuts::block;
        const T* const x = from.data() + first;
        T* const y = to.data() + first;
        std::uint32_t bins[block];
        std::size_t i = 0;
        for (; i + block <= count; i += block) {
            cuts.count_block<block>(x + i, bins, block);
            for (std::size_t k = 0; k < block; ++k) y[i + k] = body(x[i + k], bins[k]);
        }
        if (i < count) {
            cuts.count_block<block>(x + i, bins, count - i);
            for (std::size_t k = 0; k < count - i; ++k) y[i + k] = body(x[i + k], bins[k]);
        }
    });
}

/// A map that is constant between cuts: values[number of cuts at or below the score]. NaN in, NaN out.
class step_table {
  public:
    step_table() : step_table({}, {0.0}) {}
    /// One value more than cuts.
    step_table(std::vector<double> cuts, std::vector<double> values)
        : cuts_(std::move(cuts)), values_(std::move(values)) {}

    template <class T>
    RECKON_INLINE T at(T score) const noexcept {
        return pick(values_.data(), score, cuts_.count_up_to(score));
    }
    template <class Isa, exec::policy Policy, vector_like In, vector_like Out>
    void apply(const char* kernel, const Policy& where, const In& scores, Out& out) const {
        map_by_cuts<Isa>(kernel, where, cuts_, scores, out,
                         [values = values_.data()](auto score, std::size_t bin) { return pick(values, score, bin); });
    }
    vector_view<const double> cuts() const noexcept { return cuts_.cuts(); }
    const std::vector<double>& values() const noexcept { return values_; }

    /// What is wrong with a table of probabilities, or null.
    static const char* fault(const std::vector<double>& cuts, const std::vector<double>& values) noexcept {
        if (values.size() != cuts.size() + 1) return "one value more than cuts is needed";
        if (values.size() >= (std::uint64_t{1} << 32)) return "fewer than 2^32 values are possible";
        for (std::size_t i = 0; i < cuts.size(); ++i) {
            if (!std::isfinite(cuts[i])) return "cuts must be finite";
            if (i > 0 && !(cuts[i - 1] < cuts[i])) return "cuts must increase";
        }
        for (const double value : values) {
            if (!(0.0 <= value && value <= 1.0)) return "values must be in [0, 1]";
        }
        return nullptr;
    }
    void write(byte_writer& out) const {
        out.put_array(cuts());
        out.put_array(values_);
    }
    static step_table read(byte_reader& in, const char* kernel) {
        auto cuts = in.get_array<double>();
        auto values = in.get_array<double>(cuts.size() + 1);
        const char* const wrong = fault(cuts, values);
        expects_bytes(wrong == nullptr, kernel, wrong == nullptr ? "" : wrong);
        return {std::move(cuts), std::move(values)};
    }

  private:
    template <class T>
    RECKON_INLINE static T pick(const double* values, T score, std::size_t bin) noexcept {
        return score == score ? static_cast<T>(values[bin]) : score;
    }

    sorted_cuts cuts_;
    std::vector<double> values_;
};

/// What a polygon does beyond its ends.
enum class beyond_ends { level, straight };

/// A monotone polygon through points (x, y). NaN in, NaN out.
///
/// Numerics  in double. Monotone to the last bit, and the points themselves are met.
class line_table {
  public:
    line_table() : line_table({0.0}, {0.0}) {}
    /// x strictly increasing, their differences finite; one point or more.
    line_table(const std::vector<double>& x, const std::vector<double>& y, beyond_ends ends = beyond_ends::level)
        : cuts_(x), lowest_(x.front()), highest_(x.back()) {
        lines_.reserve(x.size() + 1);
        lines_.push_back({x[0], y[0], 0.0, 0.0});  // below the first point
        for (std::size_t i = 0; i < x.size(); ++i) {
            double slope = 0.0;
            if (i + 1 < x.size()) {
                const double run = x[i + 1] - x[i], rise = y[i + 1] - y[i];
                slope = rise / run;
                // Rounding must not carry a value past the next point.
                const auto past = [&] {
                    const double end = simd::mul_add(run, slope, y[i]);
                    return rise < 0.0 ? end < y[i + 1] : end > y[i + 1];
                };
                while (past()) slope = std::nextafter(slope, 0.0);
            }
            lines_.push_back({x[i], y[i], slope, 0.0});
        }
        if (ends == beyond_ends::straight && x.size() > 1) {
            // Finite, so that a slope of 0 stays level out to infinity.
            highest_ = 1e300;
            lowest_ = -highest_;
            lines_.front().slope = lines_[1].slope;
            lines_.back().slope = lines_[x.size() - 1].slope;
        }
    }

    template <class T>
    RECKON_INLINE T at(T score) const noexcept {
        return follow(lines_.data(), lowest_, highest_, score, cuts_.count_up_to(score));
    }
    template <class Isa, exec::policy Policy, vector_like In, vector_like Out>
    void apply(const char* kernel, const Policy& where, const In& scores, Out& out) const {
        map_by_cuts<Isa>(kernel, where, cuts_, scores, out,
                         [lines = lines_.data(), lowest = lowest_, highest = highest_](auto score, std::size_t number) {
                             return follow(lines, lowest, highest, score, number);
                         });
    }

    // The padding makes places multiples of 32 bytes, so that no line lies across two cache lines.
    struct line {
        double x, y, slope, padding;
    };
    /// y + (score - x) slope, the score moved between the ends of the polygon. First the line below all points, then the
    /// one from each point on.
    const std::vector<line>& lines() const noexcept { return lines_; }
    double lowest() const noexcept { return lowest_; }
    double highest() const noexcept { return highest_; }

  private:
    template <class T>
    RECKON_INLINE static T follow(const line* lines, double lowest, double highest, T score,
                                  std::size_t number) noexcept {
        // In this order NaN passes.
        const double inside = simd::maximum(lowest, simd::minimum(highest, static_cast<double>(score)));
        const line& l = lines[number];
        return static_cast<T>(simd::mul_add(inside - l.x, l.slope, l.y));
    }

    sorted_cuts cuts_;
    std::vector<line> lines_;
    double lowest_, highest_;
};

}  // namespace reckon::detail
