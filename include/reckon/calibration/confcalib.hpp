// Confidence-aware multi-field calibration of predicted probabilities.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/calibration/confidence_ratio.hpp"
#include "reckon/calibration/detail/confcalib.simd.hpp"
#include "reckon/calibration/empirical_bayes.hpp"
#include "reckon/calibration/field_weights.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/field_stats.hpp"

namespace reckon {

/// How the corrections of several fields become one.
enum class fusion_kind : std::uint8_t {
    geometric = 0,   ///< weighted geometric mean of the fields' results: sum of w_f ln r_f
    product = 1,     ///< sum of ln r_f
    sequential = 2,  ///< sum of ln r_f, where each field sees the predictions that the ones before it have corrected
};

/// Where the weights of the geometric fusion come from. See also confcalib::with_learned_weights().
enum class weighting_kind : std::uint8_t {
    uniform = 0,  ///< 1 / F
    rce = 1,      ///< proportional to the field's relative calibration error before calibration
    given = 2,    ///< confcalib_options::field_weights
};

struct confcalib_options {
    confidence_options confidence = {};
    correction_kind correction = correction_kind::ratio;
    fusion_kind fusion = fusion_kind::geometric;
    weighting_kind weighting = weighting_kind::rce;
    std::vector<double> field_weights = {};       ///< F finite numbers >= 0 for weighting_kind::given
    bool rescale = true;                          ///< end with one shift of all rows that makes sum p' = sum y
    int passes = 1;                               ///< 1 to 100: rounds over the fields, sequential only
    std::vector<double> bin_edges = {};           ///< of score bins; ratio form, geometric or product only
    std::vector<std::size_t> cardinalities = {};  ///< values per field; empty: largest id + 1 of the rows
};

/// Calibrator with one table of corrections per categorical field (ad, slot, user group ...).
///
///   ratio    ln p' = ln p + sum_f w_f ln r_f,c[f,i] + b
///   logit    logit p' = logit p + sum_f w_f d_f,c[f,i] + b
///
/// The correction of a value is confidence_log_ratio() of its sums: small samples hardly move a prediction, large ones
/// replace it by what was observed. In logit form d moves the value's mean prediction to the same place. Ids without a
/// value, negative ones included, are unseen: they are legal and their field then corrects nothing. b makes the
/// predictions of the calibration rows add up to their labels.
///
/// A fit skips and counts rows as field_stats does. Without any row, or with an id that no row had, nothing is
/// corrected; with one class only, corrections go as far as guard and clip allow and b stays 0.
///
/// Source    Zhao et al. 2024 (intensity by Wilson intervals, weighted geometric fusion); the guard, the other fusions
///           and the logit form are this library's.
class confcalib {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("CCAL");
    static constexpr std::uint32_t bytes_version = 1;

    /// Learns the tables from rows.
    ///
    /// Shapes    scores [N], labels [N], ids [F, N], weights [N] or none.
    /// Returns   the calibrator; bit-equal for every policy and number of threads.
    /// Throws    std::invalid_argument when shapes differ, an option is out of range or the tables would need more than
    ///           field_stats::max_cells cells.
    /// Cost      ratio form: one pass per field (and pass); logit form: six. Scratch of 8 bytes a row for each of p,
    ///           the current p and (logit form) the current logit.
    template <exec::policy Policy, vector_like P, vector_like Y, class Ids, class W = none>
    static confcalib fit(const Policy& where, const P& scores, const Y& labels, const Ids& ids, const W& weights = {},
                         const confcalib_options& options = {});

    /// Learns the tables from finished sums, such as those of a decayed log: ratio form, geometric or product fusion.
    /// Its bins are those of the sums, and b is 0 until rescaled() sees rows.
    ///
    /// Throws    std::invalid_argument when an option is out of range or asks for a form that needs rows.
    static confcalib fit(const field_stats& stats, const confcalib_options& options = {});

    /// Corrects a column of probabilities.
    ///
    /// Shapes    scores [N], ids [F, N], out [N]; out may be the scores.
    /// Writes    out, in [1e-7, 1 - 1e-7].
    /// Throws    std::invalid_argument when the shapes differ. Propagates NaN.
    /// Cost      F table look-ups and one exponential a row; in logit form a logarithm more; with B score bins F (B +
    ///           1) look-ups. Allocates nothing.
    template <exec::policy Policy, vector_like P, class Ids, class Out, class Isa = isa::native>
        requires vector_like<std::remove_reference_t<Out>>
    void apply(const Policy& where, const P& scores, const Ids& ids, Out&& out) const;

