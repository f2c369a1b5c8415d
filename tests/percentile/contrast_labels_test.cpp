// Contrast labels: worked examples, reference, oracle, means and variances that hold exactly, draws, threads, bad input.
#include "reckon/percentile/contrast_labels.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <set>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/percentile/weighted_pair_bce.hpp"
#include "support/fixture.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;
using floats = std::vector<float>;
using ids = std::vector<std::uint32_t>;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float inf = std::numeric_limits<float>::infinity();
constexpr tie_mode all_modes[] = {tie_mode::strict, tie_mode::mid, tie_mode::boot, tie_mode::lex, tie_mode::smooth};
constexpr value_weight all_weights[] = {value_weight::none, value_weight::gap, value_weight::loggap,
                                        value_weight::winner};

// Histories of any length, side by side in rows of one capacity; event k of a user is in slot k.
struct table {
    floats values, predictions;
    ids counts;
    std::size_t capacity = 0;

    table(const std::vector<floats>& y, const std::vector<floats>& v = {}, std::size_t slots = 0) : capacity(slots) {
        for (const floats& row : y) capacity = (std::max)(capacity, row.size());
        for (std::size_t u = 0; u < y.size(); ++u) {
            counts.push_back(static_cast<std::uint32_t>(y[u].size()));
            append(values, y[u], nan);
            if (!v.empty()) append(predictions, v[u], nan);
        }
    }
    void append(floats& to, const floats& row, float fill) const {
        to.insert(to.end(), row.begin(), row.end());
        to.resize(to.size() + capacity - row.size(), fill);
    }
    matrix_view<const float> matrix(const floats& cells) const {
        return {cells.data(), cells.empty() ? 0 : counts.size(), capacity};
    }
    matrix_histories histories() const { return {matrix(values), counts, matrix(predictions)}; }
};
// The same, but it knows its events.
struct kept_table {
    table kept;
};
struct with_events : kept_table, matrix_histories {
    explicit with_events(const table& t) : kept_table{t}, matrix_histories(kept.histories()) {}
    with_events(const with_events&) = delete;
    std::uint32_t slot_of(std::uint32_t r, std::uint64_t, std::uint64_t event) const noexcept {
        return event < row(r).count ? static_cast<std::uint32_t>(event) : no_history;
    }
};
static_assert(history_source<with_events>);

struct results {
    floats cbar, wins, losses;
    ids neff, filled;
    explicit results(std::size_t n) : cbar(n, -1), wins(n, -1), losses(n, -1), neff(n, 99), filled(n, 99) {}
    contrast_outputs out() { return {view(cbar), view(neff), view(wins), view(losses), view(filled)}; }
    bool operator==(const results& other) const {
        const auto same = [](const auto& a, const auto& b) {
            return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), 4 * a.size()) == 0);
        };
        return same(cbar, other.cbar) && same(wins, other.wins) && same(losses, other.losses) &&
               same(neff, other.neff) && same(filled, other.filled);
    }
};
template <class Isa = isa::native, class Policy, class H, class E = none, class P = none>
results labels(const Policy& where, const H& histories, const ids& users, const floats& y,
               const contrast_options& options = {}, const E& events = {}, const P& v = {}) {
    results r(users.size());
    contrast_labels<Policy, H, ids, floats, E, P, Isa>(where, histories, users, y, r.out(), options, events, v);
    return r;
}

// The definition of one comparison.
double reference_label(tie_mode mode, double y, double other, double v, double other_v, const contrast_options& o) {
    const auto sigmoid = [](double x) { return 1.0 / (1.0 + std::exp(-x)); };
    if (mode == tie_mode::smooth) return sigmoid((y - other + o.smoothing * (v - other_v)) / o.temperature);
    if (y != other) return y > other ? 1.0 : 0.0;
    if (mode == tie_mode::strict) return 0.0;
    if (mode == tie_mode::boot) return sigmoid((v - other_v) / o.temperature);
    if (mode == tie_mode::lex && v != other_v) return v > other_v ? 1.0 : 0.0;
    return 0.5;
}
double reference_weight(value_weight kind, double y, double other, double s, double clip) {
    const auto l = [&](double x) { return std::copysign(std::log1p(std::fabs(x) / s), x); };
    const double w = kind == value_weight::none     ? 1.0
                     : kind == value_weight::gap    ? std::fabs(y - other)
                     : kind == value_weight::loggap ? std::fabs(l(y) - l(other))
                                                    : std::fmax(0.0, std::fmax(y, other) / s);
    return kind == value_weight::none ? w : std::fmin(w, clip);
}

