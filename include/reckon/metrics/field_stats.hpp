// Sums per value of categorical fields: what field-aware calibration and field-wise errors are computed from.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/fading_clock.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/lane.hpp"
#include "reckon/core/prefetch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// Scored rows with one value id per categorical field.
///
/// Shapes    rows [N], ids [F, N]: one row of ids per field.
template <class Scored>
struct fielded_scored {
    Scored rows;
    matrix_view<const std::int32_t> ids;

    constexpr std::size_t size() const noexcept { return rows.size(); }
    constexpr fielded_scored slice(std::size_t first, std::size_t count) const noexcept {
        return {rows.slice(first, count), ids.columns(first, count)};
    }
};

/// Builds a batch from scores, labels, ids and weights and checks its shapes.
///
/// Throws    std::invalid_argument when the columns differ in length.
template <vector_like P, vector_like Y, class Ids, class W = none>
auto make_fielded(const char* kernel, const P& scores, const Y& labels, const Ids& ids, const W& weights = {}) {
    const auto rows = make_scored(kernel, scores, labels, weights);
    const matrix_view<const std::int32_t> id_rows = input(ids);
    expects(id_rows.cols() == rows.size(), kernel, rows.size(), " scores but ids for ", id_rows.cols(), " rows");
    return fielded_scored<std::remove_const_t<decltype(rows)>>{rows, id_rows};
}

/// Sums over the rows of one field value (and score bin).
struct alignas(32) field_cell {
    double n = 0;          ///< sum of w: the count, without weights
    double predicted = 0;  ///< sum of w p
    double observed = 0;   ///< sum of w y
    double variance = 0;   ///< sum of w^2 p (1 - p): the variance of `observed` if p is the truth

    RECKON_INLINE void add(const field_cell& other) noexcept {
        n += other.n;
        predicted += other.predicted;
        observed += other.observed;
        variance += other.variance;
    }
    RECKON_INLINE void scale(double factor) noexcept {
        n *= factor;
        predicted *= factor;
        observed *= factor;
        variance *= factor;
    }
    friend bool operator==(const field_cell&, const field_cell&) = default;
};

/// Shape and memory of a field_stats.
struct field_stats_options {
    std::vector<double> bin_edges = {};  ///< ascending, in (0, 1); B - 1 edges make B score bins
    double half_life = std::numeric_limits<double>::infinity();  ///< > 0; time in which a sum loses half its weight
    double start = 0;                                            ///< the clock before the first advance()
};

/// Sums of weight, prediction and label per value of F categorical fields: a mergeable state.
///
/// Ids are legal whatever they are: those outside 0 .. values(f) - 1 are summed in the field's unseen cell, so that the
/// totals of all fields agree. Rows with a score or label that is not in [0, 1], or a weight that is negative or not
/// finite, are skipped and counted, see rejected().
///
/// With a finite half-life, sums fade: advance(now) multiplies them by 2^(-(now - clock) / half_life), and merge()
/// first brings both sides to the later clock.
///
/// Law       exact when all sums are integers or dyadic fractions, else within n roundings of the sums. The identity is
///           a state built with the same arguments.
/// Cost      32 bytes a cell, (values + 1) * bins cells a field; four additions per row and field.
/// Numerics  sums in double: counts are exact up to 2^53.
class field_stats {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("FSTA");
    static constexpr std::uint32_t bytes_version = 1;
    /// Cells over all fields that a state may have: 2 GiB.
    static constexpr std::size_t max_cells = std::size_t{1} << 26;
    static constexpr std::size_t max_bins = 256;

    /// One field per entry of `cardinalities`, with the ids 0 .. cardinality - 1.
    ///
    /// Throws    std::invalid_argument for no field, more than max_cells cells, or an option out of range.
    explicit field_stats(std::vector<std::size_t> cardinalities, field_stats_options options = {})
        : values_(std::move(cardinalities)), options_(std::move(options)), clock_(options_.half_life, options_.start) {
        const char* const wrong = complaint(values_, options_);
        expects(wrong == nullptr, "field_stats", wrong == nullptr ? "" : wrong);
        lay_out();
        cells_.resize(first_.back());
    }