    /// Corrects one probability with one id per field, with the same bits as apply().
    ///
    /// Throws    std::invalid_argument when `ids` does not hold one id per field.
    template <std::floating_point T, vector_like Ids, class Isa = isa::native>
    T operator()(T score, const Ids& ids) const {
        const auto one = input(ids);
        expects(one.size() == fields(), "confcalib", one.size(), " ids for ", fields(), " fields");
        T out;
        correct<Isa>(&score, &out, 1, one.data(), 1);
        return out;
    }

    /// Ids of each field that are unseen: negative, or beyond the field's table.
    ///
    /// Shapes    ids [F, N]; returns [F].
    template <class Ids>
    std::vector<std::uint64_t> count_unseen(const Ids& ids) const;

    /// This calibrator with field weights learned on held-out rows (see fit_field_weights()), and b refitted on them if
    /// it was in use.
    ///
    /// Throws    std::invalid_argument when the shapes differ.
    /// Cost      8 (F + 1) bytes of scratch a row.
    template <exec::policy Policy, vector_like P, vector_like Y, class Ids, class W = none>
    confcalib with_learned_weights(const Policy& where, const P& scores, const Y& labels, const Ids& ids,
                                   const W& weights = {}) const;

    /// This calibrator with b such that its predictions on these rows add up to their labels. b is 0 when the rows have
    /// one class only.
    template <exec::policy Policy, vector_like P, vector_like Y, class Ids, class W = none>
    confcalib rescaled(const Policy& where, const P& scores, const Y& labels, const Ids& ids,
                       const W& weights = {}) const;

    std::size_t fields() const noexcept { return values_.size(); }
    std::size_t values(std::size_t field) const noexcept { return values_[field]; }
    std::size_t bins() const noexcept { return bins_; }
    correction_kind correction() const noexcept { return correction_; }
    const std::vector<double>& field_weights() const noexcept { return weights_; }
    /// b: ln of the final factor in ratio form.
    double shift() const noexcept { return shift_; }
    /// Corrections of a field before weighting, ln r or d: [values * bins].
    vector_view<const double> corrections(std::size_t field) const noexcept {
        return {corrections_.data() + slots_[field].first, values_[field] * bins_};
    }
    /// Rows that the fit took and refused; what field_stats says when it was fitted from sums.
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const;
    /// Throws    std::runtime_error when the bytes do not hold a calibrator.
    static confcalib read(byte_reader& in);

  private:
    confcalib(correction_kind correction, std::vector<std::size_t> values, std::size_t bins);

    detail::field_tables tables() const noexcept {
        return {slots_.data(), slots_.size(), bins_, table_.data(), knot_table_.data(), shift_, correction_};
    }
    template <class Isa, class T>
    void correct(const T* scores, T* out, std::size_t n, const std::int32_t* ids, std::size_t stride) const noexcept {
        if (bins_ == 1) {
            detail::correct_rows<false, Isa>(scores, out, n, tables(), ids, stride);
        } else {
            detail::correct_rows<true, Isa>(scores, out, n, tables(), ids, stride);
        }
    }
    std::size_t slot_count(std::size_t field) const noexcept { return (values_[field] + 1) * bins_; }
    void learn_ratios(const field_stats& stats, std::size_t stats_field, std::size_t field,
                      const confidence_options& options);
    template <class Rows>
    void learn_shifts(const Rows& rows, const std::int32_t* ids, const std::vector<double>& z, std::size_t field,
                      const field_stats& stats, std::size_t stats_field, const confidence_options& options);
    void weigh_fields(const field_stats& stats, const confcalib_options& options);
    void build_tables();
    template <exec::policy Policy, class Rows>
    void rescale_on(const Policy& where, const Rows& rows, const matrix_view<const std::int32_t>& ids);

    correction_kind correction_;
    std::vector<std::size_t> values_;
    std::size_t bins_;
    std::vector<double> weights_;
    double shift_ = 0;
    bool rescale_ = false;
    counts seen_;
    std::vector<detail::field_slots> slots_;
    std::vector<double> corrections_;  // per field (values + 1) * bins, those of unseen ids 0
    std::vector<double> knots_;        // for more than one bin, laid out as corrections_
    std::vector<float> table_;         // weighted corrections
    std::vector<float> knot_table_;
};

}  // namespace reckon

#include "reckon/calibration/detail/confcalib.fit.hpp"
