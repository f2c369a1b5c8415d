// Multi-field calibration: fusions, forms, serving path, bytes.
#include "reckon/calibration/confcalib.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "../support/fixture.hpp"
#include "../support/law.hpp"
#include "reckon/exec/pool.hpp"

namespace {

using reckon::confcalib;
using reckon::confcalib_options;
using reckon::correction_kind;
using reckon::fusion_kind;
using reckon::guard_kind;
using reckon::intensity_kind;
using reckon::matrix_view;
using reckon::weighting_kind;
using reckon::testing_support::fixture;
namespace exec = reckon::exec;

// Tables are kept in float for serving.
constexpr double table_relative = 3e-7;

struct rows {
    std::vector<double> p, y;
    std::vector<std::int32_t> ids;
    std::size_t fields = 3;
    matrix_view<const std::int32_t> id_rows() const { return {ids.data(), fields, p.size()}; }
};

rows read_rows(const fixture& f, const std::string& name, bool labels = true) {
    rows r;
    r.p = f[name + ".p"];
    if (labels) r.y = f[name + ".y"];
    for (int k = 0; k < 3; ++k) {
        for (const double id : f[name + ".id" + std::to_string(k)]) r.ids.push_back(std::int32_t(id));
    }
    return r;
}

std::uint64_t next(std::uint64_t& state) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}

// Rows whose labels depend on the value of the first field and on the score.
rows make_rows(std::size_t n, const std::vector<std::size_t>& values, std::uint64_t seed = 1) {
    rows r;
    r.fields = values.size();
    for (const std::size_t v : values) {
        for (std::size_t i = 0; i < n; ++i) r.ids.push_back(std::int32_t(next(seed) % v));
    }
    for (std::size_t i = 0; i < n; ++i) {
        const double p = 0.02 + 0.3 * double(next(seed) % 1000) / 1000;
        r.p.push_back(p);
        const double truth = p * (0.5 + double(r.ids[i]) / double(values[0]));
        r.y.push_back(double(next(seed) % 100000) < 1e5 * truth ? 1 : 0);
    }
    return r;
}

std::vector<double> apply(const confcalib& c, const rows& r) {
    std::vector<double> out(r.p.size());
    c.apply(exec::serial, r.p, r.id_rows(), out);
    return out;
}

bool same(const confcalib& a, const confcalib& b) {
    return reckon::to_bytes(a) == reckon::to_bytes(b);
}

template <class Call>
std::string message(Call&& call) {
    try {
        call();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "no exception";
}

}  // namespace

TEST_CASE("confcalib: worked example of the geometric fusion") {
    // Full replacement without guard makes r = K / P. 20 rows of p = 0.1: field 0 has one value with 3 labels, so
    // r = 1.5; value 0 of field 1 has 10 rows with 0.8 labels, so r = 0.8.
    const std::vector<double> p(20, 0.1);
    std::vector<double> y(20, 0.0);
    y[0] = 0.8;
    y[10] = y[11] = 1;
    y[12] = 0.2;
    std::vector<std::int32_t> ids(40, 0);
    for (std::size_t i = 10; i < 20; ++i) ids[20 + i] = 1;
    const matrix_view<const std::int32_t> id_rows(ids.data(), 2, 20);
    const auto c = confcalib::fit(exec::serial, p, y, id_rows, reckon::none{},
                                  {.confidence = {.intensity = intensity_kind::full, .guard = guard_kind::off},
                                   .weighting = weighting_kind::given,
                                   .field_weights = {0.6, 0.4},
                                   .rescale = false});
    CHECK(std::exp(c.corrections(0)[0]) == doctest::Approx(1.5).epsilon(1e-12));
    CHECK(std::exp(c.corrections(1)[0]) == doctest::Approx(0.8).epsilon(1e-12));
    const std::vector<std::int32_t> id{0, 0};
    CHECK(c(0.04, id) == doctest::Approx(0.0466606454).epsilon(table_relative));
    CHECK(c(0.04, id) == doctest::Approx(fixture{"confcalib.txt"}.value("fusion_example.p")).epsilon(table_relative));
}