TEST_CASE("contrast_labels: worked example") {
    const table t({{0, 1, 2, 3}, {}, {5, 5, 5}, {inf, -inf, 0.0f, -0.0f}});
    const ids users{0, 0, 1, 2, 3, 3, 0, 9};
    const floats y{2, 9, 4, 5, inf, -0.0f, nan, 1};
    results r(8);
    const counts seen = contrast_labels(serial, t.histories(), users, y, r.out());
    CHECK(seen == counts{7, 1});
    CHECK_ALL_NEAR(r.cbar, (floats{0.625f, 1, 0.5f, 0.5f, 0.875f, 0.5f, nan, 0.5f}), exact());
    CHECK(r.neff == ids{4, 4, 0, 3, 4, 4, 0, 0});
    CHECK(r.filled == ids{4, 4, 0, 3, 4, 4, 4, 0});
    CHECK_ALL_NEAR(r.wins, (floats{0.625f, 1, 0, 0.5f, 0.875f, 0.5f, nan, 0}), exact());
    CHECK_ALL_NEAR(r.losses, (floats{0.375f, 0, 0, 0.5f, 0.125f, 0.5f, nan, 0}), exact());
    const results strict = labels(serial, t.histories(), users, y, {.ties = tie_mode::strict});
    CHECK_ALL_NEAR(strict.cbar, (floats{0.5f, 1, 0.5f, 0, 0.75f, 0.25f, nan, 0.5f}), exact());
}

TEST_CASE("contrast_labels: two items change their order when gaps count") {
    // The spec's exact case: item A is always 1, item B is 20 with probability 0.2, else 0.
    const table t({{1, 1, 1, 1, 1, 20, 0, 0, 0, 0}});
    const ids users(11, 0);
    const floats y{1, 20, 20, 0, 0, 0, 0, 0, 0, 0, 0};
    const results plain = labels(serial, t.histories(), users, y);
    const auto b = [](const floats& column) { return std::accumulate(column.begin() + 1, column.end(), 0.0) / 10.0; };
    CHECK_NEAR(plain.cbar[0], 0.65, probability<float>());
    CHECK_NEAR(b(plain.cbar), 0.35, probability<float>());
    for (const float factor : {1.0f, 8.0f}) {  // the scale of y does not matter
        floats values = t.values, scaled = y;
        for (float& x : values) x *= factor;
        for (float& x : scaled) x *= factor;
        const matrix_histories h(t.matrix(values), t.counts);
        const results gap = labels(serial, h, users, scaled, {.weight = value_weight::gap});
        CHECK_NEAR(gap.wins[0] / (gap.wins[0] + gap.losses[0]), 0.4 / 2.3, probability<float>());
        CHECK_NEAR(b(gap.wins) / (b(gap.wins) + b(gap.losses)), 3.5 / 5.5, probability<float>());
    }
}

TEST_CASE("contrast_labels: gap weights are neutral at the user's mean") {
    // Odds E(Y - Y')+ / E(Y' - Y)+ exceed 1 exactly when the item's mean exceeds the user's.
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        const floats pool = random_uniform<float>(50, 0.0, 2.0, seed),
                     item = random_uniform<float>(7, 0.0, 2.0, 99 + seed);
        const results r = labels(serial, table({pool}).histories(), ids(7, 0), item, {.weight = value_weight::gap});
        const double wins = std::accumulate(r.wins.begin(), r.wins.end(), 0.0) / 7.0;
        const double losses = std::accumulate(r.losses.begin(), r.losses.end(), 0.0) / 7.0;
        const double mean = std::accumulate(item.begin(), item.end(), 0.0) / 7.0 -
                            std::accumulate(pool.begin(), pool.end(), 0.0) / 50.0;
        CHECK_NEAR(wins - losses, mean, reduction<float>(350).of(1.0));
    }
}

