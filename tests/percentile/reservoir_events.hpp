// Events of users for the tests of reservoirs, and what a sound reservoir is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "reckon/core/random.hpp"
#include "reckon/percentile/reservoir.hpp"

namespace reckon::testing_support {

using exec::serial;

inline constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();
inline constexpr float infinity = std::numeric_limits<float>::infinity();

struct events_of_users {
    std::vector<std::uint64_t> users, events;
    std::vector<float> feedback, predictions;
    std::vector<double> times;

    std::size_t size() const noexcept { return users.size(); }
    void add(std::uint64_t user, std::uint64_t event, float value, double time = 0.0) {
        users.push_back(user);
        events.push_back(event);
        feedback.push_back(value);
        predictions.push_back(0.25f * value);
        times.push_back(time);
    }
};

// Sparse user ids; an event has one value and one time, however often it comes.
inline events_of_users random_events(std::size_t n, std::size_t users, std::size_t events, std::uint64_t seed = 1) {
    const random_stream rng(seed);
    events_of_users made;
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t user = rng.below(2 * i, users) * 0x9876543210fedcbu, event = rng.below(2 * i + 1, events);
        made.add(user, event, static_cast<float>((user + 7 * event) % 1000),
                 1.7e9 + 3600.0 * static_cast<double>(event));
    }
    return made;
}

template <class S, class Policy>
void offer(reservoir<S>& into, const Policy& where, const events_of_users& in, std::size_t first, std::size_t count) {
    const auto part = [&](const auto& column) { return input(column).slice(first, count); };
    if (count == 0) return;
    if constexpr (S::is_timed) {
        if (into.has_predictions()) {
            into.offer(where, part(in.users), part(in.feedback), part(in.events), part(in.predictions), part(in.times));
        } else {
            into.offer(where, part(in.users), part(in.feedback), part(in.events), none{}, part(in.times));
        }
    } else if (into.has_predictions()) {
        into.offer(where, part(in.users), part(in.feedback), part(in.events), part(in.predictions));
    } else {
        into.offer(where, part(in.users), part(in.feedback), part(in.events));
    }
}
template <class S, class Policy = exec::serial_policy>
void offer(reservoir<S>& into, const events_of_users& in, const Policy& where = {}) {
    offer(into, where, in, 0, in.size());
}

// The kept values of every user, in order.
template <class H>
std::map<std::uint64_t, std::vector<float>> kept(const H& r) {
    std::map<std::uint64_t, std::vector<float>> rows;
    for (std::uint32_t k = 0; k < r.rows(); ++k) {
        const history_row row = r.row(k);
        auto& values = rows[r.user(k)];
        values.assign(row.values, row.values + row.count);
        std::sort(values.begin(), values.end());
    }
    return rows;
}

// Whether rows are what history_row promises and users are found.
template <class H>
bool sound(const H& r) {
    bool ok = true;
    for (std::uint32_t k = 0; k < r.rows(); ++k) {
        const history_row row = r.row(k);
        ok = ok && r.find(r.user(k)) == k && row.count <= r.options().capacity && row.count <= r.seen(r.user(k));
        ok = ok && (row.predictions != nullptr) == r.has_predictions() && row.capacity >= row.count;
        for (std::uint32_t s = 0; s < row.capacity; ++s) {
            ok = ok && (row.values[s] == row.values[s]) == (s < row.count);
            if (row.predictions != nullptr) ok = ok && (row.predictions[s] == row.predictions[s]) == (s < row.count);
        }
    }
    return ok;
}

template <class S>
S sampling_for_test() {
    if constexpr (S::is_timed) return {30.0 * 3600.0};
    return S{};
}

}  // namespace reckon::testing_support