TEST_CASE("confcalib: fixture, all fusions in ratio form") {
    const fixture f{"confcalib.txt"};
    const auto fit_rows = read_rows(f, "fusion"), held = read_rows(f, "fusion.held"),
               fresh = read_rows(f, "fusion.new", false);
    struct variant {
        const char* name;
        fusion_kind fusion;
        weighting_kind weighting;
    };
    for (const auto& v : {variant{"geometric_uniform", fusion_kind::geometric, weighting_kind::uniform},
                          variant{"geometric_rce", fusion_kind::geometric, weighting_kind::rce},
                          variant{"product", fusion_kind::product, weighting_kind::uniform},
                          variant{"sequential", fusion_kind::sequential, weighting_kind::uniform}}) {
        const std::string name = std::string("fusion.") + v.name;
        confcalib_options options{.fusion = v.fusion, .weighting = v.weighting, .cardinalities = {4, 12, 60}};
        const auto c =
            confcalib::fit(exec::serial, fit_rows.p, fit_rows.y, fit_rows.id_rows(), reckon::none{}, options);
        options.rescale = false;
        const auto plain =
            confcalib::fit(exec::serial, fit_rows.p, fit_rows.y, fit_rows.id_rows(), reckon::none{}, options);
        CHECK(c.seen() == reckon::counts{400, 0});
        for (std::size_t k = 0; k < 3; ++k) {
            const auto& expected =
                f[(v.fusion == fusion_kind::sequential ? name + ".log_r" : "fusion.log_r") + std::to_string(k)];
            for (std::size_t i = 0; i < expected.size(); ++i) {
                CHECK(c.corrections(k)[i] == doctest::Approx(expected[i]).epsilon(1e-10));
            }
            if (v.fusion != fusion_kind::sequential) {
                CHECK(c.field_weights()[k] == doctest::Approx(f[name + ".weights"][k]).epsilon(1e-12));
            }
        }
        CHECK(plain.shift() == 0);
        CHECK(std::exp(c.shift()) == doctest::Approx(f.value(name + ".scale")).epsilon(table_relative));
        const auto fitted = apply(plain, fit_rows), before = apply(plain, fresh), after = apply(c, fresh);
        for (std::size_t i = 0; i < 60; ++i)
            CHECK(fitted[i] == doctest::Approx(f[name + ".p"][i]).epsilon(table_relative).scale(0));
        CHECK(std::accumulate(fitted.begin(), fitted.end(), 0.0) ==
              doctest::Approx(f.value(name + ".p_sum")).epsilon(table_relative));
        for (std::size_t i = 0; i < fresh.p.size(); ++i) {
            CHECK(before[i] == doctest::Approx(f[name + ".new"][i]).epsilon(table_relative).scale(0));
            CHECK(after[i] == doctest::Approx(f[name + ".new_scaled"][i]).epsilon(table_relative).scale(0));
        }
        if (v.fusion != fusion_kind::geometric) continue;
        // From sums: the same tables.
        reckon::field_stats stats({4, 12, 60});
        stats.absorb(reckon::make_fielded("test", fit_rows.p, fit_rows.y, fit_rows.id_rows()));
        CHECK(same(confcalib::fit(stats, options), plain));
        CHECK(std::exp(confcalib::fit(stats, options)
                           .rescaled(exec::serial, fit_rows.p, fit_rows.y, fit_rows.id_rows())
                           .shift()) == doctest::Approx(f.value(name + ".scale")).epsilon(table_relative));
        // Weights from the rows held out.
        const auto learned = plain.with_learned_weights(exec::serial, held.p, held.y, held.id_rows());
        for (std::size_t k = 0; k < 3; ++k) {
            CHECK(learned.field_weights()[k] == doctest::Approx(f["fusion.learned.weights"][k]).epsilon(1e-5));
        }
    }
}

TEST_CASE("confcalib: logit form solves for the mean of every value") {
    const fixture f{"confcalib.txt"};
    const auto &z = f["logit.z"], &w = f["logit.w"], &q = f["logit.q"];
    // Full replacement without guard and clip asks for q = K / n: labels are the fraction q itself.
    for (const bool weighted : {false, true}) {
        for (std::size_t t = 0; t < q.size(); ++t) {
            std::vector<double> p, y(z.size(), q[t]);
            for (const double v : z) p.push_back(1 / (1 + std::exp(-v)));
            const std::vector<std::int32_t> ids(z.size(), 0);
            const confcalib_options options{.confidence = {.intensity = intensity_kind::full,
                                                           .guard = guard_kind::off,
                                                           .ratio_floor = 1e-300,
                                                           .ratio_limit = std::numeric_limits<double>::infinity()},
                                            .correction = correction_kind::logit,
                                            .fusion = fusion_kind::product,
                                            .rescale = false};
            const matrix_view<const std::int32_t> id_rows(ids.data(), 1, ids.size());
            const auto c = weighted ? confcalib::fit(exec::serial, p, y, id_rows, w, options)
                                    : confcalib::fit(exec::serial, p, y, id_rows, reckon::none{}, options);
            CHECK(c.corrections(0)[0] ==
                  doctest::Approx(f[weighted ? "logit.weighted.d" : "logit.d"][t]).epsilon(1e-9));
        }
    }
}

