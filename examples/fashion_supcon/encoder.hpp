// A small encoder into the unit sphere, trained with the supervised contrastive loss; every step by hand.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "../support/progress.hpp"
#include "../support/random.hpp"
#include "images.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/eigen.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/losses/supervised_contrastive.hpp"

namespace reckon_examples {

template <class T>
using row_matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Rows divided by their length.
template <class T>
row_matrix<T> unit_rows(const row_matrix<T>& y) {
    return y.rowwise().normalized();
}
/// The gradient by y from that by z = unit_rows(y): what is along z changes nothing, the rest shrinks with the length.
template <class T>
row_matrix<T> unit_rows_backward(const row_matrix<T>& y, const row_matrix<T>& z, const row_matrix<T>& slope) {
    row_matrix<T> out = slope;
    for (Eigen::Index i = 0; i < y.rows(); ++i) {
        const T length = (std::max)(y.row(i).norm(), T(1e-12));
        out.row(i) = (slope.row(i) - slope.row(i).dot(z.row(i)) * z.row(i)) / length;
    }
    return out;
}

/// Weights that Adam moves (Kingma and Ba 2015).
struct adam_matrix {
    row_matrix<float> value, slope, first, second;

    adam_matrix(Eigen::Index rows, Eigen::Index cols, double deviation, std::uint64_t seed, std::uint64_t stream)
        : value(rows, cols), slope(rows, cols), first(rows, cols), second(rows, cols) {
        const counter_random random(seed, stream);
        for (Eigen::Index k = 0; k < value.size(); ++k)
            value.data()[k] = static_cast<float>(deviation * random.normal(static_cast<std::uint64_t>(k)));
        first.setZero();
        second.setZero();
    }
    void step(double rate, int count) {
        first = 0.9f * first + 0.1f * slope;
        second = 0.999f * second + 0.001f * slope.cwiseProduct(slope);
        const float size =
            static_cast<float>(rate * std::sqrt(1 - std::pow(0.999, count)) / (1 - std::pow(0.9, count)));
        value.array() -= size * first.array() / (second.array().sqrt() + 1e-8f);
    }
};

struct encoder_options {
    Eigen::Index hidden = 256, width = 64;
    std::size_t batch = 512, epochs = 6;
    double rate = 1e-3, temperature = 0.1;
    reckon::supcon_form form = reckon::supcon_form::out;
    std::uint64_t seed = 1;
};

/// z = y / |y|,  y = relu(x w1 + b1) w2
class encoder {
  public:
    encoder(Eigen::Index inputs, const encoder_options& options)
        : options_(options),
          w1_(inputs, options.hidden, std::sqrt(2.0 / static_cast<double>(inputs)), options.seed, 11),
          b1_(1, options.hidden, 0.0, options.seed, 12),
          w2_(options.hidden, options.width, std::sqrt(1.0 / static_cast<double>(options.hidden)), options.seed, 13) {}

    row_matrix<float> embed(const row_matrix<float>& x) const { return unit_rows<float>(raw(x, nullptr)); }

