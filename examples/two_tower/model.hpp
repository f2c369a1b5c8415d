// Two towers, trained by an in-batch softmax, and the factorisation that they are compared with. Steps are written by
// hand.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "../support/random.hpp"
#include "log.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/losses/bpr.hpp"
#include "reckon/losses/contrastive_columns.hpp"
#include "reckon/losses/sampled_softmax.hpp"

namespace reckon_examples {

using host = reckon::exec::host<reckon::exec::pool>;

/// Dot product in eight sums, which the compiler turns into lanes.
template <class T>
T dot(std::span<const T> a, std::span<const T> b) {
    constexpr std::size_t lanes = 8;
    T sums[lanes] = {}, rest = 0;
    std::size_t k = 0;
    for (; k + lanes <= a.size(); k += lanes) {
        for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] += a[k + lane] * b[k + lane];
    }
    for (; k < a.size(); ++k) rest += a[k] * b[k];
    for (const T sum : sums) rest += sum;
    return rest;
}

/// Rows of parameters that AdaGrad moves (Duchi, Hazan and Singer 2011): a step touches only rows that got a slope.
template <class T>
class adagrad_table {
  public:
    adagrad_table(std::size_t rows, std::size_t width)
        : width_(width), weights_(rows * width), slopes_(weights_), squares_(weights_), touched_(rows, 0) {}

    std::span<T> row(std::size_t r) { return std::span(weights_).subspan(r * width_, width_); }
    std::span<const T> row(std::size_t r) const { return std::span(weights_).subspan(r * width_, width_); }
    /// To add to.
    std::span<T> slope(std::size_t r) {
        if (touched_[r] == 0) rows_.push_back(r);
        touched_[r] = 1;
        return std::span(slopes_).subspan(r * width_, width_);
    }
    /// All rows, and all slopes of rows that slope() was asked for.
    reckon::matrix_view<const T> rows() const { return reckon::view(weights_, touched_.size(), width_); }
    reckon::matrix_view<T> slopes() { return reckon::view(slopes_, touched_.size(), width_); }
    void draw(double deviation, const counter_random& random) {
        for (std::size_t k = 0; k < weights_.size(); ++k) weights_[k] = static_cast<T>(deviation * random.normal(k));
    }
    void step(double rate) {
        for (const std::size_t r : rows_) {
            touched_[r] = 0;
            for (std::size_t k = r * width_; k < (r + 1) * width_; ++k) {
                squares_[k] += slopes_[k] * slopes_[k];
                weights_[k] -= static_cast<T>(rate) * slopes_[k] / (std::sqrt(squares_[k]) + T(1e-10));
                slopes_[k] = 0;
            }
        }
        rows_.clear();
    }
    std::size_t width() const { return width_; }
    const std::vector<T>& weights() const { return weights_; }

  private:
    std::size_t width_;
    std::vector<T> weights_, slopes_, squares_;
    std::vector<std::uint8_t> touched_;
    std::vector<std::size_t> rows_;
};

/// One tower: the unit vector of W e for an id with the table row e.
template <class T>
class tower {
  public:
    tower(std::size_t rows, std::size_t width, const counter_random& random)
        : table(rows, width), projection(width, width) {
        table.draw(0.1, random);
        for (std::size_t k = 0; k < width; ++k) projection.row(k)[k] = 1;
    }
    /// x = z / |z|, z = W e; a row for each id.
    void forward(std::span<const std::uint32_t> ids, reckon::matrix_view<T> out) {
        ids_.assign(ids.begin(), ids.end());
        lengths_.resize(ids.size());
        for (std::size_t b = 0; b < ids.size(); ++b) {
            const std::span<const T> e = std::as_const(table).row(ids[b]);
            T squares = 0;
            for (std::size_t k = 0; k < table.width(); ++k) {
                out(b, k) = dot(std::as_const(projection).row(k), e);
                squares += out(b, k) * out(b, k);
            }
            lengths_[b] = std::sqrt(squares) + T(1e-20);
            for (std::size_t k = 0; k < table.width(); ++k) out(b, k) /= lengths_[b];
        }
    }
    /// Adds to the slopes of table and projection what d loss / d x of the last forward() brings.
    void backward(reckon::matrix_view<const T> x, reckon::matrix_view<const T> slopes) {
        for (std::size_t b = 0; b < ids_.size(); ++b) {
            const std::span<const T> e = std::as_const(table).row(ids_[b]);
            const std::span<T> to_e = table.slope(ids_[b]);
            const std::span<const T> at(&x(b, 0), e.size()), slope(&slopes(b, 0), e.size());
            const T along = dot(at, slope);
            for (std::size_t k = 0; k < e.size(); ++k) {
                const T to_z = (slope[k] - along * at[k]) / lengths_[b];
                const std::span<const T> w = std::as_const(projection).row(k);
                for (std::size_t d = 0; d < e.size(); ++d) to_e[d] += to_z * w[d];
                const std::span<T> to_w = projection.slope(k);
                for (std::size_t d = 0; d < e.size(); ++d) to_w[d] += to_z * e[d];
            }
        }
    }
    void step(double rate) {
        table.step(rate);
        projection.step(rate);
    }

