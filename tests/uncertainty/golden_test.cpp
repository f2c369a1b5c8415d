// Bytes that earlier versions wrote of the uncertainty family, list metrics and multiclass calibration.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/calibration/dirichlet_calibration.hpp"
#include "reckon/calibration/multiclass_temperature.hpp"
#include "reckon/calibration/vector_scaling.hpp"
#include "reckon/metrics/classwise_ece.hpp"
#include "reckon/metrics/list_metrics.hpp"
#include "reckon/uncertainty/beta_prior.hpp"
#include "reckon/uncertainty/group_noise.hpp"
#include "reckon/uncertainty/group_threshold.hpp"
#include "reckon/uncertainty/last_layer_laplace.hpp"
#include "support/golden.hpp"

namespace {

using namespace reckon;
using namespace testing_support;
using exec::serial;

const std::vector<double> values{0.5, 0.25, 1.5, 3.0, 0.125, 0.75, 2.0, 0.0};
const std::vector<std::int32_t> groups{0, 1, 0, 1, 0, 1, 5, 0};  // group 5 does not exist
const std::vector<double> logits{2, 0, -1, 0, 1, 0.5, -1, 0, 2, 1, 1, 0, 0, 0.5, 0.25, 3, 1, 0};
const std::vector<int> classes{0, 1, 2, 0, 9, 1};  // class 9 does not exist

auto rows_of_logits() {
    return view(logits, 6, 3);
}

template <class C>
std::vector<double> of_multiclass(const C& c) {
    std::vector<double> out(logits.size());
    c.apply(serial, rows_of_logits(), view(out, 6, 3));
    append(out, both(c.seen()));
    return out;
}
std::vector<double> answers(const multiclass_temperature& c) {
    return of_multiclass(c);
}
std::vector<double> answers(const vector_scaling& c) {
    return of_multiclass(c);
}
std::vector<double> answers(const dirichlet_calibration& c) {
    return of_multiclass(c);
}
std::vector<double> answers(const class_reliability& c) {
    std::vector<double> said{c.classwise_ece(), c.top_label_ece(), c.log_loss(), c.brier(), c.accuracy(), c.epsilon()};
    append(said, both(c.seen()));
    return said;
}
std::vector<double> answers(const group_threshold& t) {
    std::vector<double> said = t.thresholds();
    for (std::size_t g = 0; g < t.groups(); ++g) said.push_back(static_cast<double>(t.size(g)));
    said.push_back(t.rate());
    append(said, both(t.seen()));
    return said;
}
std::vector<double> answers(const group_noise& n) {
    std::vector<double> said;
    for (std::size_t g = 0; g < n.groups(); ++g) said.push_back(n.noise(g));
    append(said, both(n.seen()));
    return said;
}
std::vector<double> answers(const beta_prior& p) {
    std::vector<double> said;
    for (std::size_t g = 0; g < p.groups(); ++g)
        append(said, {p.mean(g), p.strength(g), p.identifiable(g) ? 1.0 : 0.0});
    append(said, both(p.seen()));
    return said;
}
std::vector<double> answers(const linear_sums& s) {
    std::vector<double> said = s.targets();
    for (std::size_t i = 0; i < s.dimension(); ++i) {
        for (std::size_t j = 0; j <= i; ++j) said.push_back(s.product(i, j));
    }
    append(said, both(s.seen()));
    return said;
}
std::vector<double> answers(const list_metrics& m) {
    std::vector<double> said{m.bad_below()};
    for (std::size_t u = 0; u < m.users(); ++u) {
        const list_figures f = m.user(u);
        append(said, {f.items, f.mean_value, f.bad_rate, f.coverage, f.entropy, f.herfindahl, f.top_share});
    }
    append(said, both(m.seen()));
    return said;
}
std::vector<double> answers(const watch_metrics& m) {
    std::vector<double> said = m.thresholds();
    for (std::size_t u = 0; u < m.users(); ++u) {
        append(said, {m.seconds(u), m.quality_seconds(u), static_cast<double>(m.active_hours(u))});
    }
    append(said, both(m.seen()));
    return said;
}

// Calls visit(file name, object made today) for one or more objects of every type.
template <class Visit>
void for_each_object(Visit&& visit) {
    const auto on_logits = score_kind::logit;
    visit("multiclass_temperature",
          multiclass_temperature::fit(serial, rows_of_logits(), classes, {}, {.input = on_logits}));
    visit("vector_scaling", vector_scaling::fit(serial, rows_of_logits(), classes, {}, {.input = on_logits}));
    visit("dirichlet_calibration", dirichlet_calibration::fit(serial, rows_of_logits(), classes, {},
                                                              {.input = on_logits, .off_diagonal = 0.125}));
    class_reliability table(3);
    const std::vector<double> p{0.5, 0.25, 0.25, 0.125, 0.75, 0.125, 1, 0, 0, 0.25, 0.25, 0.5};
    const std::vector<int> y{0, 1, 1, 7};
    table.absorb(make_classified("golden", view(p, 4, 3), y));
    visit("class_reliability", table);
    visit("group_threshold", group_threshold::fit(serial, values, groups, 2, {.rate = 0.5}));
    visit("group_noise", group_noise::fit(serial, values, groups, 2));
    const std::vector<int> successes{1, 0, 3, 2, 5, 1}, trials{2, 3, 4, 2, 9, 1}, segment{0, 0, 0, 1, 1, 2};
    visit("beta_prior", beta_prior::fit(serial, successes, trials, segment, 3));
    linear_sums sums(2);
    const std::vector<double> x{1, 0.5, -2, 0.25, 0, 3}, target{1, 2, -0.5};
    sums.absorb(embedded_rows<double>{input(view(x, 3, 2)), input(target), {}});
    visit("linear_sums", sums);
    const std::vector<std::int32_t> users{0, 0, 1, 1, 0, 9}, categories{0, 2, 1, 1, 2, 0}, hours{0, 1, 70, 167, 1, 2};
    const std::vector<double> worth{1, -0.5, 0.25, 2, 0.75, 1}, seconds{10, 40, 35, 5, 100, 3};
    list_metrics lists(2, 3, 0.5);
    lists.absorb(make_shown("golden", users, categories, worth));
    visit("list_metrics", lists);
    watch_metrics watches({30, 20});
    watches.absorb(make_watched("golden", users, hours, seconds));
    visit("watch_metrics", watches);
}

TEST_CASE("golden: the uncertainty family and multiclass calibration are read from every version") {
    for_each_object([](const char* name, const auto& made) {
        check_golden(name, made, [](const auto& object) { return answers(object); });
    });
}

TEST_CASE("golden: write the uncertainty family and multiclass calibration" * doctest::skip()) {
    for_each_object([](const char* name, const auto& made) { write_golden(name, made); });
}

}  // namespace
