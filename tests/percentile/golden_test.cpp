// Bytes that earlier versions wrote of reservoirs and sketches.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/percentile/reservoir.hpp"
#include "support/golden.hpp"

namespace {

using namespace reckon;
using exec::serial;
using namespace testing_support;

const std::vector<std::uint64_t> users{9, 4, 9, 9, 4, 9, 1000000007, 9}, events{1, 1, 2, 3, 2, 4, 5, 6};
const std::vector<float> feedback{1.0f, 2.5f, 0.0f, 7.0f, -1.0f, 3.0f, 12.0f, NAN};
const std::vector<float> predictions{0.5f, 0.25f, 0.0f, 1.0f, 2.0f, 3.0f, 4.0f, 5.0f};
const std::vector<double> times{1, 2, 3, 4, 5, 6, 7, 8};

template <class S>
std::vector<double> answers(const reservoir<S>& r) {
    std::vector<double> said{static_cast<double>(r.options().capacity), r.sampling().parameter()};
    append(said, both(r.seen()));
    for (const std::uint64_t user : {std::uint64_t{4}, std::uint64_t{9}, std::uint64_t{1000000007}, std::uint64_t{5}}) {
        said.push_back(static_cast<double>(r.seen(user)));
        const std::uint32_t k = r.find(user);
        if (k == no_history) continue;
        const history_row row = r.row(k);
        double values = 0.0, guesses = 0.0;
        for (std::uint32_t s = 0; s < row.count; ++s) {
            values += row.values[s];
            guesses += row.predictions != nullptr ? row.predictions[s] : 0.0;
        }
        append(said, {static_cast<double>(row.count), values, guesses});
        for (const std::uint64_t event : events) said.push_back(r.slot_of(k, user, event) != no_history ? 1.0 : 0.0);
    }
    return said;
}

template <class S>
reservoir<S> offered(const S& sampling = {}) {
    reservoir<S> r({.capacity = 3, .seed = 7, .predictions = true}, sampling);
    if constexpr (S::is_timed) {
        r.offer(serial, users, feedback, events, predictions, times);
    } else {
        r.offer(serial, users, feedback, events, predictions);
    }
    return r;
}

template <class Visit>
void for_each_object(Visit&& visit) {
    visit("reservoir_bottom_k", offered<sampling::bottom_k>());
    visit("reservoir_bottom_k_wide", offered<sampling::bottom_k_wide>());
    visit("reservoir_decayed", offered<sampling::decayed>({2.0}));
    visit("reservoir_algorithm_r", offered<sampling::algorithm_r>());
}

TEST_CASE("golden: bytes of earlier versions are read") {
    for_each_object([](const char* name, const auto& made) {
        check_golden(name, made, [](const auto& object) { return answers(object); });
    });
}
TEST_CASE("golden: write the files of new types" * doctest::skip()) {
    for_each_object([](const char* name, const auto& made) { write_golden(name, made); });
}

}  // namespace
