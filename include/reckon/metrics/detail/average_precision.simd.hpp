// Sum of the precisions at the ranks of the relevant rows of one list.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "reckon/core/isa.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/metrics/detail/ranked_list.hpp"
#include "reckon/metrics/detail/ranked_rows.hpp"
#include "reckon/metrics/tie_rule.hpp"

namespace reckon::detail {

template <class T, class Y, class Isa>
class precision_sum {
  public:
    precision_sum(const relevance<Y>& relevant, tie_rule ties) : relevant_(relevant), ties_(ties) {}

    const relevance<Y>& relevant() const noexcept { return relevant_; }

    // Over the first `depth` <= n ranks; `total` rows are relevant.
    double operator()(const T* scores, const Y* labels, std::size_t n, std::size_t depth, std::size_t total) {
        double sum = 0.0;
        if (depth == n && total <= most_columns * pack::lanes && by_counting(scores, labels, n, sum)) return sum;
        return by_rank(scores, labels, n, depth);
    }

  private:
    using pack = simd::pack<T, Isa>;
    using counts = simd::lane_counts<T, Isa>;
    using bits = typename simd::float_format<T>::bits;
    // So many registers of relevant scores against each score take less time than a sort.
    static constexpr std::size_t most_columns = 24;

    // Rows of equal score: `above` better rows with `hits` relevant ones, then `rows` with `relevant`.
    struct level {
        std::size_t above, hits, rows, relevant;
    };

    // The level's share; ties by rows are not for here.
    double share(const level& l, std::size_t depth) const noexcept {
        const double above = static_cast<double>(l.above), hits = static_cast<double>(l.hits);
        double sum = 0.0;
        if (l.rows == l.relevant || ties_ != tie_rule::expected) {
            // Relevant rows side by side: on top of the level, or at its end.
            const std::size_t skipped = ties_ == tie_rule::pessimistic ? l.rows - l.relevant : 0;
            for (std::size_t j = 1; j <= l.relevant && l.above + skipped + j <= depth; ++j) {
                sum += (hits + static_cast<double>(j)) / (above + static_cast<double>(skipped + j));
            }
            return sum;
        }
        // rows >= 2 here, since relevant is neither 0 nor rows.
        const double slope = static_cast<double>(l.relevant - 1) / static_cast<double>(l.rows - 1);
        for (std::size_t j = 1; j <= l.rows && l.above + j <= depth; ++j) {
            sum += simd::mul_add(slope, static_cast<double>(j - 1), hits + 1.0) / (above + static_cast<double>(j));
        }
        return sum * static_cast<double>(l.relevant) / static_cast<double>(l.rows);
    }

    double by_rank(const T* scores, const Y* labels, std::size_t n, std::size_t depth) {
        rows_.rank(scores, n, depth);
        const bool by_row = ties_ == tie_rule::first || ties_ == tie_rule::trec;
        const std::size_t shown = (std::min)(depth, rows_.size());
        std::size_t hits = 0;
        double sum = 0.0;
        for (std::size_t p = 0; p < shown;) {
            const std::size_t end = rows_.level_end(p);
            if (end - p == 1 || by_row) {
                for (std::size_t q = p; q < end; ++q) {
                    const std::size_t place = ties_ == tie_rule::trec ? p + (end - 1 - q) : q;
                    if (!relevant_(labels[rows_.row(place)])) continue;
                    ++hits;
                    if (q < depth) sum += static_cast<double>(hits) / static_cast<double>(q + 1);
                }
            } else {
                std::size_t held = 0;
                for (std::size_t q = p; q < end; ++q) held += relevant_(labels[rows_.row(q)]) ? 1u : 0u;
                if (held > 0) sum += share({p, hits, end - p, held}, depth);
                hits += held;
            }
            p = end;
        }
        return sum;
    }

    // The whole list without a sort: each row is compared with the relevant ones, which stand in lanes. False when rows
    // decide ties and there are some.
    bool by_counting(const T* scores, const Y* labels, std::size_t n, double& sum) {
        // Relevant rows with a score; always written and kept by adding up.
        if (mine_.size() < n + pack::lanes) mine_.resize(n + pack::lanes);
        std::size_t held = 0;
        for (std::size_t i = 0; i < n; ++i) {
            mine_[held] = scores[i];
            held += relevant_(labels[i]) && scores[i] == scores[i] ? 1u : 0u;
        }
        for (std::size_t l = 0; l < pack::lanes; ++l) mine_[held + l] = T(0);  // lanes that nobody reads
        ties_found_.clear();
        bits above[pack::lanes], equal[pack::lanes], hits[pack::lanes], twins[pack::lanes];
        for (std::size_t first = 0; first < held; first += pack::lanes) {
            const pack mine = pack::load(mine_.data() + first);
            const auto compare = [&](const T* others, std::size_t count, bits* better, bits* same) {
                counts b, s;
                for (std::size_t j = 0; j < count; ++j) {
                    const pack other(others[j]);
                    b.add(other > mine);
                    s.add(other == mine);
                }
                b.store(better);
                s.store(same);
            };
            compare(scores, n, above, equal);
            compare(mine_.data(), held, hits, twins);
            for (std::size_t l = 0; l < pack::lanes && first + l < held; ++l) {
                if (equal[l] == 1) {
                    sum += static_cast<double>(hits[l] + 1) / static_cast<double>(above[l] + 1);
                } else {
                    ties_found_.push_back({static_cast<std::size_t>(above[l]), static_cast<std::size_t>(hits[l]),
                                           static_cast<std::size_t>(equal[l]), static_cast<std::size_t>(twins[l])});
                }
            }
        }
        if (ties_found_.empty()) return true;
        if (ties_ == tie_rule::first || ties_ == tie_rule::trec) {
            sum = 0.0;
            return false;
        }
        // A level stands there once for each of its relevant rows.
        std::sort(ties_found_.begin(), ties_found_.end(),
                  [](const level& a, const level& b) { return a.above < b.above; });
        for (std::size_t i = 0; i < ties_found_.size(); i += ties_found_[i].relevant) sum += share(ties_found_[i], n);
        return true;
    }

    relevance<Y> relevant_;
    tie_rule ties_;
    ranked_rows<T, Isa> rows_;
    std::vector<T> mine_;
    std::vector<level> ties_found_;
};

}  // namespace reckon::detail
