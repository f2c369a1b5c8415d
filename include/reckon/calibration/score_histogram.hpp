// Sums per narrow cell of the score: from them any calibrator can be fitted again at any moment.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/rows.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/fading_clock.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/lane.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// Sums over the rows of one cell.
struct alignas(32) score_cell {
    double weight = 0;   ///< sum of w
    double score = 0;    ///< sum of w f
    double label = 0;    ///< sum of w y
    double squares = 0;  ///< sum of w^2

    RECKON_INLINE void add(const score_cell& other) noexcept {
        weight += other.weight;
        score += other.score;
        label += other.label;
        squares += other.squares;
    }
    /// Multiplies the weight of every row by `factor`.
    RECKON_INLINE void scale(double factor) noexcept {
        weight *= factor;
        score *= factor;
        label *= factor;
        squares *= factor * factor;
    }
    friend bool operator==(const score_cell&, const score_cell&) = default;
};

/// Cells and memory of a score_histogram.
struct score_histogram_options {
    /// What the scores are.
    score_kind input = score_kind::probability;
    /// 2 .. 10. A cell spans a factor of at most 1 + 2^-resolution in p and in 1 - p; 2^-resolution for log-odds.
    int resolution = 6;
    double half_life = std::numeric_limits<double>::infinity();  ///< > 0; time in which a sum loses half its weight
    double start = 0;                                            ///< the clock before the first advance()
};

/// Rows to fit a calibrator on, in ascending order of score.
struct score_columns {
    std::vector<double> scores, labels, weights;
};

/// Sums of weight, score and label over narrow cells of the score: a mergeable state, from which refit() makes any
/// calibrator.
///
///   p < 1/2    2^resolution cells an octave from 2^-24 to 1/2, one more below: the leading bits of p
///   p >= 1/2   their mirror image: the leading bits of 1 - p
///   log-odds   cells of width 2^-resolution from -16 to 16; those at the ends take all beyond
///
/// The edges are dyadic and 1 - p is exact, so the cell of a score is the same for float and double and on every
/// platform. Rows with a probability outside [0, 1], log-odds beyond float, a label outside [0, 1], or a weight that is
/// negative or not finite are skipped and counted, see seen().
///
/// With a finite half-life, sums fade: advance(now) multiplies them by 2^(-(now - clock) / half_life), and merge()
/// first brings both sides to the later clock.
///
/// Law       exact when all sums are integers or dyadic fractions, else within n roundings of the sums. The identity is
///           a state built with the same options.
/// Cost      32 bytes a cell: 2944 cells for probabilities, 2048 for log-odds at the default resolution. Absorbing a
///           row is a few operations on bits and four additions; fading and merging touch every cell.
/// Numerics  sums in double. Scores of one cell are replaced by their mean, so a smooth fit moves by the square of the
///           cell's width, and by chance less than 2 * 2^-resolution standard errors of its parameter; a step function
///           by the rows of the cells that hold its steps.
class score_histogram {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("SHIS");
    static constexpr std::uint32_t bytes_version = 1;
    static constexpr int lowest_resolution = 2, highest_resolution = 10;

    score_histogram() : score_histogram(score_histogram_options{}) {}
    /// Throws    std::invalid_argument for an option out of range.
    explicit score_histogram(const score_histogram_options& options)
        : input_(options.input), resolution_(options.resolution), clock_(options.half_life, options.start) {
        const char* const wrong = complaint(options);
        expects(wrong == nullptr, "score_histogram", wrong == nullptr ? "" : wrong);
        cells_.resize(cell_count());
    }

