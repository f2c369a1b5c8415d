// What must hold for confidence-aware calibration, checked on simulated logs whose true probabilities are known.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <map>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "../support/claims.hpp"
#include "../support/progress.hpp"
#include "log.hpp"
#include "methods.hpp"
#include "reckon/metrics/auc.hpp"
#include "reckon/metrics/field_error.hpp"
#include "reckon/metrics/log_loss.hpp"
#include "report.hpp"

namespace reckon_examples {

/// Means over the seeds.
struct claim_figures {
    double log_loss = 0, kl = 0, auc = 0, mf_rce = 0;  // kl in thousandths of a nat
};

/// Plain settings, so that a claim is about the method alone: equal field weights, no clip of ratios, no final scalar.
inline reckon::confcalib_options plain_options(reckon::fusion_kind fusion, reckon::intensity_kind intensity,
                                               double scale, reckon::guard_kind guard, int passes = 1) {
    reckon::confcalib_options options;
    options.fusion = fusion;
    options.weighting = reckon::weighting_kind::uniform;
    options.confidence = {
        .intensity = intensity, .scale = scale, .guard = guard, .ratio_limit = std::numeric_limits<double>::infinity()};
    options.rescale = false;
    options.passes = passes;
    return options;
}

inline std::string claim_name(reckon::fusion_kind fusion, reckon::intensity_kind intensity, double scale,
                              reckon::guard_kind guard, int passes = 1) {
    return std::string(name_of(fusion)) + " " + name_of(intensity) +
           (intensity == reckon::intensity_kind::full ? "" : " s=" + short_number(scale)) +
           (guard == reckon::guard_kind::off ? "" : " guard") + (passes == 1 ? "" : " 2 passes");
}

/// Scores every method that a claim speaks of, on one log per seed.
inline std::map<std::string, claim_figures> claim_scores(const host& where, simulator_options simulator,
                                                         const std::vector<std::uint64_t>& seeds) {
    using namespace reckon;
    std::map<std::string, claim_figures> scores;
    progress line("checking claims", seeds.size());
    for (std::size_t s = 0; s < seeds.size(); ++s) {
        line.update(s);
        simulator.seed = seeds[s];
        const scored_log log = simulated(simulator);
        const auto ids = log.test.id_rows(log.fields.size());
        const auto add = [&](const std::string& name, const std::vector<float>& p) {
            field_stats stats(log.cardinalities);
            stats.absorb(where, make_fielded("calibrate_ctr", p, log.test.y, ids));
            claim_figures& mean = scores[name];
            const double share = 1 / static_cast<double>(seeds.size());
            mean.log_loss += share * log_loss(where, p, log.test.y);
            mean.kl += share * 1000 * divergence(log.test.truth, p);
            mean.auc += share * auc(where, p, log.test.y).value;
            mean.mf_rce += share * mf_rce(stats);
        };
        const auto add_form = [&](fusion_kind fusion, intensity_kind intensity, double scale, guard_kind guard,
                                  int passes = 1) {
            add(claim_name(fusion, intensity, scale, guard, passes),
                calibrate_fields(where, log, plain_options(fusion, intensity, scale, guard, passes)));
        };

        add("raw", log.test.p);
        add("oracle", std::vector<float>(log.test.truth.begin(), log.test.truth.end()));
        for (std::size_t f = 0; f < log.fields.size(); ++f) {
            for (const auto intensity : {intensity_kind::full, intensity_kind::tanh})
                add(std::string(name_of(intensity)) + " " + log.fields[f],
                    calibrate_field(where, log, f,
                                    plain_options(fusion_kind::geometric, intensity, 1, guard_kind::off)));
        }
        add_form(fusion_kind::sequential, intensity_kind::tanh, 0.5, guard_kind::soft, 2);
        add_form(fusion_kind::sequential, intensity_kind::tanh, 1.96, guard_kind::off, 2);
        for (const auto fusion : {fusion_kind::geometric, fusion_kind::product, fusion_kind::sequential})
            for (const auto guard : {guard_kind::off, guard_kind::soft}) {
                add_form(fusion, intensity_kind::full, 1, guard);
                for (const auto intensity : {intensity_kind::tanh, intensity_kind::gate, intensity_kind::clamp})
                    for (const double scale : {0.5, 1.0, 1.96}) add_form(fusion, intensity, scale, guard);
            }
    }
    line.update(seeds.size());
    return scores;
}

inline std::string with_numbers(const char* format, const std::string& name, double a, double b) {
    char text[200];
    std::snprintf(text, sizeof text, format, name.c_str(), a, b);
    return text;
}

/// Checks every claim, averaged over the seeds. Returns how many failed.
inline int check_claims(const host& where, std::ostream& out, const simulator_options& simulator,
                        const std::vector<std::uint64_t>& seeds) {
    using namespace reckon;
    const auto scores = claim_scores(where, simulator, seeds);
    const auto of = [&](const std::string& name) -> const claim_figures& { return scores.at(name); };
    const claim_figures raw = of("raw"), oracle = of("oracle");
    const std::array intensities{intensity_kind::tanh, intensity_kind::gate, intensity_kind::clamp};
    const auto off = guard_kind::off, soft = guard_kind::soft;
    claim_list list(out);

    out << "Claims on simulated clicks, means over " << seeds.size() << " seeds of " << simulator.calibration_rows
        << " calibration and " << simulator.test_rows << " test rows.\n"
        << "KL: mean divergence from the true probability, x1000. raw "
        << with_numbers("%s%.2f; AUC raw %.3f", "", raw.kl, raw.auc) << ".\n";

    list.section("(a) Full replacement by the observed rate raises log-loss above raw on fields of rare values.");
    for (const char* field : {"f2000", "f20000"}) {
        const double loss = of(std::string("full ") + field).log_loss;
        list.check(loss > raw.log_loss, with_numbers("%s: log-loss %.5f, raw %.5f", field, loss, raw.log_loss));
    }

    // A wide scale leaves more of the prediction standing, and so does the guard: these gain less.
    list.section("(b) Geometric fusion lowers KL by at least 25 % from raw; with the widest scale by at least 15 %.");
    for (const auto guard : {off, soft})
        for (const auto intensity : intensities)
            for (const double scale : {1.0, 1.96}) {
                const bool wide = scale > 1 && (intensity == intensity_kind::clamp || guard == soft);
                const double least = wide ? 0.15 : 0.25;
                const std::string name = claim_name(fusion_kind::geometric, intensity, scale, guard);
                const double kl = of(name).kl;
                list.check(kl <= (1 - least) * raw.kl,
                           with_numbers("%s: KL %.2f, %.0f %% lower", name, kl, 100 * (1 - kl / raw.kl)) +
                               (wide ? " (at least 15)" : ""));
            }

    list.section("(c) Geometric fusion of all fields (tanh, s = 1) beats every single field.");
    const double fused = of(claim_name(fusion_kind::geometric, intensity_kind::tanh, 1, off)).kl;
    for (const char* field : {"f50", "f2000", "f20000"}) {
        const double single = of(std::string("tanh ") + field).kl;
        list.check(fused < single, with_numbers("%s alone: KL %.2f, fused %.2f", field, single, fused));
    }

    list.section("(d) The guard never raises KL of product and sequential fusion.");
    for (const auto fusion : {fusion_kind::product, fusion_kind::sequential})
        for (const auto intensity :
             {intensity_kind::full, intensity_kind::tanh, intensity_kind::gate, intensity_kind::clamp})
            for (const double scale : {0.5, 1.0, 1.96}) {
                if (intensity == intensity_kind::full && scale != 1) continue;
                const std::string name = claim_name(fusion, intensity, scale, off);
                const double without = of(name).kl, with = of(claim_name(fusion, intensity, scale, soft)).kl;
                list.check(with <= without, with_numbers("%s: KL %.2f without, %.2f with guard", name, without, with));
            }

    list.section("(e) With guard, KL: sequential < product < geometric. A second pass does not help.");
    for (const auto intensity : intensities)
        for (const double scale : {0.5, 1.0, 1.96}) {
            const double g = of(claim_name(fusion_kind::geometric, intensity, scale, soft)).kl;
            const double p = of(claim_name(fusion_kind::product, intensity, scale, soft)).kl;
            const double q = of(claim_name(fusion_kind::sequential, intensity, scale, soft)).kl;
            list.check(q < p && p < g,
                       std::string(name_of(intensity)) +
                           with_numbers(" s=%s: sequential %.2f, product %.2f", short_number(scale), q, p) +
                           with_numbers(", geometric%s %.2f", "", g, 0));
        }
    for (const auto& [scale, guard] : {std::pair{1.96, off}, std::pair{0.5, soft}}) {
        const std::string name = claim_name(fusion_kind::sequential, intensity_kind::tanh, scale, guard);
        const double one = of(name).kl, two = of(name + " 2 passes").kl;
        list.check(two > one, with_numbers("%s: KL %.2f after one pass, %.2f after two", name, one, two));
    }

    list.section("(f) MF-RCE alone misleads: predictions can score below the truth and be far from it.");
    for (const std::string& name : {claim_name(fusion_kind::geometric, intensity_kind::full, 1, off),
                                    claim_name(fusion_kind::sequential, intensity_kind::full, 1, soft)}) {
        const claim_figures& f = of(name);
        list.check(f.mf_rce < oracle.mf_rce && f.kl > 0,
                   with_numbers("%s: MF-RCE %.3f, the truth %.3f", name, f.mf_rce, oracle.mf_rce) +
                       with_numbers("%s; KL %.2f", "", f.kl, 0));
    }

    list.section("(g) Ranking improves: with guard AUC rises by > .01 (geometric) and > .02 (product, sequential).");
    for (const auto fusion : {fusion_kind::geometric, fusion_kind::product, fusion_kind::sequential})
        for (const auto intensity : {intensity_kind::tanh, intensity_kind::gate})
            for (const double scale : {0.5, 1.0}) {
                const std::string name = claim_name(fusion, intensity, scale, soft);
                const double gain = of(name).auc - raw.auc;
                list.check(gain > (fusion == fusion_kind::geometric ? 0.01 : 0.02),
                           with_numbers("%s: AUC %.4f, raw %.4f", name, of(name).auc, raw.auc));
            }

    out << '\n' << list.held() << " claims hold, " << list.failed() << " fail.\n";
    return list.failed();
}

}  // namespace reckon_examples