TEST_CASE("confcalib: full replacement makes the field exact on its own rows") {
    const auto r = make_rows(3000, {12, 5});
    for (const auto correction : {correction_kind::ratio, correction_kind::logit}) {
        for (const auto fusion : {fusion_kind::product, fusion_kind::sequential}) {
            const confcalib_options options{.confidence = {.intensity = intensity_kind::full,
                                                           .guard = guard_kind::off,
                                                           .ratio_floor = 1e-300,
                                                           .ratio_limit = std::numeric_limits<double>::infinity()},
                                            .correction = correction,
                                            .fusion = fusion,
                                            .rescale = false};
            const std::size_t fields = fusion == fusion_kind::product ? 1 : 2;
            const auto c =
                confcalib::fit(exec::serial, r.p, r.y, r.id_rows().slice(0, fields), reckon::none{}, options);
            // The tables in double: ratio form moves the sums of a value exactly.
            if (correction == correction_kind::ratio && fields == 1) {
                reckon::field_stats s({12});
                s.absorb(reckon::make_fielded("test", r.p, r.y, r.id_rows().slice(0, 1)));
                for (std::size_t v = 0; v < 12; ++v) {
                    CHECK(std::exp(c.corrections(0)[v]) * s.value(0, v).predicted ==
                          doctest::Approx(s.value(0, v).observed).epsilon(1e-12));
                }
            }
            // The field that was corrected last is exact to the rounding of the float tables.
            std::vector<double> out(r.p.size());
            c.apply(exec::serial, r.p, r.id_rows().slice(0, fields), out);
            reckon::field_stats after({fields == 1 ? 12u : 5u});
            after.absorb(reckon::make_fielded("test", out, r.y, r.id_rows().slice(fields - 1, 1)));
            for (std::size_t v = 0; v < after.values(0); ++v) {
                CHECK(after.value(0, v).predicted == doctest::Approx(after.value(0, v).observed).epsilon(1e-6));
            }
        }
    }
}

TEST_CASE("confcalib: b makes predictions add up to labels") {
    const auto r = make_rows(2000, {7, 30});
    std::vector<float> w;
    for (std::size_t i = 0; i < r.p.size(); ++i) w.push_back(float(i % 4) / 2);
    for (const auto correction : {correction_kind::ratio, correction_kind::logit}) {
        for (const auto fusion : {fusion_kind::geometric, fusion_kind::product, fusion_kind::sequential}) {
            const auto c =
                confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), w, {.correction = correction, .fusion = fusion});
            const auto out = apply(c, r);
            double predicted = 0, observed = 0;
            for (std::size_t i = 0; i < out.size(); ++i) {
                predicted += double(w[i]) * out[i];
                observed += double(w[i]) * r.y[i];
            }
            CHECK(predicted == doctest::Approx(observed).epsilon(1e-10));
        }
    }
}

TEST_CASE("confcalib: equal corrections give r p for any weights, and field order does not matter") {
    const auto r = make_rows(4000, {9, 40});
    // The same field twice with any weights that add up to 1 is that field once.
    rows twice = r, once = r;
    twice.ids = r.ids;
    twice.ids.resize(4000);
    twice.ids.insert(twice.ids.end(), r.ids.begin(), r.ids.begin() + 4000);
    once.ids.resize(4000);
    once.fields = 1;
    const auto with = [](std::vector<double> w) {
        return confcalib_options{.weighting = weighting_kind::given, .field_weights = std::move(w), .rescale = false};
    };
    const auto single =
        apply(confcalib::fit(exec::serial, once.p, once.y, once.id_rows(), reckon::none{}, with({1})), once);
    const auto pair =
        apply(confcalib::fit(exec::serial, twice.p, twice.y, twice.id_rows(), reckon::none{}, with({.7, .3})), twice);
    for (std::size_t i = 0; i < 4000; ++i) CHECK(pair[i] == doctest::Approx(single[i]).epsilon(table_relative));

    rows swapped = r;
    for (std::size_t i = 0; i < 4000; ++i) std::swap(swapped.ids[i], swapped.ids[4000 + i]);
    for (const auto correction : {correction_kind::ratio, correction_kind::logit}) {
        for (const auto fusion : {fusion_kind::geometric, fusion_kind::product, fusion_kind::sequential}) {
            const confcalib_options options{.correction = correction, .fusion = fusion};
            const auto a = apply(confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), reckon::none{}, options), r);
            const auto b =
                apply(confcalib::fit(exec::serial, swapped.p, swapped.y, swapped.id_rows(), reckon::none{}, options),
                      swapped);
            double worst = 0;
            for (std::size_t i = 0; i < 4000; ++i) worst = std::fmax(worst, std::fabs(a[i] / b[i] - 1));
            if (fusion == fusion_kind::sequential) {
                CHECK(worst > 1e-4);
            } else {
                CHECK(worst < 1e-6);
            }
        }
    }
}