    score_kind input_kind() const noexcept { return input_; }
    int resolution() const noexcept { return resolution_; }
    double half_life() const noexcept { return clock_.half_life(); }
    double clock() const noexcept { return clock_.now(); }
    /// Rows taken and refused; they do not fade.
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }

    /// In ascending order of score.
    vector_view<const score_cell> cells() const noexcept { return {cells_.data(), cells_.size()}; }
    /// The cell of a usable score.
    template <class T>
    std::size_t index(T score) const noexcept {
        std::uint32_t at = 0;
        locate(&score, 1, &at);
        return at;
    }
    /// Bounds of cell k. The mean score of its rows lies between them.
    double lower(std::size_t k) const noexcept {
        if (input_ == score_kind::logit) {
            return k == 0 ? -std::numeric_limits<double>::infinity()
                          : std::ldexp(static_cast<double>(k), -resolution_) - logit_range;
        }
        const std::size_t half = cells_.size() / 2;
        return k < half ? outer_edge(k) : 1.0 - outer_edge(cells_.size() - k);
    }
    double upper(std::size_t k) const noexcept {
        if (k + 1 < cells_.size()) return lower(k + 1);
        return input_ == score_kind::logit ? std::numeric_limits<double>::infinity() : 1.0;
    }
    /// Sums over all cells.
    score_cell total() const noexcept {
        score_cell sum;
        for (const score_cell& cell : cells_) sum.add(cell);
        return sum;
    }
    score_cell finish() const noexcept { return total(); }
    /// (sum w)^2 / sum w^2: how many rows of equal weight would be as much evidence; 0 without rows.
    double effective_rows() const noexcept {
        const score_cell sum = total();
        return sum.squares > 0 ? sum.weight * (sum.weight / sum.squares) : 0.0;
    }

    /// One row a cell with data: mean score, mean label, weight.
    score_columns columns() const {
        score_columns out;
        for (std::size_t k = 0; k < cells_.size(); ++k) {
            const score_cell& cell = cells_[k];
            if (!(cell.weight > 0)) continue;
            out.scores.push_back(mean_score(k));
            out.labels.push_back((std::min)(cell.label / cell.weight, 1.0));
            out.weights.push_back(cell.weight);
        }
        return out;
    }
    /// About `rows` rows of equal weight, cut from the cells in order of score: for fits that rank rows, whatever their
    /// weight.
    ///
    /// Throws    std::invalid_argument for 0 rows.
    score_columns slices(std::size_t rows) const;

    /// Adds the rows of a scored batch.
    template <class P, class Y, class W, class Isa = isa::native>
    void absorb(const scored<P, Y, W>& rows) noexcept;
    /// The same on the threads of `where`, bit-equal for every policy; parts of 2^17 rows each have sums of their own.
    template <exec::policy Policy, class P, class Y, class W>
    void absorb(const Policy& where, const scored<P, Y, W>& rows) {
        score_histogram empty = *this;
        empty.clear();
        merge(exec::fold_parts(where, empty, rows, std::size_t{1} << 17));
    }

    /// Sets the clock and fades the sums to it.
    ///
    /// Throws    std::invalid_argument when `now` is not finite or before the clock.
    void advance(double now) { fade(clock_.advance("score_histogram::advance", now)); }

    /// Brings both sides to the later clock and adds.
    ///
    /// Throws    std::invalid_argument when the states were built for other scores, resolutions or half-lives.
    void merge(const score_histogram& other) {
        expects(input_ == other.input_, "score_histogram::merge", "probabilities on one side, log-odds on the other");
        expects(resolution_ == other.resolution_, "score_histogram::merge", "resolution ", resolution_, " here, ",
                other.resolution_, " there");
        const auto factors = clock_.align("score_histogram::merge", other.clock_);
        fade(factors.mine);
        for (std::size_t k = 0; k < cells_.size(); ++k) {
            score_cell cell = other.cells_[k];
            if (factors.theirs != 1) cell.scale(factors.theirs);
            cells_[k].add(cell);
        }
        seen_.merge(other.seen_);
    }

    /// Forgets all rows, keeps cells and clock.
    void clear() noexcept {
        std::fill(cells_.begin(), cells_.end(), score_cell{});
        seen_ = counts{};
    }

    void write(byte_writer& out) const {
        out.put(static_cast<std::uint8_t>(input_));
        out.put(static_cast<std::uint8_t>(resolution_));
        clock_.write(out);
        out.put(seen_.accepted);
        out.put(seen_.rejected);
        for (const score_cell& cell : cells_) {
            out.put(cell.weight);
            out.put(cell.score);
            out.put(cell.label);
            out.put(cell.squares);
        }
    }
    /// Throws    std::runtime_error when the bytes do not hold a state that absorb and merge could have made.
    static score_histogram read(byte_reader& in) {
        score_histogram_options options;
        options.input = detail::read_score_kind(in, "score_histogram");
        options.resolution = in.get<std::uint8_t>();
        const fading_clock clock = fading_clock::read(in, "score_histogram");
        const char* const wrong = complaint(options);
        expects_bytes(wrong == nullptr, "score_histogram", wrong == nullptr ? "" : wrong);
        score_histogram state(options, clock);
        state.seen_.accepted = in.get<std::uint64_t>();
        state.seen_.rejected = in.get<std::uint64_t>();
        // Before the cells are allocated.
        expects_bytes(state.cell_count() == in.left() / sizeof(score_cell), "score_histogram",
                      "the payload does not hold the cells of its resolution");
        state.cells_.resize(state.cell_count());
        for (std::size_t k = 0; k < state.cells_.size(); ++k) {
            score_cell& cell = state.cells_[k];
            cell = {in.get<double>(), in.get<double>(), in.get<double>(), in.get<double>()};
            expects_bytes(state.possible(k), "score_histogram", "a cell holds sums that no rows have");
        }
        return state;
    }

  private:
    static constexpr int octaves = 23;  // 2^-24 .. 2^-1
    static constexpr double logit_range = 16.0;

    score_histogram(const score_histogram_options& options, const fading_clock& clock)
        : input_(options.input), resolution_(options.resolution), clock_(clock) {}

    static const char* complaint(const score_histogram_options& options) noexcept {
        if (options.resolution < lowest_resolution || options.resolution > highest_resolution)
            return "the resolution must be in 2 .. 10";
        return fading_clock::complaint(options.half_life, options.start);
    }
    std::size_t cell_count() const noexcept {
        const std::size_t per_unit = std::size_t{1} << resolution_;
        return input_ == score_kind::logit ? std::size_t{2 * 16} * per_unit : 2 * octaves * per_unit;
    }
    // Lower edge of cell k of the lower half, k = 0 .. half; that of cell 0 is 0.
    double outer_edge(std::size_t k) const noexcept {
        if (k == 0) return 0.0;
        const std::size_t per_octave = std::size_t{1} << resolution_;
        const double step = std::ldexp(static_cast<double>(k % per_octave), -resolution_);
        return std::ldexp(1.0 + step, static_cast<int>(k / per_octave) - (octaves + 1));
    }
    double mean_score(std::size_t k) const noexcept {
        // Rounding must not carry the mean into a neighbouring cell.
        return (std::min)(upper(k), (std::max)(lower(k), cells_[k].score / cells_[k].weight));
    }
    bool possible(std::size_t k) const noexcept {
        const score_cell& cell = cells_[k];
        if (!(std::isfinite(cell.weight) && std::isfinite(cell.score) && std::isfinite(cell.squares))) return false;
        // Rounding is monotone, so y <= 1 holds for the sums as well; the edges of a cell only up to rounding.
        if (!(cell.weight >= 0 && cell.label >= 0 && cell.label <= cell.weight && cell.squares >= 0)) return false;
        if (cell.weight == 0) return cell.score == 0;
        if (cell.weight < 1e-290) return true;  // faded to where sums have few digits
        const double slack = 1e-6 * (1.0 + std::fabs(cell.score / cell.weight)), mean = cell.score / cell.weight;
        if (input_ == score_kind::probability && !(cell.score >= 0 && cell.score <= cell.weight)) return false;
        return std::isfinite(mean) && mean >= lower(k) - slack && mean <= upper(k) + slack;
    }
    void fade(double factor) noexcept {
        if (factor == 1) return;
        for (score_cell& cell : cells_) cell.scale(factor);
    }

    template <class Isa, class P, class Y, class W, class Count>
    void take_rows(const scored<P, Y, W>& rows, Count count) noexcept;

    // Cells of n scores; any legal one for a score that is not usable.
    template <class T>
    RECKON_INLINE void locate(const T* scores, std::size_t n, std::uint32_t* at) const noexcept {
        const auto last = static_cast<std::uint32_t>(cells_.size() - 1);
        if (input_ == score_kind::logit) {
            const T per_unit = static_cast<T>(1 << resolution_), end = T(16) * per_unit;
            for (std::size_t i = 0; i < n; ++i) {
                const T t = scores[i] * per_unit;
                // A NaN becomes the lower end.
                const T inside = t > -end ? (t < end ? t : end) : -end;
                auto below = static_cast<std::int32_t>(inside);
                below -= static_cast<T>(below) > inside ? 1 : 0;
                const auto k = static_cast<std::uint32_t>(below + static_cast<std::int32_t>(end));
                at[i] = k < last ? k : last;
            }
            return;
        }
        using format = simd::float_format<T>;
        using bits = typename format::bits;
        // The largest number below 1/2.
        const T most = T(0.5) - std::numeric_limits<T>::epsilon() / 4, least = T(0x1p-24);
        const int shift = format::mantissa_bits - resolution_;
        const auto first = static_cast<std::uint32_t>(std::bit_cast<bits>(least) >> shift);
        for (std::size_t i = 0; i < n; ++i) {
            const T p = scores[i];
            const T outer = simd::minimum(T(1) - p, p);
            // A NaN becomes one of the ends. No branch on the score anywhere.
            const T inside = simd::minimum(simd::maximum(outer, least), most);
            const auto k = static_cast<std::uint32_t>(std::bit_cast<bits>(inside) >> shift) - first;
            const std::uint32_t mirrored = p >= T(0.5) ? ~std::uint32_t{0} : std::uint32_t{0};
            at[i] = (k ^ mirrored) + (mirrored & (last + 1));  // last - k above 1/2
        }
    }

    score_kind input_ = score_kind::probability;
    int resolution_ = 6;
    fading_clock clock_;
    counts seen_;
    std::vector<score_cell> cells_;
};