TEST_CASE("contrast_labels: against the definition") {
    const std::size_t lanes = simd::pack<float>::lanes;
    std::vector<floats> y, v;
    for (const std::size_t n : {std::size_t{1}, lanes - 1, lanes, lanes + 1, 3 * lanes + 2, std::size_t{300}}) {
        floats row = random_normal<float>(n, 0.0, 2.0, n);
        for (float& x : row) x = std::round(x * 2.0f) / 2.0f;  // many ties
        y.push_back(row);
        v.push_back(random_normal<float>(n, 0.0, 1.0, 7 + n));
    }
    ids users;
    for (std::uint32_t i = 0; i < 300; ++i) users.push_back(i < 150 ? i / 25 : i % 6);  // runs, then single ones
    floats feedback = random_normal<float>(300, 0.0, 2.0, 3), prediction = random_normal<float>(300, 0.0, 1.0, 4);
    for (float& x : feedback) x = std::round(x * 2.0f) / 2.0f;
    for (const std::size_t capacity : {std::size_t{300}, std::size_t{317}}) {
        const table t(y, v, capacity);
        for (const tie_mode mode : all_modes) {
            for (const value_weight kind : all_weights) {
                CAPTURE(static_cast<int>(mode));
                CAPTURE(static_cast<int>(kind));
                const contrast_options o{.ties = mode, .smoothing = 0.75, .weight = kind, .clip = 1.5};
                const results r = labels(serial, t.histories(), users, feedback, o, none{}, prediction);
                floats exact_label;
                std::vector<double> label, wins, losses;
                for (std::size_t i = 0; i < users.size(); ++i) {
                    const floats &row = y[users[i]], &row_v = v[users[i]];
                    double s = 0.0, c = 0.0, won = 0.0, lost = 0.0;
                    for (const float x : row) s += std::fabs(static_cast<double>(x)) / static_cast<double>(row.size());
                    for (std::size_t j = 0; j < row.size(); ++j) {
                        const double one = reference_label(mode, feedback[i], row[j], prediction[i], row_v[j], o);
                        const double w = reference_weight(kind, feedback[i], row[j], s > 0.0 ? s : 1.0, o.clip);
                        c += one;
                        won += w * one;
                        lost += w * (1.0 - one);
                    }
                    const auto n = static_cast<double>(row.size());
                    label.push_back(c / n);
                    exact_label.push_back(static_cast<float>(c / n));
                    wins.push_back(won / n);
                    losses.push_back(lost / n);
                    CHECK(r.neff[i] == row.size());
                }
                const bool counted = mode != tie_mode::boot && mode != tie_mode::smooth;
                if (counted) {
                    CHECK(r.cbar == exact_label);  // bit for bit
                } else {
                    CHECK_ALL_NEAR(r.cbar, label, reduction<float>(32).of(1.0));
                }
                CHECK_ALL_NEAR(r.wins, wins, reduction<float>(32).of(2.0));
                CHECK_ALL_NEAR(r.losses, losses, reduction<float>(32).of(2.0));
            }
        }
    }
}

TEST_CASE("contrast_labels: middle ranks of scipy, with and without the anchor itself") {
    const fixture oracle{"contrast.txt"};
    const floats y = oracle.as<float>("ranks.y");
    const std::vector<double>& rank = oracle["ranks.rank"];
    const auto n = static_cast<double>(y.size());
    ids events(y.size()), users(y.size(), 0);
    std::iota(events.begin(), events.end(), 0u);
    const table t({y});
    floats alone, inside;
    for (const double r : rank) {
        alone.push_back(static_cast<float>((r - 1.0) / (n - 1.0)));
        inside.push_back(static_cast<float>((r - 0.5) / n));
    }
    CHECK(labels(serial, with_events(t), users, y, {}, events).cbar == alone);
    CHECK(labels(serial, with_events(t), users, y).cbar == inside);
    CHECK(labels(serial, t.histories(), users, y, {}, events).cbar == inside);  // cannot know
    CHECK(labels(serial, with_events(t), users, y, {}, events).neff == ids(y.size(), 96));
}

