// The calibrators that calibrate_ctr compares: each learns from the calibration rows and corrects the test rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "log.hpp"
#include "reckon/calibration/bbq.hpp"
#include "reckon/calibration/beta_binomial_shrink.hpp"
#include "reckon/calibration/beta_calibration.hpp"
#include "reckon/calibration/confcalib.hpp"
#include "reckon/calibration/gamma_scaling.hpp"
#include "reckon/calibration/gaussian_scaling.hpp"
#include "reckon/calibration/global_ratio.hpp"
#include "reckon/calibration/histogram_binning.hpp"
#include "reckon/calibration/isotonic.hpp"
#include "reckon/calibration/model_selection.hpp"
#include "reckon/calibration/piecewise_linear.hpp"
#include "reckon/calibration/platt.hpp"
#include "reckon/calibration/prior_shift.hpp"
#include "reckon/calibration/scaling_binning.hpp"
#include "reckon/calibration/sir.hpp"
#include "reckon/calibration/spline_calibration.hpp"
#include "reckon/calibration/spline_logit.hpp"
#include "reckon/calibration/temperature.hpp"
#include "reckon/calibration/venn_abers.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/metrics/log_loss.hpp"

namespace reckon_examples {

using host = reckon::exec::host<reckon::exec::pool>;

enum class method_group { base, score_only, replacement, confcalib, oracle };

struct method {
    std::string name;
    method_group group;
    std::function<std::vector<float>(const host&, const scored_log&)> predict;  // for the test rows
};

/// A calibrator over scores alone.
template <class Calibrator>
std::vector<float> calibrate_scores(const host& where, const scored_log& log) {
    std::vector<float> out(log.test.rows());
    Calibrator::fit(where, log.calibration.p, log.calibration.y).apply(where, log.test.p, out);
    return out;
}

/// The calibrators over scores alone, from the simplest to the most flexible.
template <class Use>
auto with_score_candidates(Use&& use) {
    using namespace reckon;
    return use(unchanged_candidate("raw"), candidate<global_ratio>("global ratio"),
               candidate<temperature>("temperature"), candidate<platt>("Platt"), candidate<beta_calibration>("beta"),
               candidate<gaussian_scaling>("Gaussian"), candidate<gamma_scaling>("Gamma"),
               candidate<piecewise_linear>("piecewise linear"), candidate<spline_logit>("spline in log-odds"),
               candidate<sir>("SIR"), candidate<scaling_binning>("scaling-binning"),
               candidate<histogram_binning>("histogram, 15 bins"), candidate<bbq>("BBQ"),
               candidate<spline_calibration>("spline"), candidate<venn_abers>("Venn-Abers"),
               candidate<isotonic>("isotonic"));
}

/// The one that cross-validation on the calibration rows chooses, by index and name.
struct score_choice {
    std::size_t index = 0;
    std::string name;
};
inline score_choice choose_by_scores(const host& where, const log_part& learn) {
    return with_score_candidates([&](const auto&... candidates) {
        const auto result =
            reckon::cross_validate(where, learn.p, learn.y, reckon::none{}, {.stratify = true}, candidates...);
        return score_choice{result.chosen, result.candidates[result.chosen].name};
    });
}

/// ConfCalib on all fields.
inline std::vector<float> calibrate_fields(const host& where, const log_part& learn, const log_part& use,
                                           const std::vector<std::size_t>& cardinalities,
                                           reckon::confcalib_options options) {
    options.cardinalities = cardinalities;
    const std::size_t fields = cardinalities.size();
    std::vector<float> out(use.rows());
    reckon::confcalib::fit(where, learn.p, learn.y, learn.id_rows(fields), {}, options)
        .apply(where, use.p, use.id_rows(fields), out);
    return out;
}
inline std::vector<float> calibrate_fields(const host& where, const scored_log& log,
                                           const reckon::confcalib_options& options) {
    return calibrate_fields(where, log.calibration, log.test, log.cardinalities, options);
}

/// ConfCalib on one field.
inline std::vector<float> calibrate_field(const host& where, const scored_log& log, std::size_t field,
                                          reckon::confcalib_options options) {
    options.cardinalities = {log.cardinalities[field]};
    const auto ids = [&](const log_part& part) { return part.id_rows(log.fields.size()).slice(field, 1); };
    std::vector<float> out(log.test.rows());
    reckon::confcalib::fit(where, log.calibration.p, log.calibration.y, ids(log.calibration), {}, options)
        .apply(where, log.test.p, ids(log.test), out);
    return out;
}

/// The observed rate of a value replaces its prediction, whatever it rests on: no guard, no limit.
inline reckon::confcalib_options full_replacement(reckon::correction_kind form) {
    reckon::confcalib_options options;
    options.correction = form;
    options.confidence = {.intensity = reckon::intensity_kind::full,
                          .guard = reckon::guard_kind::off,
                          .ratio_limit = std::numeric_limits<double>::infinity()};
    options.rescale = false;
    return options;
}

/// Posterior means, field after field, each with the prior strength that the method of moments gives it: of the ratio for
/// intensity empirical_bayes, of the rate for beta_binomial.
inline std::vector<float> sequential_posterior(const host& where, const scored_log& log, reckon::correction_kind form,
                                               reckon::intensity_kind posterior) {
    std::vector<float> seen = log.calibration.p, out = log.test.p;
    for (std::size_t f = 0; f < log.fields.size(); ++f) {
        const auto learn = log.calibration.id_rows(log.fields.size()).slice(f, 1);
        const auto use = log.test.id_rows(log.fields.size()).slice(f, 1);
        reckon::field_stats stats({log.cardinalities[f]});
        stats.absorb(where, reckon::make_fielded("calibrate_ctr", seen, log.calibration.y, learn));
        reckon::confcalib_options options;
        options.correction = form;
        options.confidence.intensity = posterior;
        options.confidence.kappa = posterior == reckon::intensity_kind::beta_binomial
                                       ? reckon::beta_binomial_weight(stats, 0)
                                       : reckon::empirical_bayes_kappa(stats, 0);
        options.cardinalities = {log.cardinalities[f]};
        const auto step = reckon::confcalib::fit(where, seen, log.calibration.y, learn, {}, options);
        step.apply(where, seen, learn, seen);
        step.apply(where, out, use, out);
    }
    return out;
}

inline const char* name_of(reckon::fusion_kind fusion) {
    switch (fusion) {
        case reckon::fusion_kind::geometric:
            return "geometric";
        case reckon::fusion_kind::product:
            return "product";
        default:
            return "sequential";
    }
}
inline const char* name_of(reckon::intensity_kind intensity) {
    switch (intensity) {
        case reckon::intensity_kind::tanh:
            return "tanh";
        case reckon::intensity_kind::gate:
            return "gate";
        case reckon::intensity_kind::clamp:
            return "clamp";
        case reckon::intensity_kind::full:
            return "full";
        case reckon::intensity_kind::beta_binomial:
            return "beta-binomial";
        default:
            return "empirical Bayes";
    }
}
inline std::string short_number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", value);
    return text;
}
inline std::string name_of(const reckon::confcalib_options& options) {
    return std::string(name_of(options.fusion)) + " " + name_of(options.confidence.intensity) +
           " s=" + short_number(options.confidence.scale);
}