template <class P, class Y, class W, class Isa>
void score_histogram::absorb(const scored<P, Y, W>& rows) noexcept {
    // A constant count lets the compiler take several rows at a time.
    constexpr std::size_t block = 256;
    std::size_t first = 0;
    for (; first + block <= rows.size(); first += block) {
        take_rows<Isa>(rows.slice(first, block), std::integral_constant<std::size_t, block>{});
    }
    if (first < rows.size()) take_rows<Isa>(rows.slice(first, rows.size() - first), rows.size() - first);
}

// At most 256 rows; Count is their number or a constant of that value.
template <class Isa, class P, class Y, class W, class Count>
RECKON_INLINE void score_histogram::take_rows(const scored<P, Y, W>& rows, Count count) noexcept {
    constexpr std::size_t block = 256;
    const auto beyond = static_cast<P>((std::numeric_limits<float>::max)());
    const P least = input_ == score_kind::probability ? P(0) : -beyond;
    const P most = input_ == score_kind::probability ? P(1) : beyond;
    // Labels and weights as numbers that convert fast; doubles keep their digits.
    using label = std::conditional_t<std::is_same_v<Y, double>, double, P>;
    using weight = std::conditional_t<std::is_same_v<W, double>, double, P>;
    label label_buffer[block];
    weight weight_buffer[block];
    const P* const f = rows.scores.data();
    const label* const y = detail::as_lanes(rows.labels, 0, count, label_buffer);
    const bool weighted = !rows.weights.empty();
    const weight* const w = weighted ? detail::as_lanes(rows.weights, 0, count, weight_buffer) : nullptr;

    std::uint32_t at[block];
    locate(f, count, at);
    std::int32_t good = 0;
    for (std::size_t i = 0; i < count; ++i) {
        good += int(least <= f[i]) & int(f[i] <= most) & int(label(0) <= y[i]) & int(y[i] <= label(1));
    }
    if (weighted) {
        std::int32_t legal = 0;
        for (std::size_t i = 0; i < count; ++i) {
            legal += int(weight(0) <= w[i]) & int(w[i] <= (std::numeric_limits<weight>::max)());
        }
        // Either way not all rows are good.
        if (legal < good) good = legal;
    }
    score_cell* const cells = cells_.data();
    const auto add = [&](std::size_t i, double wi) {
        const double fi = static_cast<double>(f[i]), yi = static_cast<double>(y[i]);
        cells[at[i]].add({wi, wi * fi, wi * yi, wi * wi});
    };
    if (static_cast<std::size_t>(good) == count) {
        if (weighted) {
            for (std::size_t i = 0; i < count; ++i) add(i, static_cast<double>(w[i]));
        } else {
            for (std::size_t i = 0; i < count; ++i) add(i, 1.0);
        }
        seen_.accepted += count;
        return;
    }
    for (std::size_t i = 0; i < count; ++i) {
        const double wi = weighted ? static_cast<double>(w[i]) : 1.0;
        const bool ok = least <= f[i] && f[i] <= most && label(0) <= y[i] && y[i] <= label(1) && 0 <= wi &&
                        wi <= (std::numeric_limits<double>::max)();
        seen_.absorb(ok);
        if (ok) add(i, wi);
    }
}

