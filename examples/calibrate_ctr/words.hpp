// Says in words what the table of calibrate_ctr shows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <ostream>
#include <string>
#include <vector>

#include "log.hpp"
#include "methods.hpp"
#include "report.hpp"

namespace reckon_examples {

/// "log-loss is lower by 0.00523 +- 0.00012 (beyond chance)": a against b.
inline std::string compared(const std::vector<float>& a, const std::vector<float>& b,
                            const std::vector<std::uint8_t>& y) {
    const paired_difference d = loss_difference(a, b, y);
    char text[120];
    std::snprintf(text, sizeof text, "%s by %.5f +- %.5f (%s)", d.mean <= 0 ? "lower" : "higher", std::abs(d.mean),
                  d.error, d.beyond_chance() ? "beyond chance" : "within chance");
    return text;
}

inline std::string three_digits(double v) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f", v);
    return text;
}

/// `choice` is the index of the row whose settings were chosen on calibration rows alone, `chosen` names them.
inline void say_in_words(std::ostream& out, const scored_log& log, const std::vector<result>& results,
                         std::size_t choice, const std::string& chosen) {
    const auto loss = [](const result* r) { return r->score.log_loss; };
    const result* raw = &results.front();
    const result* mine = &results[choice];
    const result *by_score = nullptr, *best = nullptr, *least_rce = nullptr, *oracle = nullptr;
    std::string amplified;
    for (const result& r : results) {
        if (r.how.group == method_group::oracle) {
            oracle = &r;
            continue;
        }
        if (!best || loss(&r) < loss(best)) best = &r;
        if (!least_rce || r.score.mf_rce < least_rce->score.mf_rce) least_rce = &r;
        if (r.how.group == method_group::score_only && (!by_score || loss(&r) < loss(by_score))) by_score = &r;
        if (r.how.group == method_group::replacement && loss(&r) > loss(raw))
            amplified += (amplified.empty() ? "" : ", ") + r.how.name.substr(r.how.name.find(": ") + 2);
    }
    const auto worse_than = [&](const result* r) {
        return std::count_if(results.begin(), results.end(), [&](const result& other) {
            return other.how.group != method_group::oracle && loss(&other) < loss(r);
        });
    };

    if (std::isfinite(raw->score.pcoc))
        out << "- The base model predicts " << percent(std::abs(raw->score.pcoc - 1)) << " too "
            << (raw->score.pcoc > 1 ? "many" : "few") << " positives on the test rows (PCOC "
            << three_digits(raw->score.pcoc) << ").\n";
    else
        out << "- No test row is positive: nothing below says much.\n";
    out << "- Log-loss decides. ConfCalib, tuned on calibration rows alone (" << chosen
        << "): " << compared(mine->p, raw->p, log.test.y) << " than raw, " << compared(mine->p, by_score->p, log.test.y)
        << " than " << by_score->how.name << ", the best that looks at scores only.\n";
    if (best != mine)
        out << "- Lowest log-loss on these test rows: " << best->how.name << ", "
            << compared(best->p, mine->p, log.test.y)
            << " than ConfCalib tuned; picked after the fact, so read it with care.\n";
    if (!amplified.empty())
        out << "- Replacing predictions by observed rates, whatever they rest on, is worse than doing nothing for: "
            << amplified << ".\n";
    out << "- Lowest MF-RCE: " << least_rce->how.name << " with " << three_digits(least_rce->score.mf_rce);
    if (oracle) out << " (the truth itself scores " << three_digits(oracle->score.mf_rce) << ")";
    const auto place = worse_than(least_rce);
    if (place > 0)
        out << ", but " << place << (place == 1 ? " method has" : " methods have")
            << " a lower log-loss: never select by MF-RCE alone.\n";
    else
        out << "; here log-loss agrees, which is no rule: never select by MF-RCE alone.\n";
    out << "- Floor: if the predictions of ConfCalib tuned were the true probabilities, its MF-RCE would be about "
        << three_digits(mine->score.mf_rce_floor) << "; it is " << three_digits(mine->score.mf_rce) << ".\n";
}

}  // namespace reckon_examples