TEST_CASE("contrast_labels: the mean label is 1/2, however sparse the feedback") {
    const std::size_t n = 150;
    const random_stream rng(5);
    floats y(n), v = random_normal<float>(n);
    for (std::size_t i = 0; i < n; ++i)
        y[i] = rng.uniform(i) < 0.8 ? 0.0f : std::floor(5.0f * float(rng.uniform(n + i)));
    ids users(n, 0), events(n);
    std::iota(events.begin(), events.end(), 0u);
    const with_events h(table({y}, {v}));
    double ties = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) ties += i != j && y[i] == y[j] ? 1.0 : 0.0;
    }
    ties /= static_cast<double>(n * (n - 1));
    for (const tie_mode mode : all_modes) {
        const results r = labels(serial, h, users, y, {.ties = mode, .smoothing = 0.5}, events, v);
        const double mean = std::accumulate(r.cbar.begin(), r.cbar.end(), 0.0) / static_cast<double>(n);
        CHECK_NEAR(mean, mode == tie_mode::strict ? (1.0 - ties) / 2.0 : 0.5, reduction<float>(n));
    }
    // Ties decided by a continuous v: the labels are k / (n - 1), each once.
    floats lex = labels(serial, h, users, y, {.ties = tie_mode::lex}, events, v).cbar;
    std::sort(lex.begin(), lex.end());
    for (std::size_t k = 0; k < n; ++k) CHECK(lex[k] == static_cast<float>(k) / static_cast<float>(n - 1));
}

TEST_CASE("contrast_labels: increasing maps of one user's feedback change no bit") {
    std::vector<floats> y, v, mapped;
    ids users;
    floats feedback, moved, prediction;
    const auto map = [](std::size_t u, float x) {
        return u % 3 == 0 ? 1024.0f * x : u % 3 == 1 ? std::exp(x) : x * x * x + static_cast<float>(u);
    };
    for (std::size_t u = 0; u < 9; ++u) {
        floats row = random_normal<float>(20 + u, 0.0, 2.0, u + 1);
        for (float& x : row) x = std::round(4.0f * x) / 4.0f;
        y.push_back(row);
        v.push_back(random_normal<float>(20 + u, 0.0, 1.0, 50 + u));
        for (float& x : row) x = map(u, x);
        mapped.push_back(row);
        for (std::size_t i = 0; i < 30; ++i) {
            users.push_back(static_cast<std::uint32_t>(u));
            feedback.push_back(y[u][i % y[u].size()]);
            moved.push_back(map(u, feedback.back()));
            prediction.push_back(static_cast<float>(i) / 30.0f);
        }
    }
    const table before(y, v), after(mapped, v);
    for (const tie_mode mode : all_modes) {
        for (const std::uint32_t contrasts : {0u, 7u}) {
            const contrast_options o{.ties = mode, .contrasts = contrasts, .seed = 3};
            const bool same = labels(serial, before.histories(), users, feedback, o, none{}, prediction) ==
                              labels(serial, after.histories(), users, moved, o, none{}, prediction);
            CHECK(same == (mode != tie_mode::smooth));
        }
    }
}