    adagrad_table<T> table, projection;

  private:
    std::vector<std::uint32_t> ids_;
    std::vector<T> lengths_;
};

struct tower_options {
    std::size_t width = 32, batch = 512, epochs = 15;
    double temperature = 0.5, rate = 0.1;
    bool log_q = false;  // takes log q of an item, its share of the likes, off its logits
    std::uint64_t seed = 1;
};

/// Both towers and their loss: each user of a batch should find the item that was liked, among all items of the batch.
template <class T>
class two_towers {
  public:
    two_towers(const retrieval_task& task, const tower_options& options)
        : users(task.users(), options.width, counter_random(options.seed, 51)),
          items(task.items(), options.width, counter_random(options.seed, 52)),
          options_(options),
          log_q_(task.items(), 0) {
        for (const std::uint32_t item : task.like_items) log_q_[item] += 1;
        for (double& n : log_q_) n = std::log(n / static_cast<double>(task.likes()));
    }

    /// Mean loss of a batch in nats; adds its slopes to both towers. Other likes of a user's own item are no negatives.
    double absorb(const host& where, std::span<const std::uint32_t> user_ids, std::span<const std::uint32_t> item_ids) {
        const std::size_t n = user_ids.size(), width = options_.width;
        for (auto* const rows : {&queries_, &keys_, &to_queries_, &to_keys_}) rows->assign(n * width, T(0));
        const auto vectors = [&](std::vector<T>& rows) { return reckon::view(rows, n, width); };
        users.forward(user_ids, vectors(queries_));
        items.forward(item_ids, vectors(keys_));
        labels_.assign(item_ids.begin(), item_ids.end());
        taken_off_.assign(n, T(0));
        for (std::size_t b = 0; b < n && options_.log_q; ++b) taken_off_[b] = static_cast<T>(log_q_[item_ids[b]]);
        lse_.resize(n);
        const reckon::mean_value loss = reckon::sampled_softmax(
            where, vectors(queries_), vectors(keys_), taken_off_, lse_, {.temperature = options_.temperature},
            {.queries = vectors(to_queries_), .keys = vectors(to_keys_), .scale = 1 / static_cast<double>(n)},
            {.key_labels = reckon::input(labels_)});
        users.backward(vectors(queries_), vectors(to_queries_));
        items.backward(vectors(keys_), vectors(to_keys_));
        return loss.finish();
    }
    void step() {
        users.step(options_.rate);
        items.step(options_.rate);
    }

    tower<T> users, items;

  private:
    tower_options options_;
    std::vector<double> log_q_;
    std::vector<T> queries_, keys_, to_queries_, to_keys_, taken_off_, lse_;
    std::vector<std::uint64_t> labels_;
};

/// What retrieval needs of a model: score = user row . item row.
struct retriever {
    std::size_t width = 0;
    std::vector<float> users, items;  // [U, width], [I, width]
    std::vector<double> losses = {};  // of every training step
};

/// Training likes in a new random order every epoch, batch by batch; likes that fill no batch wait for the next epoch.
template <class Step, class EpochDone>
void for_each_batch(const retrieval_task& task, std::size_t size, std::size_t epochs, std::uint64_t seed,
                    const Step& step, const EpochDone& epoch_done) {
    const counter_random draw(seed, 53);
    std::vector<std::size_t> order(task.likes());
    std::iota(order.begin(), order.end(), std::size_t{0});
    size = (std::min)(size, order.size());
    std::vector<std::uint32_t> users(size), items(size);
    std::uint64_t at = 0;
    for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
        for (std::size_t k = order.size(); k > 1; --k) std::swap(order[k - 1], order[draw.below(at++, k)]);
        for (std::size_t first = 0; first + size <= order.size(); first += size) {
            for (std::size_t b = 0; b < size; ++b) {
                users[b] = task.like_users[order[first + b]];
                items[b] = task.like_items[order[first + b]];
            }
            step(std::span<const std::uint32_t>(users), std::span<const std::uint32_t>(items));
        }
        epoch_done();
    }
}

template <class EpochDone>
retriever train_towers(const host& where, const retrieval_task& task, const tower_options& options,
                       const EpochDone& epoch_done) {
    two_towers<float> model(task, options);
    retriever out{options.width, {}, {}};
    for_each_batch(
        task, options.batch, options.epochs, options.seed,
        [&](std::span<const std::uint32_t> users, std::span<const std::uint32_t> items) {
            out.losses.push_back(model.absorb(where, users, items));
            model.step();
        },
        epoch_done);
    const auto vectors = [&](tower<float>& of, std::size_t rows, double scale) {
        std::vector<std::uint32_t> ids(rows);
        std::iota(ids.begin(), ids.end(), 0U);
        std::vector<float> all(rows * options.width);
        of.forward(ids, reckon::view(all, rows, options.width));
        for (float& x : all) x = static_cast<float>(scale * static_cast<double>(x));
        return all;
    };
    out.users = vectors(model.users, task.users(), 1 / options.temperature);
    out.items = vectors(model.items, task.items(), 1);
    return out;
}