    /// Trains for the epochs of the options. Returns the mean loss of each.
    template <class Policy>
    std::vector<double> train(const Policy& where, const row_matrix<float>& x, const std::vector<std::uint32_t>& labels,
                              const char* name) {
        const std::size_t n = labels.size(), batch = (std::min)(options_.batch, n), steps = n / batch;
        std::vector<std::size_t> order(n);
        std::vector<double> losses;
        progress bar(name, options_.epochs * steps);
        int count = 0;
        for (std::size_t epoch = 0; epoch < options_.epochs; ++epoch) {
            for (std::size_t i = 0; i < n; ++i) order[i] = i;
            const counter_random random(options_.seed, 100 + epoch);
            for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.below(i, i)]);
            reckon::mean_value loss;
            for (std::size_t s = 0; s < steps; ++s) {
                row_matrix<float> rows(static_cast<Eigen::Index>(batch), x.cols());
                std::vector<std::uint32_t> classes(batch);
                for (std::size_t k = 0; k < batch; ++k) {
                    rows.row(static_cast<Eigen::Index>(k)) = x.row(static_cast<Eigen::Index>(order[s * batch + k]));
                    classes[k] = labels[order[s * batch + k]];
                }
                loss.merge(step(where, rows, classes, ++count));
                bar.update(epoch * steps + s + 1);
            }
            losses.push_back(loss.finish());
        }
        return losses;
    }

  private:
    row_matrix<float> raw(const row_matrix<float>& x, row_matrix<float>* hidden) const {
        row_matrix<float> h = x * w1_.value;
        h.rowwise() += b1_.value.row(0);
        h = h.cwiseMax(0.0f);
        row_matrix<float> y = h * w2_.value;
        if (hidden) hidden->swap(h);
        return y;
    }
    template <class Policy>
    reckon::mean_value step(const Policy& where, const row_matrix<float>& x, const std::vector<std::uint32_t>& labels,
                            int count) {
        row_matrix<float> h;
        const row_matrix<float> y = raw(x, &h), z = unit_rows<float>(y);
        row_matrix<float> slope = row_matrix<float>::Zero(z.rows(), z.cols());
        std::vector<float> row_lse(labels.size());
        // Value and gradient of the mean in one call; the matrix of logits does not exist.
        const reckon::mean_value loss =
            reckon::supervised_contrastive(where, z, labels, row_lse, {options_.temperature, options_.form},
                                           {.rows = reckon::view(slope), .scale = 1.0 / static_cast<double>(x.rows())});
        const row_matrix<float> dy = unit_rows_backward<float>(y, z, slope);
        w2_.slope.noalias() = h.transpose() * dy;
        row_matrix<float> dh = dy * w2_.value.transpose();
        dh = (h.array() > 0.0f).select(dh, 0.0f);
        w1_.slope.noalias() = x.transpose() * dh;
        b1_.slope = dh.colwise().sum();
        for (adam_matrix* weights : {&w1_, &b1_, &w2_}) weights->step(options_.rate, count);
        return loss;
    }

    encoder_options options_;
    adam_matrix w1_, b1_, w2_;
};

/// Share of the test rows whose class most of the `nearest` training rows have; the nearest row decides between equal
/// counts.
inline double neighbour_accuracy(const row_matrix<float>& train, const std::vector<std::uint32_t>& labels,
                                 const row_matrix<float>& test, const std::vector<std::uint32_t>& truth,
                                 std::size_t nearest) {
    constexpr Eigen::Index block = 200;
    const Eigen::RowVectorXf squares = train.rowwise().squaredNorm().transpose();
    std::size_t right = 0;
    std::vector<std::pair<float, std::size_t>> order(labels.size());
    nearest = (std::min)(nearest, labels.size());
    for (Eigen::Index first = 0; first < test.rows(); first += block) {
        const Eigen::Index count = (std::min)(block, test.rows() - first);
        row_matrix<float> distance = -2.0f * test.middleRows(first, count) * train.transpose();
        distance.rowwise() += squares;
        for (Eigen::Index i = 0; i < count; ++i) {
            for (std::size_t j = 0; j < order.size(); ++j) order[j] = {distance(i, static_cast<Eigen::Index>(j)), j};
            std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(nearest), order.end());
            std::vector<std::size_t> votes;
            std::uint32_t best = 0;
            for (std::size_t k = 0; k < nearest; ++k) {
                const std::uint32_t label = labels[order[k].second];
                votes.resize((std::max)(votes.size(), static_cast<std::size_t>(label) + 1));
                ++votes[label];
            }
            std::size_t most = 0;
            for (std::size_t k = nearest; k-- > 0;) {
                const std::uint32_t label = labels[order[k].second];
                if (votes[label] < most) continue;
                most = votes[label];
                best = label;
            }
            right += best == truth[static_cast<std::size_t>(first + i)] ? 1u : 0u;
        }
    }
    return static_cast<double>(right) / static_cast<double>(truth.size());
}

}  // namespace reckon_examples