    std::size_t fields() const noexcept { return values_.size(); }
    std::size_t values(std::size_t field) const noexcept { return values_[field]; }
    const std::vector<std::size_t>& cardinalities() const noexcept { return values_; }
    std::size_t bins() const noexcept { return options_.bin_edges.size() + 1; }
    const field_stats_options& options() const noexcept { return options_; }
    double clock() const noexcept { return clock_.now(); }
    /// Rows absorbed and rows skipped; they do not fade.
    std::uint64_t accepted() const noexcept { return accepted_; }
    std::uint64_t rejected() const noexcept { return rejected_; }

    /// The cells of a field: the bins of value 0, those of value 1, and so on.
    vector_view<const field_cell> cells(std::size_t field) const noexcept {
        return {cells_.data() + first_[field], values_[field] * bins()};
    }
    /// Sums of one value over its bins.
    field_cell value(std::size_t field, std::size_t id) const noexcept { return sum_bins(first_[field] + id * bins()); }
    /// Sums of the rows whose id has no value in this field.
    field_cell unseen(std::size_t field) const noexcept { return value(field, values_[field]); }
    /// Sums over all values of a field, unseen included; they differ between fields by rounding only.
    field_cell total(std::size_t field = 0) const noexcept {
        field_cell sum;
        for (std::size_t c = first_[field]; c < first_[field + 1]; ++c) sum.add(cells_[c]);
        return sum;
    }
    /// The totals.
    field_cell finish() const noexcept { return total(); }

    /// Adds the rows of a fielded_scored batch.
    ///
    /// Throws    std::invalid_argument when the batch has another number of fields.
    template <class Batch>
    void absorb(const Batch& batch) {
        absorb(exec::serial, batch);
    }
    /// The same with the fields shared out over the threads of `where`. Each field has one owner that takes the rows in
    /// their order, so the sums are bit-equal for every policy and number of threads.
    template <exec::policy Policy, class Batch, class Isa = isa::native>
    void absorb(const Policy& where, const Batch& batch);

    /// Sets the clock and fades the sums to it.
    ///
    /// Throws    std::invalid_argument when `now` is not finite or before the clock.
    void advance(double now) { fade(clock_.advance("field_stats::advance", now)); }

    /// Brings both sides to the later clock and adds.
    ///
    /// Throws    std::invalid_argument when the states were built with different cardinalities, bins or half-lives.
    void merge(const field_stats& other) {
        expects(fields() == other.fields(), "field_stats::merge", fields(), " fields here, ", other.fields(), " there");
        for (std::size_t f = 0; f < fields(); ++f) {
            expects(values(f) == other.values(f), "field_stats::merge", "field ", f, " has ", values(f),
                    " values here, ", other.values(f), " there");
        }
        expects(options_.bin_edges == other.options_.bin_edges, "field_stats::merge", "the score bins differ");
        const auto factors = clock_.align("field_stats::merge", other.clock_);
        fade(factors.mine);
        for (std::size_t c = 0; c < cells_.size(); ++c) {
            field_cell cell = other.cells_[c];
            if (factors.theirs != 1) cell.scale(factors.theirs);
            cells_[c].add(cell);
        }
        accepted_ += other.accepted_;
        rejected_ += other.rejected_;
    }

    /// Forgets all rows, keeps shape and clock.
    void clear() noexcept {
        for (field_cell& cell : cells_) cell = field_cell{};
        accepted_ = rejected_ = 0;
    }