TEST_CASE("confcalib: weights count as repeated rows") {
    const auto r = make_rows(500, {6, 20});
    std::vector<float> w;
    rows repeated;
    repeated.fields = 2;
    std::vector<std::size_t> from;
    for (std::size_t i = 0; i < 500; ++i) {
        w.push_back(float(i % 3));
        for (std::size_t k = 0; k < i % 3; ++k) from.push_back(i);
    }
    for (const std::size_t i : from) {
        repeated.p.push_back(r.p[i]);
        repeated.y.push_back(r.y[i]);
    }
    for (std::size_t f = 0; f < 2; ++f) {
        for (const std::size_t i : from) repeated.ids.push_back(r.ids[f * 500 + i]);
    }
    for (const auto correction : {correction_kind::ratio, correction_kind::logit}) {
        for (const auto fusion : {fusion_kind::geometric, fusion_kind::sequential}) {
            const confcalib_options options{.correction = correction, .fusion = fusion, .cardinalities = {6, 20}};
            const auto a = confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), w, options);
            const auto b =
                confcalib::fit(exec::serial, repeated.p, repeated.y, repeated.id_rows(), reckon::none{}, options);
            for (std::size_t v = 0; v < 20; ++v) {
                CHECK(a.corrections(1)[v] == doctest::Approx(b.corrections(1)[v]).epsilon(1e-9));
            }
            CHECK(a.shift() == doctest::Approx(b.shift()).epsilon(1e-6));
        }
    }
}

TEST_CASE("confcalib: threads give the same bits") {
    const auto r = make_rows(40000, {5, 50, 3000});
    for (const auto correction : {correction_kind::ratio, correction_kind::logit}) {
        for (const auto fusion : {fusion_kind::geometric, fusion_kind::product, fusion_kind::sequential}) {
            const confcalib_options options{.correction = correction, .fusion = fusion};
            const auto serial = confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), reckon::none{}, options);
            const auto expected = apply(serial, r);
            for (const unsigned threads : {2u, 3u}) {
                exec::pool pool{threads};
                CHECK(same(serial, confcalib::fit(exec::host{pool}, r.p, r.y, r.id_rows(), reckon::none{}, options)));
                std::vector<double> out(r.p.size());
                serial.apply(exec::host{pool}, r.p, r.id_rows(), out);
                CHECK(out == expected);
            }
        }
    }
}