struct bpr_options {
    std::size_t width = 32, batch = 512, epochs = 40;
    double rate = 0.1, shrink = 0.02;  // shrink: of a triple's parameters, squared
    bool by_popularity = false;        // draws the other item by its likes, not evenly
    std::uint64_t seed = 1;
};

/// Matrix factorisation by BPR (Rendle et al. 2009): log(1 + exp(s(u, j) - s(u, i))) for a like (u, i) and an item j
/// that u has not seen, s = p_u . q_i + bias_i.
template <class EpochDone>
retriever train_bpr(const retrieval_task& task, const bpr_options& options, const EpochDone& epoch_done) {
    const std::size_t width = options.width;
    adagrad_table<float> users(task.users(), width), items(task.items(), width), biases(task.items(), 1);
    users.draw(0.1, counter_random(options.seed, 54));
    items.draw(0.1, counter_random(options.seed, 55));
    const counter_random draw(options.seed, 56);
    std::uint64_t at = 0;
    const auto other_item = [&](std::uint32_t user) {
        std::uint32_t item = 0;
        for (int attempt = 0; attempt < 20; ++attempt) {
            item = options.by_popularity ? task.like_items[draw.below(at++, task.likes())]
                                         : static_cast<std::uint32_t>(draw.below(at++, task.items()));
            if (!task.seen.contains(user, item)) break;
        }
        return item;
    };
    retriever out{width + 1, {}, {}};
    std::vector<std::uint32_t> others(options.batch);
    const auto shrink = [&](adagrad_table<float>& table, std::span<const std::uint32_t> ids) {
        for (const std::uint32_t id : ids) {
            const std::span<const float> row = std::as_const(table).row(id);
            const std::span<float> slope = table.slope(id);
            for (std::size_t k = 0; k < row.size(); ++k) slope[k] += static_cast<float>(2 * options.shrink) * row[k];
        }
    };
    for_each_batch(
        task, options.batch, options.epochs, options.seed,
        [&](std::span<const std::uint32_t> user_ids, std::span<const std::uint32_t> item_ids) {
            others.resize(user_ids.size());
            for (std::size_t b = 0; b < others.size(); ++b) others[b] = other_item(user_ids[b]);
            shrink(users, user_ids);
            for (auto* const table : {&items, &biases}) {
                shrink(*table, item_ids);
                shrink(*table, others);
            }
            // A batch is too small for threads.
            const auto loss = reckon::bpr_triples(
                reckon::exec::serial, users.rows(), items.rows(), reckon::vector_view(user_ids.data(), user_ids.size()),
                reckon::vector_view(item_ids.data(), item_ids.size()), others,
                {.users = users.slopes(),
                 .items = items.slopes(),
                 .item_bias = reckon::vector_view(biases.slopes().data(), task.items())},
                biases.weights());
            users.step(options.rate);
            items.step(options.rate);
            biases.step(options.rate);
            out.losses.push_back(loss.finish());
        },
        epoch_done);
    // The bias is one more column, which every user has as 1.
    const auto append = [&](std::vector<float>& to, const adagrad_table<float>& table, const auto& last) {
        for (std::size_t r = 0; r < table.rows().rows(); ++r) {
            const std::span<const float> row = table.row(r);
            to.insert(to.end(), row.begin(), row.end());
            to.push_back(last(r));
        }
    };
    append(out.users, users, [](std::size_t) { return 1.0F; });
    append(out.items, items, [&](std::size_t r) { return biases.weights()[r]; });
    return out;
}

/// The same order for everybody: by the number of training likes.
inline retriever by_popularity(const retrieval_task& task) {
    retriever out{1, std::vector<float>(task.users(), 1.0F), std::vector<float>(task.items(), 0.0F)};
    for (const std::uint32_t item : task.like_items) out.items[item] += 1;
    return out;
}

/// log of the number of training likes of each item, of which one counts half after `half_life` days.
inline std::vector<float> log_recent_popularity(const retrieval_task& task, double half_life) {
    std::vector<double> sums(task.items(), 1e-3);  // stays finite long after the last like
    for (std::size_t k = 0; k < task.likes(); ++k) {
        sums[task.like_items[k]] += std::exp2(-task.like_ages[k] / half_life);
    }
    std::vector<float> out(sums.size());
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(std::log(sums[i]));
    return out;
}

}  // namespace reckon_examples