/// Some rows of a part.
inline log_part rows_of(const log_part& part, std::size_t fields, const std::vector<std::size_t>& rows) {
    log_part out{take(part.p, rows), take(part.y, rows), {}, {}};
    for (std::size_t f = 0; f < fields; ++f)
        for (const std::size_t row : rows) out.ids.push_back(part.ids[f * part.rows() + row]);
    return out;
}

/// The form, intensity and scale with the least log-loss on a quarter of the calibration rows that the fit does not
/// see: the last quarter of a log in order of time, every fourth row of another.
inline reckon::confcalib_options tuned(const host& where, const scored_log& log, reckon::correction_kind form) {
    std::vector<std::size_t> kept, held;
    const std::size_t n = log.calibration.rows();
    for (std::size_t row = 0; row < n; ++row)
        (log.by_time ? 4 * row >= 3 * n : row % 4 == 3) ? held.push_back(row) : kept.push_back(row);
    const log_part learn = rows_of(log.calibration, log.fields.size(), kept);
    const log_part judge = rows_of(log.calibration, log.fields.size(), held);
    reckon::confcalib_options best;
    double least = std::numeric_limits<double>::infinity();
    for (const auto fusion :
         {reckon::fusion_kind::geometric, reckon::fusion_kind::product, reckon::fusion_kind::sequential})
        for (const auto intensity :
             {reckon::intensity_kind::tanh, reckon::intensity_kind::gate, reckon::intensity_kind::clamp})
            for (const double scale : {0.25, 0.5, 1.0, 1.96}) {
                reckon::confcalib_options options;
                options.correction = form;
                options.fusion = fusion;
                options.confidence.intensity = intensity;
                options.confidence.scale = scale;
                const auto p = calibrate_fields(where, learn, judge, log.cardinalities, options);
                const double loss = reckon::log_loss(where, p, judge.y);
                if (!(loss < least)) continue;
                least = loss;
                best = options;
            }
    return best;
}

/// The ratio form multiplies predictions and so spoils those near 1; it is for logs whose predictions are small.
inline reckon::correction_kind fitting_form(const std::vector<float>& p) {
    const auto high = std::count_if(p.begin(), p.end(), [](float v) { return v > 0.5f; });
    return 100 * high > static_cast<std::ptrdiff_t>(p.size()) ? reckon::correction_kind::logit
                                                              : reckon::correction_kind::ratio;
}