    void write(byte_writer& out) const {
        out.put_array(std::vector<std::uint64_t>(values_.begin(), values_.end()));
        out.put_array(options_.bin_edges);
        clock_.write(out);
        out.put(accepted_);
        out.put(rejected_);
        for (const field_cell& cell : cells_) {
            out.put(cell.n);
            out.put(cell.predicted);
            out.put(cell.observed);
            out.put(cell.variance);
        }
    }
    /// Throws    std::runtime_error when the bytes do not hold a state that absorb and merge could have made.
    static field_stats read(byte_reader& in) {
        const auto cardinalities = in.get_array<std::uint64_t>();
        field_stats_options options;
        options.bin_edges = in.get_array<double>(max_bins - 1);
        const fading_clock clock = fading_clock::read(in, "field_stats");
        options.half_life = clock.half_life();
        options.start = clock.start();
        const std::vector<std::size_t> values(cardinalities.begin(), cardinalities.end());
        const char* const wrong = complaint(values, options);
        expects_bytes(wrong == nullptr, "field_stats", wrong == nullptr ? "" : wrong);
        const auto accepted = in.get<std::uint64_t>();
        const auto rejected = in.get<std::uint64_t>();
        // Before the table is allocated.
        expects_bytes(cell_count(values, options.bin_edges.size() + 1) == in.left() / sizeof(field_cell), "field_stats",
                      "the payload does not hold the cells of its fields");
        field_stats stats(values, std::move(options));
        stats.clock_ = clock;
        stats.accepted_ = accepted;
        stats.rejected_ = rejected;
        for (field_cell& cell : stats.cells_) {
            cell = {in.get<double>(), in.get<double>(), in.get<double>(), in.get<double>()};
            // Rounding is monotone, so p <= 1 and y <= 1 hold for the sums as well.
            expects_bytes(cell.n >= 0 && std::isfinite(cell.n) && cell.predicted >= 0 && cell.predicted <= cell.n &&
                              cell.observed >= 0 && cell.observed <= cell.n && cell.variance >= 0 &&
                              std::isfinite(cell.variance),
                          "field_stats", "a cell holds sums that no rows have");
        }
        return stats;
    }

  private:
    // Cells of all fields, max_cells + 1 when they are too many.
    static std::size_t cell_count(const std::vector<std::size_t>& values, std::size_t bins) noexcept {
        std::size_t sum = 0;
        for (const std::size_t v : values) {
            if (v >= max_cells / bins || (v + 1) * bins > max_cells - sum) return max_cells + 1;
            sum += (v + 1) * bins;
        }
        return sum;
    }
    // Null when a state can be built like this.
    static const char* complaint(const std::vector<std::size_t>& values, const field_stats_options& options) {
        if (values.empty()) return "needs at least one field";
        if (options.bin_edges.size() >= max_bins) return "more than 255 bin edges";
        double previous = 0;
        for (const double edge : options.bin_edges) {
            if (!(edge > previous && edge < 1)) return "bin edges must ascend inside (0, 1)";
            previous = edge;
        }
        if (const char* const wrong = fading_clock::complaint(options.half_life, options.start)) return wrong;
        if (cell_count(values, options.bin_edges.size() + 1) > max_cells) return "more than 2^26 cells";
        return nullptr;
    }

    void lay_out() {
        first_.reserve(values_.size() + 1);
        first_.push_back(0);
        for (const std::size_t v : values_) first_.push_back(first_.back() + (v + 1) * bins());
    }
    field_cell sum_bins(std::size_t first) const noexcept {
        field_cell sum = cells_[first];
        for (std::size_t b = 1; b < bins(); ++b) sum.add(cells_[first + b]);
        return sum;
    }
    void fade(double factor) noexcept {
        if (factor == 1) return;
        for (field_cell& cell : cells_) cell.scale(factor);
    }

    std::vector<std::size_t> values_;
    field_stats_options options_;
    fading_clock clock_;
    std::uint64_t accepted_ = 0;
    std::uint64_t rejected_ = 0;
    std::vector<std::size_t> first_;  // cell of value 0 of every field, and the end
    std::vector<field_cell> cells_;   // per field the values, then unseen
};

namespace detail {

// Rows that are prepared at a time: what they add stays in L1 while the fields take it.
inline constexpr std::size_t field_block = 256;

// One block of rows, ready to be added to the cells of any field.
struct prepared_rows {
    field_cell sums[field_block];
    std::uint8_t bin[field_block] = {};
    std::size_t count = 0;
    std::size_t good = 0;

