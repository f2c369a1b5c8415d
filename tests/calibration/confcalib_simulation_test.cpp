// What confidence-aware calibration must do on a log with known truth: sparse fields, a base model that over-predicts
// and does not see them. KL is the mean Kullback-Leibler divergence of the prediction from the true probability.
//
// All figures are means over three logs. The effects of the few frequent values decide how far the base model is off as
// a whole, so single logs differ: where its PCOC is below about 0.85, `product` counts that common bias once per field
// and falls behind `geometric`.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "../../examples/support/simulator.hpp"
#include "reckon/calibration/confcalib.hpp"

namespace {

using reckon::confcalib;
using reckon::confcalib_options;
using reckon::confidence_options;
using reckon::fusion_kind;
using reckon::guard_kind;
using reckon::intensity_kind;
using reckon::matrix_view;
using reckon::weighting_kind;
namespace exec = reckon::exec;

struct score {
    double log_loss = 0, kl = 0, mf_rce = 0, pcoc = 0, auc = 0;
};

class simulated {
  public:
    explicit simulated(std::uint64_t seed) {
        reckon_examples::simulator_options options;
        options.seed = seed;
        log_ = reckon_examples::simulate(options);
        values_.assign(options.field_values.begin(), options.field_values.end());
        fit_ids_ = join(log_.calibration);
        test_ids_ = join(log_.test);
    }

    score raw() const { return evaluate(std::vector<double>(log_.test.p.begin(), log_.test.p.end())); }
    score truth() const { return evaluate(log_.test.truth); }

    // Fields first .. first + count - 1 only.
    score run(const confcalib_options& given, std::size_t first = 0, std::size_t count = 3) const {
        confcalib_options options = given;
        options.cardinalities.assign(values_.begin() + std::ptrdiff_t(first),
                                     values_.begin() + std::ptrdiff_t(first + count));
        const auto c =
            confcalib::fit(exec::serial, log_.calibration.p, log_.calibration.y,
                           rows(fit_ids_, log_.calibration.p.size()).slice(first, count), reckon::none{}, options);
        std::vector<float> out(log_.test.p.size());
        c.apply(exec::serial, log_.test.p, rows(test_ids_, out.size()).slice(first, count), out);
        return evaluate(std::vector<double>(out.begin(), out.end()));
    }

  private:
    static std::vector<std::int32_t> join(const reckon_examples::simulated_rows& r) {
        std::vector<std::int32_t> all;
        for (const auto& ids : r.ids) all.insert(all.end(), ids.begin(), ids.end());
        return all;
    }
    static matrix_view<const std::int32_t> rows(const std::vector<std::int32_t>& ids, std::size_t n) {
        return {ids.data(), 3, n};
    }

    score evaluate(const std::vector<double>& p) const {
        const auto& t = log_.test;
        score s;
        double clicks = 0, predicted = 0;
        for (std::size_t i = 0; i < p.size(); ++i) {
            const double q = std::min(std::max(p[i], 1e-7), 1 - 1e-7), y = t.y[i], h = t.truth[i];
            s.log_loss -= y * std::log(q) + (1 - y) * std::log1p(-q);
            s.kl += h * std::log(h / q) + (1 - h) * (std::log1p(-h) - std::log1p(-q));
            clicks += y;
            predicted += q;
        }
        s.log_loss /= double(p.size());
        s.kl /= double(p.size());
        s.pcoc = predicted / clicks;
        reckon::field_stats stats(values_);
        stats.absorb(reckon::make_fielded("test", p, t.y, rows(test_ids_, p.size())));
        for (std::size_t f = 0; f < 3; ++f) s.mf_rce += reckon::detail::field_relative_error(stats, f) / 3;
        s.auc = area(p, t.y);
        return s;
    }

    // Independent of the library's own: midranks over sorted pairs.
    static double area(const std::vector<double>& p, const std::vector<std::uint8_t>& y) {
        std::vector<std::pair<double, int>> rows;
        for (std::size_t i = 0; i < p.size(); ++i) rows.emplace_back(p[i], y[i]);
        std::sort(rows.begin(), rows.end());
        double below = 0, sum = 0, ones = 0;
        for (std::size_t i = 0; i < rows.size();) {
            double zeros = 0, positives = 0;
            std::size_t j = i;
            for (; j < rows.size() && rows[j].first == rows[i].first; ++j) (rows[j].second ? positives : zeros) += 1;
            sum += positives * (below + zeros / 2);
            below += zeros;
            ones += positives;
            i = j;
        }
        return sum / (below * ones);
    }

    reckon_examples::simulated_log log_;
    std::vector<std::size_t> values_;
    std::vector<std::int32_t> fit_ids_, test_ids_;
};

class experiment {
  public:
    experiment() : logs_{simulated(1), simulated(2), simulated(3)} {}
    score raw() const {
        return mean([](const simulated& log) { return log.raw(); });
    }
    score truth() const {
        return mean([](const simulated& log) { return log.truth(); });
    }
    score run(const confcalib_options& options, std::size_t first = 0, std::size_t count = 3) const {
        return mean([&](const simulated& log) { return log.run(options, first, count); });
    }

