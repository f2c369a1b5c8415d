// A simulated platform with known truth: users of low and high activity, items in categories, logs of two days, and a
// recommender that is trained on the first.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../support/random.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/uncertainty/last_layer_laplace.hpp"

namespace reckon_examples {

struct world_options {
    std::uint64_t seed = 1;
    std::size_t users = 600;  // the first half is low-active
    std::size_t items = 400, categories = 20;
    bool narrow = false;  // setting B: high-active users saw mostly their four favourite categories
    double noise = 0.6;
};

/// Truth and exposure.
class world {
  public:
    static constexpr std::size_t factors = 6;

    explicit world(const world_options& options) : options_(options) {
        const counter_random draw(options.seed, 1);
        std::uint64_t at = 0;
        const auto normal = [&](double deviation) { return deviation * draw.normal(at++); };
        std::vector<double> centres(options.categories * factors);
        for (double& x : centres) x = normal(0.8);
        taste_.resize(options.users * factors);
        for (double& x : taste_) x = normal(0.55);
        category_.resize(options.items);
        offer_.resize(options.items * factors);
        level_.resize(options.items);
        for (std::size_t i = 0; i < options.items; ++i) {
            category_[i] = static_cast<std::int32_t>(draw.below(at++, options.categories));
            for (std::size_t k = 0; k < factors; ++k) {
                offer_[i * factors + k] = centres[static_cast<std::size_t>(category_[i]) * factors + k] + normal(0.5);
            }
            level_[i] = normal(0.7);
        }
        double sum = 0;
        for (std::size_t i = 0; i < options.items; ++i) {
            sum += std::pow(static_cast<double>(i + 1), -0.9);
            popularity_.push_back(sum);
        }
        for (double& p : popularity_) p /= sum;
        events_.resize(options.users);
        for (std::size_t u = 0; u < options.users; ++u) {
            events_[u] = low_active(u) ? 3 + draw.below(at++, 6) : 80 + draw.below(at++, 171);
        }
        favourites_.resize(options.users);
        for (std::size_t u = 0; u < options.users; ++u) favourites_[u] = favourites_of(u);
    }

    const world_options& options() const { return options_; }
    bool low_active(std::size_t user) const { return user < options_.users / 2; }
    std::int32_t category(std::size_t item) const { return category_[item]; }
    const std::vector<std::int32_t>& categories() const { return category_; }
    std::size_t events(std::size_t user) const { return events_[user]; }

    /// f*: the conditional mean of what the user thinks of the item.
    double truth(std::size_t user, std::size_t item) const {
        double sum = level_[item];
        for (std::size_t k = 0; k < factors; ++k) sum += taste_[user * factors + k] * offer_[item * factors + k];
        return sum;
    }
    /// An item that the platform showed to the user before, by popularity. `u` are uniforms.
    std::size_t exposed(std::size_t user, const counter_random& draw, std::uint64_t& at) const {
        const bool inside = options_.narrow && !low_active(user) && draw.uniform(at++) < 0.9;
        for (;;) {
            const auto item = static_cast<std::size_t>(
                std::lower_bound(popularity_.begin(), popularity_.end() - 1, draw.uniform(at++)) - popularity_.begin());
            if (!inside || favourites_[user][static_cast<std::size_t>(category_[item])]) return item;
        }
    }

  private:
    // The four categories whose items are worth most to the user on average.
    std::vector<bool> favourites_of(std::size_t user) const {
        const std::size_t n = options_.categories;
        std::vector<double> worth(n, 0), count(n, 0);
        for (std::size_t i = 0; i < options_.items; ++i) {
            worth[static_cast<std::size_t>(category_[i])] += truth(user, i);
            count[static_cast<std::size_t>(category_[i])] += 1;
        }
        std::vector<std::size_t> order;
        for (std::size_t c = 0; c < n; ++c) {
            if (count[c] > 0) order.push_back(c);
        }
        std::sort(order.begin(), order.end(),
                  [&](std::size_t a, std::size_t b) { return worth[a] / count[a] > worth[b] / count[b]; });
        std::vector<bool> inside(n, false);
        for (std::size_t k = 0; k < (std::min)(order.size(), std::size_t{4}); ++k) inside[order[k]] = true;
        return inside;
    }

    world_options options_;
    std::vector<double> taste_, offer_, level_, popularity_;
    std::vector<std::int32_t> category_;
    std::vector<std::size_t> events_;
    std::vector<std::vector<bool>> favourites_;
};

/// What happened on one day, user after user.
struct day_log {
    std::vector<std::size_t> users, items;
    std::vector<double> outcomes;
    std::vector<std::size_t> first;  // of every user, and the end

    std::size_t size() const { return users.size(); }
};

inline day_log simulate_day(const world& truth, std::uint64_t day) {
    const counter_random draw(truth.options().seed, 100 + 2 * day), noise(truth.options().seed, 101 + 2 * day);
    day_log log;
    std::uint64_t at = 0;
    for (std::size_t u = 0; u < truth.options().users; ++u) {
        log.first.push_back(log.size());
        for (std::size_t k = 0; k < truth.events(u); ++k) {
            const std::size_t item = truth.exposed(u, draw, at);
            log.outcomes.push_back(truth.truth(u, item) + truth.options().noise * noise.normal(log.size()));
            log.users.push_back(u);
            log.items.push_back(item);
        }
    }
    log.first.push_back(log.size());
    return log;
}

/// Matrix factorisation by alternating least squares: f = mean + b_item + p_user . q_item, and ridge on all three.
class recommender {
  public:
    static constexpr std::size_t factors = world::factors;
    static constexpr std::size_t wide = factors + 1;  // an item's factors and its level