    // A bad row adds nothing, wherever it goes.
    template <class Scored>
    RECKON_INLINE void prepare(const Scored& rows, const std::vector<double>& edges) noexcept {
        count = rows.size();
        good = 0;
        if (rows.weights.empty()) {
            for (std::size_t i = 0; i < count; ++i) prepare_row(i, rows.score(i), rows.label(i), 1.0);
        } else {
            for (std::size_t i = 0; i < count; ++i) {
                prepare_row(i, rows.score(i), rows.label(i), static_cast<double>(rows.weights[i]));
            }
        }
        if (edges.empty()) return;
        for (std::size_t i = 0; i < count; ++i) {
            unsigned at = 0;
            for (const double edge : edges) at += edge <= rows.score(i);
            bin[i] = static_cast<std::uint8_t>(at);
        }
    }

  private:
    // Comparisons without branches; all are false for NaN.
    RECKON_INLINE void prepare_row(std::size_t i, double p, double y, double w) noexcept {
        const bool ok = static_cast<bool>(int(p >= 0) & int(p <= 1) & int(y >= 0) & int(y <= 1) & int(w >= 0) &
                                          int(w <= (std::numeric_limits<double>::max)()));
        const double pk = simd::select(ok, p, 0.0);
        const double yk = simd::select(ok, y, 0.0);
        const double wk = simd::select(ok, w, 0.0);
        const double wp = wk * pk;
        sums[i] = {wk, wp, wk * yk, wk * (wp - wp * pk)};
        good += ok;
    }
};

// Adds a block to the table of one field. `ids` are those of the block; the cells of id v start at v * bins.
template <class Isa>
RECKON_INLINE void scatter_rows(const prepared_rows& rows, const std::int32_t* ids, std::size_t values,
                                std::size_t bins, field_cell* table) noexcept {
    // Negative ids become large, so one comparison finds all that are unseen.
    const auto unseen = static_cast<std::uint32_t>(values);
    std::uint32_t at[field_block];
    const auto locate = [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            const auto id = static_cast<std::uint32_t>(ids[i]);
            at[i] = (id < unseen ? id : unseen) * static_cast<std::uint32_t>(bins) + rows.bin[i];
        }
    };
    // A constant count lets the compiler take several ids at a time.
    if (rows.count == field_block) {
        locate(field_block);
    } else {
        locate(rows.count);
    }
    // Far enough ahead for a cell in main memory to arrive.
    constexpr std::size_t ahead = 24;
    std::size_t i = 0;
    for (; i + ahead < rows.count; ++i) {
        detail::prefetch_write(table + at[i + ahead]);
        table[at[i]].add(rows.sums[i]);
    }
    for (; i < rows.count; ++i) table[at[i]].add(rows.sums[i]);
}

}  // namespace detail

template <exec::policy Policy, class Batch, class Isa>
void field_stats::absorb(const Policy& where, const Batch& batch) {
    const std::size_t n = batch.size();
    expects(n == 0 || batch.ids.rows() == fields(), "field_stats::absorb", "ids for ", batch.ids.rows(),
            " fields, the state has ", fields());
    if (n == 0) return;
    // Fields first .. last - 1 take all rows in order.
    const auto take_rows = [&](std::size_t first_field, std::size_t last_field) {
        detail::prepared_rows block;
        std::size_t good = 0;
        for (std::size_t row = 0; row < n; row += detail::field_block) {
            const std::size_t count = n - row < detail::field_block ? n - row : detail::field_block;
            block.prepare(batch.rows.slice(row, count), options_.bin_edges);
            good += block.good;
            for (std::size_t f = first_field; f < last_field; ++f) {
                detail::scatter_rows<Isa>(block, batch.ids.row(f).data() + row, values_[f], bins(),
                                          cells_.data() + first_[f]);
            }
        }
        if (first_field == 0) {
            accepted_ += good;
            rejected_ += n - good;
        }
    };
    if constexpr (std::is_same_v<Policy, exec::serial_policy>) {
        take_rows(0, fields());
    } else {
        exec::for_each_index(where, fields(), [&](std::size_t f) { take_rows(f, f + 1); });
    }
}

}  // namespace reckon
