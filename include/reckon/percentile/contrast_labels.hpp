// Percentile labels by contrast: what share of a user's own history does this feedback beat?
#pragma once

#include <cmath>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/percentile/contrast_options.hpp"  // IWYU pragma: export
#include "reckon/percentile/detail/contrast_labels.simd.hpp"
#include "reckon/percentile/history.hpp"

namespace reckon {

/// Labels of anchors by comparison with their users' histories.
///
///   cbar_i = mean_j c(y_i, y'_j),   wins_i = mean_j w_ij c_ij,   losses_i = mean_j w_ij (1 - c_ij)
///
/// over the slots j of user i's history. With mode mid and all slots cbar is the middle percentile of y_i in them:
/// (below + equal / 2) / neff. Every strictly increasing map of one user's feedback leaves cbar as it is, bit for bit,
/// except with smooth.
///
/// A slot that holds the anchor's own event is left out, when `events` are given and the histories know theirs: an
/// anchor in its own pool draws its label towards 1/2. Compute labels first and offer the batch to the histories then.
///
/// Shapes    users [N], events [N] or none: integers. feedback [N] and predictions [N] or none: float. Outputs [N] or
///           empty. Filled slots hold no NaN.
/// Writes    every element of the outputs that are given. No history: cbar 1/2, neff, wins and losses 0. NaN feedback,
///           which is missing: cbar, wins and losses NaN, neff 0.
/// Returns   counts{anchors with feedback, anchors without}.
/// Throws    std::invalid_argument when lengths differ, a temperature or clip is not positive, or predictions are
///           missing on either side where boot, lex or smoothing need them. An unknown (NaN) difference of predictions
///           counts as 0, so the tie counts 1/2. Infinities are values: equal ones tie, and a weight without a clip
///           ends at 2^100, about 1.3e30.
/// Cost      strict and mid without weights: two comparisons a slot in integer lanes; with 8 or more anchors of one
///           user in a row, lanes run over the anchors. Rows are asked for ahead of their use. boot adds an exponential
///           for a register with a tie, smooth and loggap one function a slot. Scratch of one row where slots are drawn
///           or left out.
/// Numerics  strict, mid and lex count in integers: the same bits on every instruction set and any number of threads,
///           and a label does not depend on the other anchors. boot, smooth and weights add up 256 slots in float
///           lanes, beyond in double: 1e-6 of the mean. Fewer than 2^30 slots a user.
/// Source    after PEARL (2026), of which the abstract was available: modes, weights, draw and rules for bad values are
///           ours. A draw takes N slots from a random start with a random stride coprime to their number; it is
///           unbiased for any row, and its variance is that of sampling without replacement when that number is prime
///           or the slots stand in random order, as those of a reservoir do.
template <exec::policy Policy, history_source H, vector_like U, vector_like Y, class E = none, class P = none,
          class Isa = isa::native>
counts contrast_labels(const Policy& where, const H& histories, const U& users, const Y& feedback,
                       const contrast_outputs& outputs, const contrast_options& options = {}, const E& events = {},
                       const P& predictions = {}) {
    constexpr const char* kernel = "contrast_labels";
    const auto rows =
        detail::make_contrast_rows(kernel, histories, users, feedback, outputs, options.first_row, events, predictions);
    expects(options.temperature > 0.0 && std::isfinite(options.temperature), kernel,
            "temperature must be positive, got ", options.temperature);
    expects(std::isfinite(options.smoothing), kernel, "smoothing must be finite, got ", options.smoothing);
    expects(options.clip > 0.0, kernel, "clip must be positive, got ", options.clip);
    const bool needs = options.ties == tie_mode::boot || options.ties == tie_mode::lex ||
                       (options.ties == tie_mode::smooth && options.smoothing != 0.0);
    expects(!needs || histories.has_predictions(), kernel, "the histories hold no predictions");
    expects(!needs || !rows.predictions.empty() || rows.size() == 0, kernel, "the anchors have no predictions");
    return exec::fold_parts(where, detail::contrast_fold<Isa>{options, needs, {}}, rows).seen;
}

}  // namespace reckon
