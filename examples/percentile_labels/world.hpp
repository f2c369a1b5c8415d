// A simulated platform with known truth: what a user thinks of an item does not depend on how much the user watches, but
// the logged feedback does, in scale and in curvature.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../support/random.hpp"

namespace reckon_examples {

/// Rows of a log: who, what, and the feedback.
struct view_log {
    std::vector<std::uint32_t> users, items;
    std::vector<float> feedback;
    std::vector<double> utility;  // true worth of the row; empty where nobody knows it

    std::size_t size() const { return users.size(); }
    void add(std::uint32_t user, std::uint32_t item, float y) {
        users.push_back(user);
        items.push_back(item);
        feedback.push_back(y);
    }
};

struct watch_options {
    std::uint64_t seed = 1;
    std::size_t users = 400, items = 300;
    double tail = 1.1;  // activity is Pareto with this exponent, cut to [least, most]
    double least = 25, most = 1500;
    double taste = 0.6;  // deviation of the entries of P and Q
    double level = 0.6;  // deviation of an item's level b
    double noise = 0.7;  // of one view, around the utility
    bool mild = false;   // curvature k = 0.5 exp(0.25 normal) whatever the activity, instead of growing with it
    double zeros = 0;    // share of views whose feedback is 0: those of the smallest t
    double held_out = 0.2;
};

/// Views of all users, 80 % to train and 20 % to test:
///
///   r = ln(n / 25) / ln 60                  activity of a user with n views, from 0 to 1
///   s = exp(-2.5 + 6.5 r + 0.5 normal)      scale
///   k = 0.5 + 2.5 r                         curvature
///   a = P_u . Q_i + b_i,  t = a + 0.7 normal,  y = s exp(k t)
///
/// t lies on a grid of 2^-12, so that y is a strictly increasing function of it as a float too, whatever s and k.
struct watch_world {
    std::size_t users = 0, items = 0;
    view_log train, test;
    std::vector<std::uint8_t> low_active;  // the half of the users with fewer views
};

inline watch_world simulate_views(const watch_options& options) {
    static constexpr std::size_t factors = 6;
    enum stream : std::uint64_t { tastes = 1, offers, levels, activity, scales, curves, shown, noises, parts };
    const auto of = [&](stream s) { return counter_random(options.seed, s); };
    const counter_random taste = of(tastes), offer = of(offers), level = of(levels), item_of = of(shown),
                         noise = of(noises), part = of(parts);

    watch_world world{.users = options.users, .items = options.items, .train = {}, .test = {}, .low_active = {}};
    std::vector<std::size_t> views(options.users);
    for (std::size_t u = 0; u < options.users; ++u) {
        const double n = options.least * std::pow(of(activity).uniform(u), -1 / options.tail);
        views[u] = static_cast<std::size_t>((std::min)(n, options.most));
    }
    std::vector<std::size_t> sorted = views;
    std::sort(sorted.begin(), sorted.end());
    for (const std::size_t n : views) world.low_active.push_back(n < sorted[options.users / 2] ? 1 : 0);

    std::vector<double> t;
    std::vector<std::uint32_t> items;
    std::vector<double> utility;
    for (std::size_t u = 0; u < options.users; ++u) {
        for (std::size_t k = 0; k < views[u]; ++k) {
            const std::size_t row = t.size(), i = item_of.below(row, options.items);
            double a = options.level * level.normal(i);
            for (std::size_t d = 0; d < factors; ++d) {
                a += options.taste * taste.normal(u * factors + d) * options.taste * offer.normal(i * factors + d);
            }
            items.push_back(static_cast<std::uint32_t>(i));
            utility.push_back(a);
            t.push_back(std::round(4096 * (a + options.noise * noise.normal(row))) / 4096);
        }
    }
    double bar = -HUGE_VAL;
    if (options.zeros > 0) {
        std::vector<double> order = t;
        const auto at = order.begin() + static_cast<std::ptrdiff_t>(options.zeros * static_cast<double>(order.size()));
        std::nth_element(order.begin(), at, order.end());
        bar = *at;
    }
    std::size_t row = 0;
    for (std::size_t u = 0; u < options.users; ++u) {
        const double r = std::log(static_cast<double>(views[u]) / options.least) / std::log(60.0);
        const double s = std::exp(-2.5 + 6.5 * r + 0.5 * of(scales).normal(u));
        const double k = options.mild ? 0.5 * std::exp(0.25 * of(curves).normal(u)) : 0.5 + 2.5 * r;
        for (std::size_t v = 0; v < views[u]; ++v, ++row) {
            const double y = t[row] < bar ? 0.0 : s * std::exp(k * t[row]);
            view_log& to = part.uniform(row) < options.held_out ? world.test : world.train;
            to.add(static_cast<std::uint32_t>(u), items[row], static_cast<float>(y));
            to.utility.push_back(utility[row]);
        }
    }
    return world;
}

}  // namespace reckon_examples
