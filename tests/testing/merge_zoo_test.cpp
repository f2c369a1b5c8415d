// Broken folds, and the check that must catch each.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "reckon/core/batch.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/exec/pool.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"

namespace ts = reckon::testing_support;
using namespace reckon::testing;
using batch = reckon::scored<double, std::uint8_t, double>;

namespace {

// A weighted mean of the scores that counts and skips; weights are quarters and scores eighths, so sums are exact.
struct sound_mean {
    double sum = 0.0, weight = 0.0;
    reckon::counts seen;

    void absorb(const batch& b) {
        for (std::size_t i = 0; i < b.size(); ++i) {
            const double p = b.score(i), y = b.label(i), w = b.weight(i);
            const bool ok = p >= 0.0 && p <= 1.0 && y <= 1.0 && w >= 0.0 && std::isfinite(w);
            seen.absorb(ok);
            if (!ok) continue;
            sum += w * p;
            weight += w;
        }
    }
    void merge(const sound_mean& other) {
        sum += other.sum;
        weight += other.weight;
        seen.merge(other.seen);
    }
    std::uint64_t rejected() const { return seen.rejected; }
};

struct drops_weight : sound_mean {
    void merge(const drops_weight& other) {
        sum += other.sum;
        seen.merge(other.seen);
    }
};
struct averages_means : sound_mean {
    void merge(const averages_means& other) {
        sum = 0.5 * (sum + other.sum);
        weight = 0.5 * (weight + other.weight);
    }
};
struct keeps_last : sound_mean {
    double last = -1.0;
    void absorb(const batch& b) {
        sound_mean::absorb(b);
        if (b.size() > 0) last = b.score(b.size() - 1);
    }
    void merge(const keeps_last& other) {
        sound_mean::merge(other);
        if (other.last >= 0.0) last = other.last;
    }
};
struct bad_identity : sound_mean {
    bad_identity() { weight = 1.0; }
};
struct counts_calls : sound_mean {
    int calls = 0;
    void absorb(const batch& b) {
        sound_mean::absorb(b);
        ++calls;
    }
    void merge(const counts_calls& other) {
        sound_mean::merge(other);
        calls += other.calls;
    }
};

struct loses_small_parts : sound_mean {
    void merge(const loses_small_parts& other) {
        if (other.weight > 1.0 || weight == 0.0) sound_mean::merge(other);
    }
};

// Plain double sums: equal within a bound, different bits in another order.
struct plain_sum {
    double sum = 0.0;
    void absorb(const batch& b) {
        for (std::size_t i = 0; i < b.size(); ++i) sum += std::exp(b.score(i));
    }
    void merge(const plain_sum& other) { sum += other.sum; }
};

const ts::scored_columns<double>& columns() {
    static const auto data = [] {
        auto d = ts::random_scored(200, {.seed = 3});
        for (double& s : d.scores) s = std::round(s * 8.0) / 8.0;
        return d;
    }();
    return data;
}
batch good() {
    return reckon::make_scored("test", columns().scores, columns().labels, columns().weights);
}
const auto same = [](const sound_mean& a, const sound_mean& b) { return a.sum == b.sum && a.weight == b.weight; };

// Runs its bodies in order, and the last index twice now and then: a pool that is not one.
struct repeats_an_index {
    template <class Body>
    void parallel_for(std::size_t n, Body&& body) {
        for (std::size_t i = 0; i < n; ++i) body(i);
        if (n > 1) body(n - 1);
    }
};

}  // namespace

TEST_CASE("check_merge: a sound state passes and its cases are counted") {
    const std::size_t before = cases_run();
    const report r = check_merge(sound_mean{}, good(), same);
    CHECK(r.ok);
    CHECK(r.message.empty());
    CHECK(r.cases == 4 + 3 * 24);
    CHECK(cases_run() == before + r.cases);
}

TEST_CASE("check_merge: sound states pass on empty and single-row batches") {
    CHECK_LAW(check_merge(sound_mean{}, good().slice(0, 1), same));
    CHECK_LAW(check_merge(sound_mean{}, batch{}, same));
}

TEST_CASE("check_merge: catches broken merges") {
    CHECK_FALSE(check_merge(drops_weight{}, good(), same).ok);
    CHECK_FALSE(check_merge(averages_means{}, good(), same).ok);
    CHECK_FALSE(check_merge(loses_small_parts{}, good(), same).ok);
}