TEST_CASE("confcalib: serving against a plain loop, any length, unseen ids, in place") {
    const auto r = make_rows(3000, {5, 50, 300});
    for (const auto correction : {correction_kind::ratio, correction_kind::logit}) {
        const auto c = confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), reckon::none{},
                                      {.correction = correction, .cardinalities = {5, 50, 300}});
        for (const std::size_t n : {0u, 1u, 3u, 4u, 5u, 7u, 8u, 9u, 15u, 16u, 17u, 67u}) {
            for (const std::size_t shift : {0u, 1u}) {
                std::vector<float> p(n + shift, 0.5f), out(n + shift, -1.0f);
                std::vector<std::int32_t> ids(3 * (n + 2), -9);
                std::uint64_t seed = n;
                for (std::size_t i = 0; i < n; ++i) {
                    p[i + shift] = float(next(seed) % 1001) / 1000.0f;
                    for (std::size_t f = 0; f < 3; ++f) ids[f * (n + 2) + i] = std::int32_t(next(seed) % 60) - 5;
                }
                const reckon::vector_view<float> pv(p.data() + shift, n), ov(out.data() + shift, n);
                const matrix_view<const std::int32_t> iv(ids.data(), 3, n, n + 2);
                auto target = ov;
                c.apply(exec::serial, pv, iv, target);
                for (std::size_t i = 0; i < n; ++i) {
                    double d = c.shift();
                    std::vector<std::int32_t> one;
                    for (std::size_t f = 0; f < 3; ++f) {
                        one.push_back(iv(f, i));
                        const auto id = iv(f, i);
                        if (id >= 0 && std::size_t(id) < c.values(f))
                            d += c.field_weights()[f] * c.corrections(f)[std::size_t(id)];
                    }
                    const double raw = double(pv[i]), kept = std::fmin(std::fmax(raw, 1e-7), 1 - 1e-7);
                    double q = correction == correction_kind::ratio
                                   ? raw * std::exp(d)
                                   : 1 / (1 + std::exp(-(std::log(kept) - std::log1p(-kept) + d)));
                    q = std::fmin(std::fmax(q, 1e-7), 1 - 1e-7);
                    CHECK(std::fabs(double(ov[i]) - q) <= 2e-6 * q);
                    CHECK(c(pv[i], one) == ov[i]);
                }
                if (shift == 1) CHECK(out[0] == -1.0f);
                std::vector<float> place(p.begin() + std::ptrdiff_t(shift), p.end());
                c.apply(exec::serial, place, iv, place);
                for (std::size_t i = 0; i < n; ++i) CHECK(place[i] == ov[i]);
            }
        }
        const float nan = std::numeric_limits<float>::quiet_NaN();
        CHECK(std::isnan(c(nan, std::vector<std::int32_t>{0, 0, 0})));
        CHECK(c(0.0f, std::vector<std::int32_t>{0, 0, 0}) > 0.0f);
        CHECK(c(1.0f, std::vector<std::int32_t>{-1, -1, -1}) < 1.0f);
    }
}

TEST_CASE("confcalib: unseen ids are counted") {
    const auto c = confcalib::fit(reckon::field_stats({2, 3}));
    const std::vector<std::int32_t> ids{0,      1, 2, -1, std::numeric_limits<std::int32_t>::min(),
                                        /**/ 0, 1, 2, 3,  std::numeric_limits<std::int32_t>::max()};
    const std::vector<std::uint64_t> expected{3, 2};
    CHECK(c.count_unseen(matrix_view<const std::int32_t>(ids.data(), 2, 5)) == expected);
    // Their field corrects nothing.
    const auto r = make_rows(2000, {6});
    const auto one = confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), reckon::none{}, {.rescale = false});
    for (const std::int32_t id : {-1, 6, 1 << 30}) {
        CHECK(one(0.25, std::vector<std::int32_t>{id}) == doctest::Approx(0.25).epsilon(1e-15));
    }
    // Rows that are unseen while fitting count for the scalar only.
    auto unseen = r;
    for (auto& id : unseen.ids) id = -3;
    const auto nothing = confcalib::fit(exec::serial, unseen.p, unseen.y, unseen.id_rows());
    CHECK(nothing.values(0) == 0);
    CHECK(nothing.shift() != 0);
}

TEST_CASE("confcalib: score bins") {
    // Low scores are right, high ones twice too high, for every value.
    rows r;
    r.fields = 1;
    std::uint64_t seed = 5;
    for (std::size_t i = 0; i < 60000; ++i) {
        r.p.push_back(i % 2 ? 0.1 : 0.6);
        r.y.push_back(double(next(seed) % 1000) < (i % 2 ? 100 : 300) ? 1 : 0);
        r.ids.push_back(std::int32_t(i / 2 % 3));
    }
    const confcalib_options options{.rescale = false, .bin_edges = {0.3}, .cardinalities = {4}};
    const auto c = confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), reckon::none{}, options);
    CHECK(c.bins() == 2);
    const std::vector<std::int32_t> id{1}, empty{3}, unseen{-1};
    CHECK(c(0.1, id) == doctest::Approx(0.1).epsilon(0.05));
    CHECK(c(0.6, id) == doctest::Approx(0.3).epsilon(0.05));
    // Linear in between in ln r, constant outside.
    const double low = std::log(c(0.1, id) / 0.1), high = std::log(c(0.6, id) / 0.6);
    CHECK(std::log(c(0.35, id) / 0.35) == doctest::Approx((low + high) / 2).epsilon(1e-5));
    CHECK(std::log(c(0.9, id) / 0.9) == doctest::Approx(high).epsilon(1e-5));
    CHECK(std::log(c(0.01, id) / 0.01) == doctest::Approx(low).epsilon(1e-5));
    CHECK(c(0.35, empty) == doctest::Approx(0.35).epsilon(1e-12));
    CHECK(c(0.35, unseen) == doctest::Approx(0.35).epsilon(1e-12));
    // An empty bin falls back to its value.
    confcalib_options three = options;
    three.bin_edges = {0.3, 0.7};
    const auto d = confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), reckon::none{}, three);
    reckon::field_stats sums({4});
    sums.absorb(reckon::make_fielded("test", r.p, r.y, r.id_rows()));
    CHECK(d.corrections(0)[1 * 3 + 2] ==
          doctest::Approx(reckon::confidence_log_ratio(sums.value(0, 1))).epsilon(1e-12));
    // Bytes and columns as with one bin.
    CHECK(same(reckon::from_bytes<confcalib>(reckon::to_bytes(d)), d));
    const auto out = apply(d, r);
    for (std::size_t i = 0; i < 50; ++i) CHECK(out[i] == d(r.p[i], std::vector<std::int32_t>{r.ids[i]}));
    CHECK_THROWS_AS(confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), reckon::none{},
                                   {.correction = correction_kind::logit, .bin_edges = {0.3}}),
                    std::invalid_argument);
    CHECK_THROWS_AS(confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), reckon::none{},
                                   {.fusion = fusion_kind::sequential, .bin_edges = {0.3}}),
                    std::invalid_argument);
}

