// Field-wise calibration errors, and the floor that noise alone puts under them.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reckon/core/batch.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/detail/examples.hpp"
#include "reckon/metrics/field_stats.hpp"

namespace reckon {

struct field_error_options {
    /// Added to the observed rate in the denominator of Field-RCE, so that a value without positives counts; > 0.
    double epsilon = 0.01;
};

namespace detail {

// Calls visit(cell) for every value of a field and for its unseen cell, each summed over the score bins.
template <class Visit>
void for_each_value(const field_stats& stats, std::size_t field, Visit&& visit) {
    for (std::size_t v = 0; v < stats.values(field); ++v) visit(stats.value(field, v));
    visit(stats.unseen(field));
}

inline void expects_field(const char* kernel, const field_stats& stats, std::size_t field) {
    expects(field < stats.fields(), kernel, "field ", field, " of ", stats.fields());
}
inline void expects_epsilon(const char* kernel, const field_error_options& options) {
    expects(options.epsilon > 0.0 && options.epsilon <= 1.0, kernel, "epsilon must be in (0, 1], got ",
            options.epsilon);
}

}  // namespace detail

/// Expected calibration error over the values of one field.
///
///   Field-ECE = sum_v |K_v - P_v| / sum_v n_v
///
/// Rows with an id outside the field's range form one more value.
/// Returns   the error; NaN when the field has no weight.
/// Throws    std::invalid_argument when there is no such field.
/// Cost      one pass over the cells of the field.
/// Source    Pan et al. 2020.
inline double field_ece(const field_stats& stats, std::size_t field) {
    detail::expects_field("field_ece", stats, field);
    compensated_sum error, weight;
    detail::for_each_value(stats, field, [&](const field_cell& v) {
        error.absorb(std::fabs(v.observed - v.predicted));
        weight.absorb(v.n);
    });
    return detail::ratio_or_nan(error.value(), weight.value(), weight.value());
}

/// Relative calibration error over the values of one field.
///
///   Field-RCE = sum_v n_v |K_v - P_v| / (K_v + epsilon n_v) / sum_v n_v
///
/// It is biased upwards for values with few positives: the true probabilities do not score 0, and predictions that are
/// too low can score better than they do. Read it next to field_noise_floor().
/// Rows with an id outside the field's range form one more value.
/// Returns   the error; NaN when the field has no weight.
/// Throws    std::invalid_argument when there is no such field or epsilon is not in (0, 1].
/// Cost      one pass over the cells of the field.
/// Source    Pan et al. 2020.
inline double field_rce(const field_stats& stats, std::size_t field, const field_error_options& options = {}) {
    detail::expects_field("field_rce", stats, field);
    detail::expects_epsilon("field_rce", options);
    compensated_sum error, weight;
    detail::for_each_value(stats, field, [&](const field_cell& v) {
        if (!(v.n > 0.0)) return;
        error.absorb(v.n * std::fabs(v.observed - v.predicted) / simd::mul_add(options.epsilon, v.n, v.observed));
        weight.absorb(v.n);
    });
    return detail::ratio_or_nan(error.value(), weight.value(), weight.value());
}

/// Multi-field relative calibration error: the mean of field_rce() over the fields.
///
/// Returns   the error; NaN when there is no weight.
/// Throws    std::invalid_argument when epsilon is not in (0, 1].
/// Cost      one pass over all cells.
inline double mf_rce(const field_stats& stats, const field_error_options& options = {}) {
    double sum = 0.0;
    for (std::size_t f = 0; f < stats.fields(); ++f) sum += field_rce(stats, f, options);
    return sum / static_cast<double>(stats.fields());
}

/// Field-ECE that chance alone leaves when the predictions are the true probabilities, by the normal approximation.
///
///   floor = sum_v sqrt(2 / pi) sqrt(V_v) / sum_v n_v,   V_v = sum w^2 p (1 - p)
///
/// Exact only for many positives in every value: a rare value's error is less spread than a normal one of the same
/// variance, so the floor is then too high. field_noise_floor() has no such approximation.
/// Returns   the floor; NaN when the field has no weight.
/// Throws    std::invalid_argument when there is no such field.
inline double field_ece_normal_floor(const field_stats& stats, std::size_t field) {
    detail::expects_field("field_ece_normal_floor", stats, field);
    compensated_sum error, weight;
    detail::for_each_value(stats, field, [&](const field_cell& v) {
        error.absorb(0.79788456080286535588 * std::sqrt(v.variance));
        weight.absorb(v.n);
    });
    return detail::ratio_or_nan(error.value(), weight.value(), weight.value());
}

struct field_noise_options {
    /// Data sets that are drawn; at least 1.
    std::size_t repeats = 50;
    std::uint64_t seed = 1;
    field_error_options error = {};
};

/// What field_noise_floor() returns: mean and sample variance over the repeats.
struct field_noise {
    std::vector<moments> ece;  ///< per field
    std::vector<moments> rce;  ///< per field
    moments mf_rce;
};

/// Field errors that the predictions would have if they were the true probabilities: a parametric bootstrap.
///
/// Every repeat draws y* ~ Bernoulli(p) for every row and computes the errors of p against y*. An error near the floor
/// says that nothing is left to correct; an error below it is no merit.
///
/// Shapes    scores [N], ids [F, N] (one row of ids per field), weights [N] or empty for ones; `cardinalities` as for
///           field_stats, F of them.
/// Returns   field_noise.
/// Throws    std::invalid_argument on shapes or options out of range, and what field_stats throws. Rows with a score or
///           weight out of range are left out, as in a field_stats of the same data.
/// Cost      repeats * N * (F cell updates + one random number), repeats shared out over threads; N bytes and one
///           field_stats per repeat under way.
/// Numerics  seeded, the same on every platform and for every number of threads.
template <exec::policy Policy, vector_like P, class Ids, class W = none>
field_noise field_noise_floor(const Policy& where, const std::vector<std::size_t>& cardinalities, const P& scores,
                              const Ids& ids, const W& weights = {}, const field_noise_options& options = {}) {
    const auto p = input(scores);
    expects(options.repeats >= 1, "field_noise_floor", "repeats must be positive");
    detail::expects_epsilon("field_noise_floor", options.error);
    const auto rows = make_fielded("field_noise_floor", scores, scores, ids, weights);
    const std::size_t fields = cardinalities.size();
    expects(p.empty() || rows.ids.rows() == fields, "field_noise_floor", "ids for ", rows.ids.rows(), " fields but ",
            fields, " cardinalities");
    const field_stats identity(cardinalities);

    std::vector<double> ece(options.repeats * fields), rce(options.repeats * fields);
    exec::for_each_index(where, options.repeats, [&](std::size_t repeat) {
        const random_stream rng(options.seed, repeat);
        std::vector<std::uint8_t> labels(p.size());
        for (std::size_t i = 0; i < p.size(); ++i) labels[i] = rng.uniform(i) < static_cast<double>(p[i]) ? 1 : 0;
        field_stats stats = identity;
        stats.absorb(make_fielded("field_noise_floor", scores, labels, ids, weights));
        for (std::size_t f = 0; f < fields; ++f) {
            ece[repeat * fields + f] = field_ece(stats, f);
            rce[repeat * fields + f] = field_rce(stats, f, options.error);
        }
    });
    field_noise floor{std::vector<moments>(fields), std::vector<moments>(fields), {}};
    for (std::size_t repeat = 0; repeat < options.repeats; ++repeat) {
        double sum = 0.0;
        for (std::size_t f = 0; f < fields; ++f) {
            floor.ece[f].absorb(ece[repeat * fields + f]);
            floor.rce[f].absorb(rce[repeat * fields + f]);
            sum += rce[repeat * fields + f];
        }
        floor.mf_rce.absorb(sum / static_cast<double>(fields));
    }
    return floor;
}

}  // namespace reckon