TEST_CASE("contrast_labels: draws are unbiased, and vary as draws without replacement do") {
    const std::size_t history = 200, pool = 40, take = 10, trials = 6000;
    const double share = 0.55;  // of the history lies below the anchor
    const auto moments_of = [&](bool fixed_pool) {
        const random_stream rng(fixed_pool ? 11 : 12);
        std::vector<floats> rows(trials);
        std::uint64_t next = 0;
        const std::size_t n = fixed_pool ? pool : history;
        for (floats& row : rows) {
            for (std::size_t k = 0; k < n; ++k) row.push_back(static_cast<double>(k) < share * double(n) ? 0.0f : 2.0f);
            for (std::size_t k = 0; k < pool; ++k) std::swap(row[k], row[k + rng.below(next++, n - k)]);
            row.resize(pool);
        }
        ids users(trials);
        std::iota(users.begin(), users.end(), 0u);
        const results r = labels(serial, table(rows).histories(), users, floats(trials, 1.0f),
                                 {.contrasts = static_cast<std::uint32_t>(take), .seed = 5});
        CHECK(r.neff == ids(trials, take));
        moments m;
        for (const float c : r.cbar) m.absorb(static_cast<double>(c));
        return m;
    };
    const auto expected = [&](double n) {
        return share * (1.0 - share) / double(take) * (n - double(take)) / (n - 1.0);
    };
    // Within four standard errors; that of a variance is about variance * sqrt(2 / trials).
    for (const bool fixed_pool : {true, false}) {
        const moments m = moments_of(fixed_pool);
        const double variance = expected(fixed_pool ? double(pool) : double(history));
        CHECK(std::fabs(m.mean() - share) < 4.0 * std::sqrt(variance / double(trials)));
        CHECK(std::fabs(m.sample_variance() - variance) < 4.0 * variance * std::sqrt(2.0 / double(trials)));
    }
    CHECK_NEAR(expected(40.0), 0.01904, tolerance{.absolute = 5e-6});
}

TEST_CASE("contrast_labels: a draw takes distinct slots, never the anchor's own, as seed and key say") {
    // Slot k holds 2^k, so that the sum of gaps to 0 tells which slots were taken.
    for (const std::uint32_t n : {2u, 3u, 4u, 12u, 20u}) {
        floats row;
        for (std::uint32_t k = 0; k < n; ++k) row.push_back(std::ldexp(1.0f, static_cast<int>(k)));
        const with_events h(table({row}));
        const ids users(n, 0);
        ids events(n);
        std::iota(events.begin(), events.end(), 0u);
        std::set<std::uint32_t> met;
        for (std::uint32_t take = 1; take < n; ++take) {
            for (std::uint64_t seed = 0; seed < 12; ++seed) {
                const contrast_options o{.weight = value_weight::gap, .contrasts = take, .seed = seed};
                const results r = labels(serial, h, users, floats(n, 0.0f), o, events);
                for (std::uint32_t i = 0; i < n; ++i) {
                    const auto taken = static_cast<std::uint32_t>(std::lround(r.losses[i] * float(take)));
                    REQUIRE(r.neff[i] == take);
                    CHECK(std::popcount(taken) == static_cast<int>(take));
                    CHECK((taken >> i) % 2 == 0);
                    met.insert(taken);
                }
            }
        }
        CHECK(met.size() > (n > 4 ? std::size_t{100} : std::size_t{n}) - 1);
    }
    // Keyed by user and event: the order of the batch does not matter. Keyed by number: it continues over batches.
    const table t({random_normal<float>(64), random_normal<float>(64, 0, 1, 2)});
    const ids users{0, 1, 0, 1}, events{70, 80, 90, 100};
    const floats y{0.1f, 0.2f, 0.3f, 0.4f};
    const contrast_options o{.contrasts = 9, .seed = 1};
    const floats there = labels(serial, t.histories(), users, y, o, events).cbar;
    const floats back =
        labels(serial, t.histories(), ids{1, 0, 1, 0}, floats{0.4f, 0.3f, 0.2f, 0.1f}, o, ids{100, 90, 80, 70}).cbar;
    CHECK(there == floats{back[3], back[2], back[1], back[0]});
    const floats whole = labels(serial, t.histories(), users, y, o).cbar;
    contrast_options rest = o;
    rest.first_row = 2;
    CHECK(labels(serial, t.histories(), ids{0, 1}, floats{0.3f, 0.4f}, rest).cbar == floats{whole[2], whole[3]});
}

