// A simulated platform with known truth: tastes, items that come and fade, and likes drawn from both.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "../support/random.hpp"
#include "log.hpp"

namespace reckon_examples {

struct like_world_options {
    std::uint64_t seed = 1;
    std::size_t users = 300, items = 500, likes = 15'000;
    double days = 14;
    double life = 3;          // days in which the exposure of an item falls to 1 / e
    double popularity = 0.8;  // deviation of an item's level
    double taste = 0.85;      // deviation of the entries of P and Q
};

/// Likes at even steps of time t, each of a random user; the item is drawn with probability ~ exp(odds(user, item, t)),
/// and nobody sees an item twice.
///
///   odds = P_u . Q_i + level_i - (t - birth_i) / life      from birth_i on; in six dimensions
class like_world {
  public:
    explicit like_world(const like_world_options& options) : options_(options) {
        const auto of = [&](stream s) { return counter_random(options.seed, s); };
        const auto fill = [](std::vector<double>& values, std::size_t n, double deviation, const counter_random& draw) {
            for (std::size_t k = 0; k < n; ++k) values.push_back(deviation * draw.normal(k));
        };
        fill(tastes_, options.users * factors, options.taste, of(tastes));
        fill(offers_, options.items * factors, options.taste, of(offers));
        fill(levels_, options.items, options.popularity, of(levels));
        // The first items are older than the log.
        for (std::size_t i = 0; i < options.items; ++i) {
            births_.push_back((options.days + options.life) * of(births).uniform(i) - options.life);
        }
        const counter_random who = of(viewers), what = of(choices);
        std::vector<std::uint8_t> seen(options.users * options.items, 0);
        std::vector<double> sums(options.items);
        log_.user_count = options.users;
        log_.item_count = options.items;
        for (std::size_t k = 0; k < options.likes; ++k) {
            const double day = options.days * static_cast<double>(k) / static_cast<double>(options.likes);
            const std::size_t user = who.below(k, options.users);
            double total = 0;
            for (std::size_t i = 0; i < options.items; ++i) {
                if (seen[user * options.items + i] == 0 && births_[i] <= day) total += std::exp(odds(user, i, day));
                sums[i] = total;
            }
            const double at = total * what.uniform(k);
            const auto item = static_cast<std::size_t>(std::upper_bound(sums.begin(), sums.end(), at) - sums.begin());
            if (item >= options.items) continue;  // the user has seen everything
            seen[user * options.items + item] = 1;
            log_.users.push_back(static_cast<std::uint32_t>(user));
            log_.items.push_back(static_cast<std::uint32_t>(item));
            log_.days.push_back(day);
            log_.liked.push_back(1);
        }
    }

    const like_log& log() const { return log_; }
    double odds(std::size_t user, std::size_t item, double day) const {
        double sum = levels_[item] - (day - births_[item]) / options_.life;
        for (std::size_t d = 0; d < factors; ++d) sum += tastes_[user * factors + d] * offers_[item * factors + d];
        return sum;
    }

  private:
    static constexpr std::size_t factors = 6;
    enum stream : std::uint64_t { tastes = 41, offers, levels, births, viewers, choices };

    like_world_options options_;
    std::vector<double> tastes_, offers_, levels_, births_;
    like_log log_;
};

}  // namespace reckon_examples