TEST_CASE("check_merge: catches an identity that is none") {
    const report r = check_merge(bad_identity{}, good(), same);
    CHECK_FALSE(r.ok);
    CHECK(r.message == "check_merge: merging into the identity changes the state");
}

TEST_CASE("check_merge: catches a state that depends on how its rows were cut") {
    const auto same_calls = [](const counts_calls& a, const counts_calls& b) { return a.calls == b.calls; };
    CHECK_FALSE(check_merge(counts_calls{}, good(), same_calls).ok);
}

TEST_CASE("check_merge: catches dependence on order, unless the state keeps an order") {
    const auto same_last = [](const keeps_last& a, const keeps_last& b) { return a.last == b.last; };
    CHECK_FALSE(check_merge(keeps_last{}, good(), same_last).ok);
    CHECK_LAW(check_merge(keeps_last{}, good(), same_last, {.any_order = false}));
}

TEST_CASE("check_fold_policy: the pool gives the same bits, a broken pool does not") {
    const auto equal = [](const plain_sum& a, const plain_sum& b) { return a.sum == b.sum; };
    for (unsigned threads = 1; threads <= 4; ++threads) {
        reckon::exec::pool pool(threads);
        CHECK_LAW(check_fold_policy(plain_sum{}, good(), reckon::exec::host{pool}, equal));
    }
    repeats_an_index broken;
    CHECK_FALSE(check_fold_policy(plain_sum{}, good(), reckon::exec::host{broken}, equal).ok);
}

TEST_CASE("check_map_policy: the pool writes the same bits, a kernel that looks at the policy does not") {
    reckon::exec::pool pool(3);
    const reckon::exec::host where{pool};
    const auto square = [](const auto& policy, reckon::vector_view<float> out) {
        reckon::exec::map_parts(
            policy, out.size(),
            [&](std::size_t first, std::size_t count) {
                for (std::size_t i = first; i < first + count; ++i) out[i] = static_cast<float>(i) * 0.1f;
            },
            16);
    };
    CHECK_LAW(check_map_policy<float>(1000, where, square));
    const auto forgets_the_last = [&](const auto& policy, reckon::vector_view<float> out) {
        constexpr bool parallel = !std::is_same_v<std::remove_cvref_t<decltype(policy)>, reckon::exec::serial_policy>;
        square(policy, out.slice(0, out.size() - (parallel ? 1 : 0)));
    };
    CHECK_FALSE(check_map_policy<float>(1000, where, forgets_the_last).ok);
}

namespace {

struct takes_nan : sound_mean {
    void absorb(const batch& b) {
        for (std::size_t i = 0; i < b.size(); ++i) {
            seen.absorb(true);
            sum += b.weight(i) * b.score(i);
            weight += b.weight(i);
        }
    }
};
struct skips_silently : sound_mean {
    std::uint64_t rejected() const { return 0; }
};
struct drops_the_rest : sound_mean {
    void absorb(const batch& b) {
        for (std::size_t i = 0; i < b.size(); ++i) {
            if (std::isnan(b.score(i))) {
                seen.absorb(false);
                return;
            }
            sound_mean::absorb(b.slice(i, 1));
        }
    }
};
struct accepts_negative_weights : sound_mean {
    void absorb(const batch& b) {
        for (std::size_t i = 0; i < b.size(); ++i) {
            if (b.weight(i) < 0.0) {
                seen.absorb(true);
                weight += b.weight(i);
            } else {
                sound_mean::absorb(b.slice(i, 1));
            }
        }
    }
};

}  // namespace

TEST_CASE("check_bad_values_counted: a sound estimator passes") {
    const report r = check_bad_values_counted(sound_mean{}, good(), same);
    CHECK(r.ok);
    CHECK(r.message.empty());
    CHECK(r.cases > 50);
    CHECK_LAW(check_bad_values_counted(sound_mean{}, batch{}, same));
}

TEST_CASE("check_bad_values_counted: catches estimators that take, hide or stop at bad values") {
    CHECK_FALSE(check_bad_values_counted(takes_nan{}, good(), same).ok);
    CHECK_FALSE(check_bad_values_counted(skips_silently{}, good(), same).ok);
    CHECK_FALSE(check_bad_values_counted(drops_the_rest{}, good(), same).ok);
    CHECK_FALSE(check_bad_values_counted(accepts_negative_weights{}, good(), same).ok);
}