TEST_CASE("confcalib: empirical Bayes as an intensity") {
    const auto r = make_rows(3000, {8});
    reckon::field_stats s({8});
    s.absorb(reckon::make_fielded("test", r.p, r.y, r.id_rows()));
    for (const double kappa : {6.0, std::nan("")}) {
        const confcalib_options options{.confidence = {.intensity = intensity_kind::empirical_bayes, .kappa = kappa},
                                        .rescale = false};
        const auto c = confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), reckon::none{}, options);
        const double used = std::isnan(kappa) ? reckon::empirical_bayes_kappa(s, 0) : kappa;
        CHECK(std::isfinite(used));
        for (std::size_t v = 0; v < 8; ++v) {
            const double ratio = reckon::empirical_bayes_ratio(s.value(0, v).observed, s.value(0, v).predicted, used);
            CHECK(std::exp(c.corrections(0)[v]) == doctest::Approx(ratio).epsilon(1e-12));
        }
    }
    // Only there may kappa be left to the data.
    CHECK_THROWS_AS(
        confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), reckon::none{}, {.confidence = {.kappa = std::nan("")}}),
        std::invalid_argument);
}

TEST_CASE("confcalib: empty, one class, one score, counts above 2^24") {
    const rows none_at_all{{}, {}, {}, 2};
    for (const auto correction : {correction_kind::ratio, correction_kind::logit}) {
        for (const auto fusion : {fusion_kind::geometric, fusion_kind::sequential}) {
            const confcalib_options options{.correction = correction, .fusion = fusion};
            const auto c = confcalib::fit(exec::serial, none_at_all.p, none_at_all.y, none_at_all.id_rows(),
                                          reckon::none{}, options);
            CHECK(c(0.3, std::vector<std::int32_t>{0, 5}) == doctest::Approx(0.3).epsilon(1e-15));
            for (const double label : {0.0, 1.0}) {
                auto r = make_rows(300, {4, 9});
                for (double& y : r.y) y = label;
                for (double& p : r.p) p = 0.25;
                const auto one_class = confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), reckon::none{}, options);
                CHECK(one_class.shift() == 0);
                for (const double q : apply(one_class, r)) {
                    CHECK(std::isfinite(q));
                    CHECK((label == 0 ? q < 0.25 : q > 0.25));
                }
            }
        }
    }
    reckon::field_stats s({1});
    const std::vector<float> p{0.1f};
    const std::vector<float> y{0.2f};
    const std::vector<std::int32_t> id{0};
    s.absorb(reckon::make_fielded("test", p, y, matrix_view<const std::int32_t>(id.data(), 1, 1)));
    for (int k = 0; k < 28; ++k) s.merge(reckon::field_stats(s));
    CHECK(std::exp(confcalib::fit(s).corrections(0)[0]) == doctest::Approx(2).epsilon(1e-3));
}