    recommender(const world& truth, const day_log& log, double ridge, std::uint64_t seed, int rounds = 12)
        : ridge_(ridge),
          users_(truth.options().users * factors),
          items_(truth.options().items * wide),
          seen_(truth.options().items, 0.0) {
        const counter_random draw(seed, 7);
        for (std::size_t i = 0; i < truth.options().items; ++i) {
            for (std::size_t k = 0; k < factors; ++k) items_[i * wide + k] = 0.3 * draw.normal(i * factors + k);
        }
        double sum = 0;
        for (const double y : log.outcomes) sum += y;
        mean_ = sum / static_cast<double>(log.size());
        std::vector<std::vector<std::size_t>> events(truth.options().items);
        for (std::size_t e = 0; e < log.size(); ++e) {
            events[log.items[e]].push_back(e);
            seen_[log.items[e]] += 1;
        }
        for (int round = 0; round < rounds; ++round) {
            fit_users(log);
            fit_items(log, events);
        }
        fit_users(log);
    }

    double ridge() const { return ridge_; }
    double seen(std::size_t item) const { return seen_[item]; }
    reckon::vector_view<const double> user(std::size_t u) const { return {users_.data() + u * factors, factors}; }
    reckon::vector_view<const double> item(std::size_t i) const { return {items_.data() + i * wide, factors}; }
    double operator()(std::size_t u, std::size_t i) const {
        double sum = mean_ + items_[i * wide + factors];
        for (std::size_t k = 0; k < factors; ++k) sum += users_[u * factors + k] * items_[i * wide + k];
        return sum;
    }
    /// Posterior of a user's factors given the items': A = sum q q' + ridge I.
    reckon::last_layer_laplace user_posterior(const day_log& log, std::size_t u) const {
        std::vector<double> q, y;
        for (std::size_t e = log.first[u]; e < log.first[u + 1]; ++e) {
            const auto row = item(log.items[e]);
            q.insert(q.end(), row.begin(), row.end());
            y.push_back(log.outcomes[e] - mean_ - items_[log.items[e] * wide + factors]);
        }
        return posterior(q, y, factors);
    }

  private:
    reckon::last_layer_laplace posterior(const std::vector<double>& x, const std::vector<double>& y,
                                         std::size_t columns) const {
        if (y.empty()) return reckon::last_layer_laplace(reckon::linear_sums(columns), ridge_);
        return reckon::last_layer_laplace(
            reckon::sum_linear(reckon::exec::serial, reckon::view(x, y.size(), columns), y), ridge_);
    }
    void fit_users(const day_log& log) {
        for (std::size_t u = 0; u + 1 < log.first.size(); ++u) {
            const auto w = user_posterior(log, u);
            std::copy(w.weights().begin(), w.weights().end(),
                      users_.begin() + static_cast<std::ptrdiff_t>(u * factors));
        }
    }
    void fit_items(const day_log& log, const std::vector<std::vector<std::size_t>>& events) {
        for (std::size_t i = 0; i < events.size(); ++i) {
            std::vector<double> p, y;
            for (const std::size_t e : events[i]) {
                const auto row = user(log.users[e]);
                p.insert(p.end(), row.begin(), row.end());
                p.push_back(1.0);
                y.push_back(log.outcomes[e] - mean_);
            }
            const auto w = posterior(p, y, wide);
            std::copy(w.weights().begin(), w.weights().end(), items_.begin() + static_cast<std::ptrdiff_t>(i * wide));
        }
    }

    double ridge_, mean_ = 0;
    std::vector<double> users_, items_, seen_;
};

/// Candidates of one request per user, drawn at random.
struct candidate_set {
    std::vector<std::size_t> users, items;
    std::vector<std::uint8_t> groups;    // 0 low-active, 1 high-active
    std::vector<std::uint32_t> offsets;  // of the requests
    std::vector<double> scores, truths;

    std::size_t size() const { return users.size(); }
};

inline candidate_set draw_candidates(const world& truth, const recommender& model, std::size_t per_user,
                                     std::uint64_t stream) {
    const counter_random draw(truth.options().seed, stream);
    candidate_set set;
    std::uint64_t at = 0;
    std::vector<std::size_t> pool(truth.options().items);
    for (std::size_t i = 0; i < pool.size(); ++i) pool[i] = i;
    for (std::size_t u = 0; u < truth.options().users; ++u) {
        set.offsets.push_back(static_cast<std::uint32_t>(set.size()));
        for (std::size_t k = 0; k < per_user; ++k) {
            std::swap(pool[k], pool[k + draw.below(at++, pool.size() - k)]);
            set.users.push_back(u);
            set.items.push_back(pool[k]);
            set.groups.push_back(truth.low_active(u) ? 0 : 1);
            set.scores.push_back(model(u, pool[k]));
            set.truths.push_back(truth.truth(u, pool[k]));
        }
    }
    set.offsets.push_back(static_cast<std::uint32_t>(set.size()));
    return set;
}

}  // namespace reckon_examples