inline score_columns score_histogram::slices(std::size_t rows) const {
    expects(rows > 0, "score_histogram::slices", "at least one row is needed");
    const score_columns from = columns();
    double whole = 0;
    for (const double w : from.weights) whole += w;
    const double each = whole / static_cast<double>(rows);
    score_columns out;
    score_cell open;
    const auto close = [&] {
        out.scores.push_back(open.score / open.weight);
        out.labels.push_back((std::min)(open.label / open.weight, 1.0));
        out.weights.push_back(open.weight);
        open = {};
    };
    for (std::size_t k = 0; k < from.scores.size(); ++k) {
        double left = from.weights[k];
        while (left > 0) {
            const double room = each - open.weight;
            // What rounding leaves of a slice is no slice of its own.
            const bool full = !(left < room * (1 - 1e-9));
            const double part = full ? (std::min)(left, room) : left;
            open.add({part, part * from.scores[k], part * from.labels[k], 0});
            left = part < left && left - part > 1e-9 * each ? left - part : 0;
            if (full) close();
        }
    }
    if (open.weight > 0) close();
    return out;
}

/// True for calibrators whose fit ranks rows without regard to their weight.
template <class C>
inline constexpr bool ranks_rows = requires {
    C::ranks_rows;
};

namespace detail {

/// Throws    std::invalid_argument when the options are those of a fit to other scores.
template <class Options>
void expects_same_input(const Options& options, score_kind held) {
    if constexpr (requires {
                      { options.input } -> std::convertible_to<score_kind>;
                  }) {
        const auto name = [](score_kind kind) { return kind == score_kind::logit ? "log-odds" : "probabilities"; };
        expects(options.input == held, "refit", "the histogram holds ", name(held), ", the fit wants ",
                name(options.input));
    }
}

}  // namespace detail

/// The calibrator that the rows absorbed so far give: C::fit on one weighted row a cell, or on 16384 slices of equal
/// weight when the fit of C ranks rows.
///
/// Returns   C; its seen() counts cells or slices, the histogram's own seen() counts rows.
/// Throws    std::invalid_argument when options.input, where there is one, differs from that of the histogram, and what
///           the fit throws.
/// Cost      a fit to a few thousand rows, however many were absorbed.
/// Numerics  see score_histogram; isotonic regression is that of the rows pooled by cell.
template <class C, exec::policy Policy, class... Options>
C refit(const Policy& where, const score_histogram& histogram, const Options&... options) {
    static_assert(sizeof...(Options) <= 1, "reckon: refit takes the options of one calibrator");
    (detail::expects_same_input(options, histogram.input_kind()), ...);
    constexpr std::size_t slices = std::size_t{1} << 14;
    const score_columns rows = ranks_rows<C> ? histogram.slices(slices) : histogram.columns();
    return C::fit(where, rows.scores, rows.labels, rows.weights, options...);
}

}  // namespace reckon