TEST_CASE("contrast_labels: item means of a normal user") {
    const fixture oracle{"contrast.txt"};
    const std::vector<double>&m = oracle["normal.m"], &pi = oracle["normal.pi"];
    const double s = oracle.value("normal.s");
    const std::size_t pool = 3000, draws = 300;
    floats row;
    const floats noise = random_normal<float>(pool + draws * m.size(), 0.0, s, 21);
    for (std::size_t j = 0; j < pool; ++j) row.push_back(static_cast<float>(m[j % m.size()]) + noise[j]);
    const table t({row});
    for (std::size_t k = 0; k < m.size(); ++k) {
        floats y;
        for (std::size_t i = 0; i < draws; ++i) {
            y.push_back(static_cast<float>(m[k]) + noise[pool + k * draws + i]);
        }
        moments label;
        for (const float c : labels(serial, t.histories(), ids(draws, 0), y).cbar) label.absorb(static_cast<double>(c));
        // Errors of the draws and of the pool.
        const double error = std::sqrt(label.sample_variance() / double(draws) + 0.25 / double(pool));
        CHECK(std::fabs(label.mean() - pi[k]) < 4.0 * error);
    }
}

TEST_CASE("contrast_labels: the same bits on every instruction set, for any batch and any number of threads") {
    const std::size_t n = 20000;
    std::vector<floats> y, v;
    for (std::size_t u = 0; u < 50; ++u) {
        y.push_back(random_integers<float>(u % 13 == 0 ? 0 : 3 + 2 * u, 6, u + 1));
        v.push_back(random_integers<float>(y.back().size(), 9, u + 70));
    }
    const with_events h(table(y, v));
    const ids users = random_integers<std::uint32_t>(n, 52), events = random_integers<std::uint32_t>(n, 90, 2);
    floats feedback = random_integers<float>(n, 6, 3), prediction = random_integers<float>(n, 9, 4);
    for (std::size_t i = 0; i < n; i += 97) feedback[i] = nan;
    for (std::size_t i = 5; i < n; i += 91) prediction[i] = nan;
    exec::pool pool(3);
    for (const tie_mode mode : all_modes) {
        for (const std::uint32_t contrasts : {0u, 5u}) {
            CAPTURE(static_cast<int>(mode));
            const contrast_options o{.ties = mode, .smoothing = 0.5, .contrasts = contrasts};
            const results r = labels(serial, h, users, feedback, o, events, prediction);
            CHECK(labels(exec::host{pool}, h, users, feedback, o, events, prediction) == r);
            const auto part = [](const auto& column) {
                return std::remove_cvref_t<decltype(column)>(column.begin() + 300, column.begin() + 311);
            };
            const results few = labels(serial, h, part(users), part(feedback), o, part(events), part(prediction));
            CHECK_ALL_NEAR(few.cbar, part(r.cbar), exact());
            if (mode == tie_mode::boot || mode == tie_mode::smooth) continue;
            CHECK(labels<isa::scalar>(serial, h, users, feedback, o, events, prediction) == r);
        }
    }
}