TEST_CASE("confcalib: bad rows are skipped and counted") {
    const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
    auto r = make_rows(500, {6, 20});
    for (const auto correction : {correction_kind::ratio, correction_kind::logit}) {
        for (const auto fusion : {fusion_kind::geometric, fusion_kind::sequential}) {
            const confcalib_options options{.correction = correction, .fusion = fusion, .cardinalities = {6, 20}};
            std::vector<double> w(500, 1.0);
            const auto clean = confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), w, options);
            rows dirty = r;
            std::vector<double> dirty_w(w);
            struct bad {
                double p, y, w;
            };
            const std::vector<bad> extra{{nan, 1, 1}, {inf, 1, 1}, {-.1, 1, 1},  {1.1, 1, 1}, {.5, nan, 1},
                                         {.5, 2, 1},  {.5, -1, 1}, {.5, 1, nan}, {.5, 1, -1}, {.5, 1, inf}};
            for (const auto& b : extra) {
                dirty.p.push_back(b.p);
                dirty.y.push_back(b.y);
                dirty_w.push_back(b.w);
            }
            std::vector<std::int32_t> ids;
            for (std::size_t f = 0; f < 2; ++f) {
                ids.insert(ids.end(), r.ids.begin() + std::ptrdiff_t(f * 500),
                           r.ids.begin() + std::ptrdiff_t(f * 500 + 500));
                ids.insert(ids.end(), extra.size(), 0);
            }
            dirty.ids = ids;
            const auto c = confcalib::fit(exec::serial, dirty.p, dirty.y, dirty.id_rows(), dirty_w, options);
            CHECK(c.seen() == reckon::counts{500, 10});
            for (std::size_t v = 0; v < 20; ++v) CHECK(c.corrections(1)[v] == clean.corrections(1)[v]);
            CHECK(c.shift() == doctest::Approx(clean.shift()).epsilon(1e-12));
        }
    }
}

TEST_CASE("confcalib: bad arguments throw and say which") {
    const auto r = make_rows(20, {3, 4});
    const auto fit = [&](const confcalib_options& o) {
        return message([&] { confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), reckon::none{}, o); });
    };
    CHECK(fit({}) == "no exception");
    CHECK(fit({.confidence = {.scale = 0}}) == "confcalib::fit: the scale must be positive");
    CHECK(fit({.confidence = {.kappa = -1}}) == "confcalib::fit: kappa must not be negative");
    CHECK(fit({.confidence = {.min_events = std::nan("")}}) == "confcalib::fit: min_events must not be negative");
    CHECK(fit({.confidence = {.ratio_floor = 0}}) == "confcalib::fit: ratio_floor must be in [1e-300, 1]");
    CHECK(fit({.confidence = {.ratio_limit = 0.5}}) == "confcalib::fit: ratio_limit must be at least 1");
    CHECK(fit({.passes = 0}) == "confcalib::fit: passes must be 1 to 100");
    CHECK(fit({.weighting = weighting_kind::given}) == "confcalib::fit: one weight per field is needed");
    CHECK(fit({.weighting = weighting_kind::given, .field_weights = {1, -1}}) ==
          "confcalib::fit: field weights must be in [0, 1e6]");
    CHECK(fit({.cardinalities = {3}}) == "confcalib::fit: one cardinality per field is needed");
    const auto c = confcalib::fit(exec::serial, r.p, r.y, r.id_rows());
    std::vector<double> out(20), shorter(19);
    CHECK_THROWS_AS(c.apply(exec::serial, r.p, r.id_rows(), shorter), std::invalid_argument);
    CHECK_THROWS_AS(c.apply(exec::serial, shorter, r.id_rows(), shorter), std::invalid_argument);
    CHECK_THROWS_AS(c.apply(exec::serial, r.p, r.id_rows().slice(0, 1), out), std::invalid_argument);
    CHECK_THROWS_AS(c(0.5, std::vector<std::int32_t>{1}), std::invalid_argument);
    CHECK_THROWS_AS(c.count_unseen(r.id_rows().slice(0, 1)), std::invalid_argument);
    CHECK_THROWS_AS(confcalib::fit(exec::serial, r.p, shorter, r.id_rows()), std::invalid_argument);
    const reckon::field_stats s({2});
    CHECK_THROWS_AS(confcalib::fit(s, {.correction = correction_kind::logit}), std::invalid_argument);
    CHECK_THROWS_AS(confcalib::fit(s, {.fusion = fusion_kind::sequential}), std::invalid_argument);
    CHECK_THROWS_AS(confcalib::fit(s, {.bin_edges = {0.5}}), std::invalid_argument);
}