  private:
    template <class Score>
    score mean(Score&& of) const {
        score sum;
        const double share = 1.0 / double(logs_.size());
        for (const simulated& log : logs_) {
            const score s = of(log);
            sum.log_loss += share * s.log_loss;
            sum.kl += share * s.kl;
            sum.mf_rce += share * s.mf_rce;
            sum.pcoc += share * s.pcoc;
            sum.auc += share * s.auc;
        }
        return sum;
    }
    std::vector<simulated> logs_;
};

// The prototype of the method: uniform weights, no upper clip, no final scalar.
confcalib_options method(fusion_kind fusion, intensity_kind intensity, double s, guard_kind guard = guard_kind::off,
                         int passes = 1) {
    confidence_options confidence;
    confidence.intensity = intensity;
    confidence.scale = s;
    confidence.guard = guard;
    confidence.ratio_limit = std::numeric_limits<double>::infinity();
    confcalib_options options;
    options.confidence = confidence;
    options.fusion = fusion;
    options.weighting = weighting_kind::uniform;
    options.rescale = false;
    options.passes = passes;
    return options;
}

}  // namespace

TEST_CASE("confcalib: simulation with known truth") {
    const experiment e;
    std::vector<std::pair<std::string, score>> table;
    const auto keep = [&](const std::string& name, const score& s) {
        table.emplace_back(name, s);
        return s;
    };
    using enum fusion_kind;
    using enum intensity_kind;
    constexpr auto soft = guard_kind::soft, off = guard_kind::off;
    const auto raw = keep("raw", e.raw());

    // (a) Full replacement on a sparse field amplifies bias.
    for (std::size_t f = 0; f < 3; ++f) {
        const auto s = keep("field " + std::to_string(f) + ", full", e.run(method(product, full, 1), f, 1));
        if (f > 0) CHECK(s.log_loss > raw.log_loss);
    }
    CHECK(keep("geometric, full", e.run(method(geometric, full, 1))).log_loss > raw.log_loss);

    // (b) Confidence-aware geometric fusions gain at least a quarter; clamp, which stops at the interval's bound, a
    // fifth.
    const std::pair<const char*, intensity_kind> kinds[] = {
        {"tanh", intensity_kind::tanh}, {"gate", gate}, {"clamp", clamp}};
    for (const auto& [name, g] : kinds) {
        for (const double s : {1.0, 1.96}) {
            const std::string label = std::string("geometric, ") + name + (s == 1.0 ? " s=1" : " s=1.96");
            CHECK(keep(label, e.run(method(geometric, g, s))).kl <= (g == clamp ? 0.8 : 0.75) * raw.kl);
        }
    }

    // (c) Several fields beat every single one.
    const auto three = e.run(method(geometric, intensity_kind::tanh, 1));
    for (std::size_t f = 0; f < 3; ++f) {
        CHECK(three.kl <
              keep("field " + std::to_string(f) + ", tanh s=1", e.run(method(product, intensity_kind::tanh, 1), f, 1))
                  .kl);
    }

    // (d) The guard never hurts, (e) sequential < product < geometric with it, (g) ranking improves.
    for (const auto& [name, g] : kinds) {
        const double s = g == intensity_kind::tanh ? 0.5 : 1.0;
        const std::string label = std::string(name) + (s < 1 ? " s=.5" : " s=1");
        const auto p0 = keep("product, " + label, e.run(method(product, g, s, off)));
        const auto p1 = keep("product, " + label + " + guard", e.run(method(product, g, s, soft)));
        const auto s0 = keep("sequential, " + label, e.run(method(sequential, g, s, off)));
        const auto s1 = keep("sequential, " + label + " + guard", e.run(method(sequential, g, s, soft)));
        const auto g1 = keep("geometric, " + label + " + guard", e.run(method(geometric, g, s, soft)));
        CHECK(p1.kl <= p0.kl);
        CHECK(s1.kl <= s0.kl);
        CHECK(s1.kl < p1.kl);
        CHECK(p1.kl < g1.kl);
        if (g == clamp) continue;
        CHECK(g1.auc > raw.auc + 0.01);
        CHECK(p1.auc > raw.auc + 0.02);
        CHECK(s1.auc > raw.auc + 0.02);
    }

    // (f) MF-RCE is fooled: a predictor may be below the truth while being further from it than another.
    const auto fooled = keep("sequential, full + guard", e.run(method(sequential, full, 1, soft)));
    auto bayes = method(sequential, empirical_bayes, 1);
    bayes.confidence.kappa = 6;
    const auto best = keep("sequential, empirical Bayes 6", e.run(bayes));
    const auto truth = keep("truth", e.truth());
    CHECK(fooled.mf_rce < truth.mf_rce);
    CHECK(fooled.kl > best.kl);
    CHECK(best.mf_rce > truth.mf_rce);

    // What users get without options.
    confcalib_options defaults;
    CHECK(keep("defaults", e.run(defaults)).kl < 0.75 * raw.kl);

    std::printf("%-32s %9s %9s %8s %7s %7s\n", "simulated log", "log-loss", "KL x1e3", "MF-RCE", "PCOC", "AUC");
    for (const auto& [name, s] : table) {
        std::printf("%-32s %9.5f %9.3f %8.3f %7.3f %7.4f\n", name.c_str(), s.log_loss, 1e3 * s.kl, s.mf_rce, s.pcoc,
                    s.auc);
    }
}