TEST_CASE("contrast_labels: unknown predictions, infinite values, thin histories") {
    const table t({{1, 1, inf, -inf}, {0, 0}, {inf}, {}}, {{nan, 2, 0, 0}, {inf, -inf}, {0}, {}});
    const ids users{0, 0, 1, 2, 2, 3};
    const floats y{1, 1, 0, inf, 3, 0}, v{0, nan, inf, 0, 0, 0};
    for (const tie_mode mode : {tie_mode::boot, tie_mode::lex}) {
        const floats c = labels(serial, t.histories(), users, y, {.ties = mode}, none{}, v).cbar;
        // Half for the tie with an unknown prediction, about 0 for the better one, 1 for -inf, 0 for inf.
        const double lost = mode == tie_mode::lex ? 0.0 : 1.0 / (1.0 + std::exp(4.0));
        CHECK_NEAR(c[0], (0.5 + lost + 1.0) / 4.0, probability<float>());
        CHECK(c[1] == 0.5f);
        CHECK(c[2] == 0.75f);  // inf ties with inf, inf beats -inf
        CHECK(c[3] == 0.5f);
        CHECK(c[4] == 0.0f);
        CHECK(c[5] == 0.5f);
    }
    const floats smooth =
        labels(serial, t.histories(), users, y, {.ties = tie_mode::smooth, .smoothing = 1.0}, none{}, v).cbar;
    for (const float c : smooth) CHECK((c >= 0.0f && c <= 1.0f));
    for (const value_weight kind : all_weights) {
        for (const double clip : {10.0, static_cast<double>(inf)}) {
            const results r = labels(serial, t.histories(), users, y, {.weight = kind, .clip = clip});
            for (std::size_t i = 0; i < users.size(); ++i) {
                CHECK((r.wins[i] >= 0.0f && r.losses[i] >= 0.0f));
                CHECK(std::isfinite(r.wins[i] + r.losses[i]));
                if (clip < 11.0) CHECK(r.wins[i] + r.losses[i] <= 10.0f);
            }
            if (kind != value_weight::none) CHECK(r.wins[5] + r.losses[5] == 0.0f);
        }
    }
    // Many weights at their end do not add up to infinity, and neither does the loss.
    const table long_row({floats(300, 0.0f)});
    for (const value_weight kind : {value_weight::gap, value_weight::loggap, value_weight::winner}) {
        for (const float huge : {3e38f, inf}) {
            const results r = labels(serial, long_row.histories(), ids{0}, floats{huge}, {.weight = kind});
            CHECK(std::isfinite(r.wins[0] + r.losses[0]));
            CHECK(std::isfinite(weighted_pair_bce(serial, floats{-1.0f}, r.wins, r.losses).sum()));
        }
    }
    // All ties under gap: no weight at all, the label still 1/2.
    const results ties =
        labels(serial, table({{4, 4, 4}}).histories(), ids{0}, floats{4}, {.weight = value_weight::gap});
    CHECK(ties.cbar[0] == 0.5f);
    CHECK(ties.wins[0] + ties.losses[0] == 0.0f);
    // The only slot is the anchor's own.
    const results own =
        labels(serial, with_events(table(std::vector<floats>(1, floats{4}))), ids{0}, floats{4}, {}, ids{0});
    CHECK(own.cbar[0] == 0.5f);
    CHECK(own.neff[0] == 0);
    CHECK(own.filled[0] == 1);
}

TEST_CASE("contrast_labels: bad arguments") {
    const table plain({{1, 2}}), full({{1, 2}}, {{1, 2}});
    const ids two{0, 0};
    const floats y{1, 2}, three{1, 2, 3};
    floats out(2), few(1);
    const auto call = [&](const table& t, const floats& feedback, floats& to, const contrast_options& o) {
        contrast_labels(serial, t.histories(), two, feedback, {.cbar = view(to)}, o);
    };
    CHECK_THROWS_WITH_AS(call(plain, three, out, {}), "contrast_labels: 2 users but 3 values of feedback",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(call(plain, y, few, {}), "contrast_labels: 2 users but room for 1 results",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(call(plain, y, out, {.ties = tie_mode::boot}),
                         "contrast_labels: the histories hold no predictions", std::invalid_argument);
    CHECK_THROWS_WITH_AS(call(full, y, out, {.ties = tie_mode::lex}),
                         "contrast_labels: the anchors have no predictions", std::invalid_argument);
    CHECK_THROWS_AS(call(full, y, out, {.ties = tie_mode::smooth, .smoothing = 1.0}), std::invalid_argument);
    CHECK_THROWS_AS(call(plain, y, out, {.temperature = 0.0}), std::invalid_argument);
    CHECK_THROWS_AS(call(plain, y, out, {.smoothing = static_cast<double>(inf)}), std::invalid_argument);
    CHECK_THROWS_AS(call(plain, y, out, {.clip = 0.0}), std::invalid_argument);
    CHECK_THROWS_AS(contrast_labels(serial, plain.histories(), two, y, {}, {}, ids{1}), std::invalid_argument);
    CHECK(contrast_labels(serial, plain.histories(), ids{}, floats{}, {}) == counts{});
    CHECK(contrast_labels(serial, plain.histories(), two, y, {}) == counts{2, 0});
}

}  // namespace
