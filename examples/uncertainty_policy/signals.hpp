// Estimates of uncertainty: a critic of the recommender's error, the posterior variance, an ensemble, and chance.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reckon/exec/policies.hpp"
#include "reckon/uncertainty/critic_loss.hpp"
#include "reckon/uncertainty/delayed_error.hpp"
#include "reckon/uncertainty/group_threshold.hpp"
#include "reckon/uncertainty/head_variance.hpp"
#include "reckon/uncertainty/last_layer_laplace.hpp"
#include "world.hpp"

namespace reckon_examples {

using reckon::exec::serial;

/// What the critic knows of a pair: activity, popularity, acquaintance, the score and the sizes of the embeddings.
class pair_features {
  public:
    static constexpr std::size_t plain = 6;
    static constexpr std::size_t columns = 1 + plain + plain * (plain + 1) / 2;  // constant, plain, products

    pair_features(const world& truth, const recommender& model, const day_log& log)
        : truth_(&truth),
          model_(&model),
          log_(&log),
          acquaintance_(truth.options().users * truth.options().categories, 0.0) {
        for (std::size_t e = 0; e < log.size(); ++e) ++acquaintance_[cell(log.users[e], log.items[e])];
    }

    std::array<double, columns> operator()(std::size_t u, std::size_t i) const {
        const auto size = [](reckon::vector_view<const double> v) {
            double sum = 0;
            for (const double x : v) sum += x * x;
            return std::sqrt(sum);
        };
        const double n = static_cast<double>(log_->first[u + 1] - log_->first[u]);
        const std::array<double, plain> x{
            std::log1p(n) - 3, std::log1p(model_->seen(i)) - 4, std::log1p(acquaintance_[cell(u, i)]) - 1,
            (*model_)(u, i),   size(model_->user(u)) - 1,       size(model_->item(i)) - 1};
        std::array<double, columns> out;
        std::size_t at = 0;
        out[at++] = 1.0;
        for (const double v : x) out[at++] = v;
        for (std::size_t a = 0; a < plain; ++a) {
            for (std::size_t b = 0; b <= a; ++b) out[at++] = x[a] * x[b];
        }
        return out;
    }

  private:
    std::size_t cell(std::size_t u, std::size_t i) const {
        return u * truth_->options().categories + static_cast<std::size_t>(truth_->category(i));
    }
    const world* truth_;
    const recommender* model_;
    const day_log* log_;
    std::vector<double> acquaintance_;
};

/// Regresses the squared errors of the next day: expected error = exp(w . features), by Fisher scoring on the QLIKE
/// loss, whose curvature does not depend on w.
class critic {
  public:
    critic(const pair_features& features, const recommender& model, const day_log& next) : weights_(columns, 0.0) {
        using namespace reckon;
        std::vector<double> x, predictions;
        for (std::size_t e = 0; e < next.size(); ++e) {
            const auto row = features(next.users[e], next.items[e]);
            x.insert(x.end(), row.begin(), row.end());
            predictions.push_back(model(next.users[e], next.items[e]));
        }
        std::vector<double> errors(next.size());
        delayed_error(serial, predictions, next.outcomes, errors);
        const critic_loss_options loss{.floor = critic_floor(serial, errors)};
        const last_layer_laplace curvature(sum_linear(serial, view(x, next.size(), columns)), 1.0);
        const auto& inverse = curvature.inverse();
        std::vector<double> outputs(next.size());
        for (int step = 0; step < 20; ++step) {
            for (std::size_t e = 0; e < next.size(); ++e) outputs[e] = output(x.data() + e * columns);
            std::vector<double> slopes(next.size(), 0.0), gradient(columns, 0.0);
            critic_loss(serial, outputs, errors, none{}, loss, slopes);
            for (std::size_t e = 0; e < next.size(); ++e) {
                for (std::size_t k = 0; k < columns; ++k) gradient[k] += slopes[e] * x[e * columns + k];
            }
            // The first step may be far too long where an error is many times the mean.
            const double length = step < 3 ? 0.5 : 1.0;
            for (std::size_t j = 0; j < columns; ++j) {
                double move = 0;
                for (std::size_t k = 0; k < columns; ++k) move += inverse[j * columns + k] * gradient[k];
                weights_[j] -= length * move;
            }
        }
    }
    double operator()(const std::array<double, pair_features::columns>& row) const {
        return std::exp(output(row.data()));
    }

  private:
    static constexpr std::size_t columns = pair_features::columns;
    double output(const double* row) const {
        double sum = 0;
        for (std::size_t k = 0; k < columns; ++k) sum += weights_[k] * row[k];
        return sum;
    }
    std::vector<double> weights_;
};

/// A signal as ranks within the activity groups.
struct signal {
    const char* name;
    std::vector<double> ranks;
};

inline std::vector<double> ranks_of(const std::vector<double>& values, const candidate_set& set) {
    std::vector<double> ranks(values.size());
    reckon::group_rank(serial, values, set.groups, 2, ranks);
    return ranks;
}

struct signal_sources {
    const world& truth;
    const day_log& log;
    const recommender& model;
    const pair_features& features;
    const critic& errors;
    const std::vector<recommender>& heads;
};

/// random, ensemble, EPE, Bayes, joint: all in this order.
inline std::vector<signal> all_signals(const signal_sources& from, const candidate_set& set, std::uint64_t stream) {
    const std::size_t n = set.size();
    const counter_random draw(from.truth.options().seed, stream);
    std::vector<double> chance(n), epe(n), bayes(n), heads(from.heads.size() * n), spread(n);
    std::size_t user = static_cast<std::size_t>(-1);
    reckon::last_layer_laplace posterior{reckon::linear_sums(recommender::factors)};
    for (std::size_t k = 0; k < n; ++k) {
        const std::size_t u = set.users[k], i = set.items[k];
        if (u != user) posterior = from.model.user_posterior(from.log, u);
        user = u;
        chance[k] = draw.uniform(k);
        epe[k] = from.errors(from.features(u, i));
        bayes[k] = posterior.variance(from.model.item(i)) + 1 / (from.model.seen(i) + from.model.ridge());
        for (std::size_t t = 0; t < from.heads.size(); ++t) heads[t * n + k] = from.heads[t](u, i);
    }
    reckon::head_variance(serial, reckon::view(heads, from.heads.size(), n), spread);
    std::vector<signal> out{{"random", ranks_of(chance, set)},
                            {"ensemble", ranks_of(spread, set)},
                            {"EPE", ranks_of(epe, set)},
                            {"Bayes", ranks_of(bayes, set)}};
    std::vector<double> joint(n);
    reckon::combine_signals(serial, out[2].ranks, out[3].ranks, joint);
    out.push_back({"joint", std::move(joint)});
    return out;
}

}  // namespace reckon_examples