/// Every row of the table, in order. `form` is how ConfCalib corrects, `selected` the options that tuned() chose,
/// `by_scores` what choose_by_scores() chose.
inline std::vector<method> all_methods(const scored_log& log, reckon::correction_kind form,
                                       const reckon::confcalib_options& selected, const score_choice& by_scores) {
    using namespace reckon;
    std::vector<method> out;
    const auto add = [&](std::string name, method_group group, auto predict) {
        out.push_back({std::move(name), group, std::move(predict)});
    };
    const auto scores_only = [&](const char* name, auto predict) { add(name, method_group::score_only, predict); };

    add("raw", method_group::base, [](const host&, const scored_log& l) { return l.test.p; });
    if (log.kept_negatives < 1 || std::isfinite(log.training_rate))
        scores_only("prior shift", [](const host& where, const scored_log& l) {
            std::vector<float> p(l.test.rows());
            const double learned = l.training_rate, now = l.calibration.rate();
            const bool known = l.kept_negatives < 1 || !(0 < learned && learned < 1 && 0 < now && now < 1);
            (known ? prior_shift(l.kept_negatives) : prior_shift::between(learned, now)).apply(where, l.test.p, p);
            return p;
        });
    scores_only("global ratio", calibrate_scores<global_ratio>);
    scores_only("Platt", calibrate_scores<platt>);
    scores_only("temperature", calibrate_scores<temperature>);
    scores_only("beta", calibrate_scores<beta_calibration>);
    scores_only("Gaussian", calibrate_scores<gaussian_scaling>);
    scores_only("Gamma", calibrate_scores<gamma_scaling>);
    scores_only("isotonic", calibrate_scores<isotonic>);
    scores_only("histogram, 15 bins", calibrate_scores<histogram_binning>);
    scores_only("piecewise linear", calibrate_scores<piecewise_linear>);
    scores_only("scaling-binning", calibrate_scores<scaling_binning>);
    scores_only("BBQ", calibrate_scores<bbq>);
    scores_only("SIR", calibrate_scores<sir>);
    scores_only("Venn-Abers", calibrate_scores<venn_abers>);
    scores_only("spline", calibrate_scores<spline_calibration>);
    scores_only("spline in log-odds", calibrate_scores<spline_logit>);
    add("cross-validated: " + by_scores.name, method_group::score_only,
        [index = by_scores.index](const host& where, const scored_log& l) {
            std::vector<float> p(l.test.rows());
            with_score_candidates([&](const auto&... candidates) {
                apply_candidate(where, index, l.calibration.p, l.calibration.y, none{}, l.test.p, p, candidates...);
            });
            return p;
        });

    for (std::size_t f = 0; f < log.fields.size(); ++f)
        add("full: " + log.fields[f], method_group::replacement, [f, form](const host& where, const scored_log& l) {
            return calibrate_field(where, l, f, full_replacement(form));
        });
    add("full: all fields", method_group::replacement,
        [form](const host& where, const scored_log& l) { return calibrate_fields(where, l, full_replacement(form)); });
    const auto posterior = [&](const char* name, intensity_kind kind) {
        add(name, method_group::confcalib, [form, kind](const host& where, const scored_log& l) {
            return sequential_posterior(where, l, form, kind);
        });
    };
    posterior("empirical Bayes: sequential", intensity_kind::empirical_bayes);
    posterior("beta-binomial: sequential", intensity_kind::beta_binomial);

    const auto confident = [&](fusion_kind fusion, intensity_kind intensity) {
        confcalib_options options;
        options.correction = form;
        options.fusion = fusion;
        options.confidence.intensity = intensity;
        add(std::string("ConfCalib: ") + name_of(fusion) + " " + name_of(intensity), method_group::confcalib,
            [options](const host& where, const scored_log& l) { return calibrate_fields(where, l, options); });
    };
    for (const auto fusion : {fusion_kind::geometric, fusion_kind::sequential})
        for (const auto intensity : {intensity_kind::tanh, intensity_kind::gate, intensity_kind::clamp})
            confident(fusion, intensity);
    confident(fusion_kind::product, intensity_kind::tanh);
    add("ConfCalib: tuned", method_group::confcalib,
        [selected](const host& where, const scored_log& l) { return calibrate_fields(where, l, selected); });
    if (!log.test.truth.empty())
        add("oracle: the truth", method_group::oracle, [](const host&, const scored_log& l) {
            return std::vector<float>(l.test.truth.begin(), l.test.truth.end());
        });
    return out;
}

}  // namespace reckon_examples