TEST_CASE("confcalib: written and read back, hostile bytes") {
    const auto r = make_rows(800, {3, 11});
    const auto c = confcalib::fit(exec::serial, r.p, r.y, r.id_rows());
    const auto bytes = reckon::to_bytes(c);
    const auto again = reckon::from_bytes<confcalib>(bytes);
    CHECK(reckon::to_bytes(again) == bytes);
    CHECK(apply(again, r) == apply(c, r));
    CHECK(again.seen() == c.seen());

    struct parts {
        std::uint8_t correction = 0, rescale = 0;
        double shift = 0.1;
        std::uint64_t bins = 2;
        std::vector<std::uint64_t> values{2};
        std::vector<double> weights{1}, corrections{.1, .2, -.1, 0, 0, 0}, knots{.1, .5, .2, .4, 0, 0};
    };
    const auto read = [](const parts& p) {
        reckon::byte_writer out;
        out.put(p.correction);
        out.put(p.rescale);
        out.put(std::uint64_t{1});
        out.put(std::uint64_t{0});
        out.put(p.shift);
        out.put(p.bins);
        out.put_array(p.values);
        out.put_array(p.weights);
        out.put_array(p.corrections);
        out.put_array(p.knots);
        return reckon::from_bytes<confcalib>(out.seal(confcalib::bytes_kind, confcalib::bytes_version));
    };
    const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
    CHECK_NOTHROW(read({}));
    CHECK_THROWS_AS(read({.correction = 2}), std::runtime_error);
    CHECK_THROWS_AS(read({.rescale = 2}), std::runtime_error);
    CHECK_THROWS_AS(read({.shift = nan}), std::runtime_error);
    CHECK_THROWS_AS(read({.shift = 1e9}), std::runtime_error);
    CHECK_THROWS_AS(read({.bins = 0}), std::runtime_error);
    CHECK_THROWS_AS(read({.bins = ~std::uint64_t{0}}), std::runtime_error);
    CHECK_THROWS_AS(read({.bins = 1}), std::runtime_error);
    CHECK_THROWS_AS(read({.values = {3}}), std::runtime_error);
    CHECK_THROWS_AS(read({.values = {~std::uint64_t{0}}}), std::runtime_error);
    CHECK_THROWS_AS(read({.values = {std::uint64_t{1} << 24, 1}}), std::runtime_error);
    CHECK_THROWS_AS(read({.weights = {-1}}), std::runtime_error);
    CHECK_THROWS_AS(read({.weights = {inf}}), std::runtime_error);
    CHECK_THROWS_AS(read({.weights = {}}), std::runtime_error);
    CHECK_THROWS_AS(read({.corrections = {nan, .2, -.1, 0, 0, 0}}), std::runtime_error);
    CHECK_THROWS_AS(read({.corrections = {.1, inf, -.1, 0, 0, 0}}), std::runtime_error);
    CHECK_THROWS_AS(read({.corrections = {.1, .2, -.1, 0, 0, 1}}), std::runtime_error);
    CHECK_THROWS_AS(read({.corrections = {.1, .2}}), std::runtime_error);
    CHECK_THROWS_AS(read({.knots = {.5, .1, .2, .4, 0, 0}}), std::runtime_error);
    CHECK_THROWS_AS(read({.knots = {.1, nan, .2, .4, 0, 0}}), std::runtime_error);
    CHECK_THROWS_AS(read({.knots = {.1, 1.5, .2, .4, 0, 0}}), std::runtime_error);
    CHECK_THROWS_AS(read({.knots = {}}), std::runtime_error);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const reckon::vector_view<const std::byte> prefix(bytes.data(), size);
        CHECK_THROWS_AS(reckon::from_bytes<confcalib>(prefix), std::runtime_error);
    }
}

TEST_CASE("confcalib: laws of bytes and of the serving path") {
    const auto r = make_rows(300, {2, 3});
    const auto usable = [&](const confcalib& c) {
        if (c.fields() != 2) return true;
        for (const double q : apply(c, r)) {
            if (!(q >= 1e-7 && q <= 1 - 1e-7)) return false;
        }
        return true;
    };
    const auto c = confcalib::fit(exec::serial, r.p, r.y, r.id_rows());
    CHECK_LAW(reckon::testing::check_bytes(c, usable));
    CHECK_LAW(reckon::testing::check_bytes(
        confcalib::fit(exec::serial, r.p, r.y, r.id_rows(), reckon::none{}, {.bin_edges = {0.1, 0.2}}), usable));
    std::vector<double> out(r.p.size());
    CHECK_LAW(reckon::testing::check_no_allocation([&] { c.apply(exec::serial, r.p, r.id_rows(), out); }));
}
