// Body of contrast_labels(): integer counts for strict and mid, sums over lanes of slots for the other modes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/percentile/contrast_options.hpp"
#include "reckon/percentile/detail/row_count.simd.hpp"
#include "reckon/percentile/history.hpp"

namespace reckon::detail {

template <class H, class User, class Event>
struct contrast_rows {
    const H* histories;
    vector_view<const User> users;
    vector_view<const float> feedback, predictions;
    vector_view<const Event> events;
    contrast_outputs out;
    std::uint64_t number;  // of the first row

    std::size_t size() const noexcept { return users.size(); }
    contrast_rows slice(std::size_t first, std::size_t count) const noexcept {
        return {histories,
                users.slice(first, count),
                feedback.slice(first, count),
                predictions.slice(first, count),
                events.slice(first, count),
                {out.cbar.slice(first, count), out.neff.slice(first, count), out.wins.slice(first, count),
                 out.losses.slice(first, count), out.filled.slice(first, count)},
                number + first};
    }
    std::uint64_t user(std::size_t i) const noexcept { return static_cast<std::uint64_t>(users[i]); }
    std::uint64_t event(std::size_t i) const noexcept { return static_cast<std::uint64_t>(events[i]); }
};

template <class H, class U, class Y, class E, class P>
auto make_contrast_rows(const char* kernel, const H& histories, const U& users, const Y& feedback,
                        const contrast_outputs& out, std::uint64_t number, const E& events, const P& predictions) {
    const auto id = input(users);
    const auto y = input(feedback);
    const auto event = [&] {
        if constexpr (std::is_same_v<E, none>) {
            return input<std::uint64_t>(none{});
        } else {
            return input(events);
        }
    }();
    const auto v = input(predictions);
    using User = typename decltype(id)::value_type;
    using Event = typename decltype(event)::value_type;
    static_assert(std::is_integral_v<User> && std::is_integral_v<Event>, "reckon: users and events must be integers");
    static_assert(std::is_same_v<typename decltype(y)::value_type, float> &&
                      std::is_same_v<typename decltype(v)::value_type, float>,
                  "reckon: feedback and predictions of contrast_labels must be float");
    const std::size_t n = id.size();
    expects(y.size() == n, kernel, n, " users but ", y.size(), " values of feedback");
    expects(event.empty() || event.size() == n, kernel, n, " users but ", event.size(), " events");
    expects(v.empty() || v.size() == n, kernel, n, " users but ", v.size(), " predictions");
    for (const std::size_t room :
         {out.cbar.size(), out.neff.size(), out.wins.size(), out.losses.size(), out.filled.size()}) {
        expects(room == 0 || room == n, kernel, n, " users but room for ", room, " results");
    }
    return contrast_rows<H, User, Event>{&histories, id, y, v, event, out, number};
}

/// What an anchor is compared with: `count` slots; from there to `readable` values are NaN.
struct contrast_pool {
    const float* values = nullptr;
    const float* predictions = nullptr;
    std::size_t count = 0;
    std::size_t readable = 0;
};

/// Slots of a history without `own`, `take` of them drawn unless it is 0; copied into `spare`.
template <class Isa>
contrast_pool draw_pool(const history_row& row, std::uint32_t own, std::uint32_t take, std::uint64_t random,
                        std::vector<float>& spare) {
    const std::uint64_t usable = row.count - (own == no_history ? 0u : 1u);
    const bool all = take == 0 || take >= usable;
    const std::size_t n = all ? static_cast<std::size_t>(usable) : take;
    std::uint64_t at = 0, stride = 1;
    if (!all) {
        // From a random start with a random stride that is coprime to the number of slots.
        at = ((random >> 32) * usable) >> 32;
        stride = 1 + (((random & 0xffffffffu) * (usable - 1)) >> 32);
        const auto coprime = [&] {
            std::uint64_t a = usable, b = stride;
            while (b != 0) {
                const std::uint64_t rest = a % b;
                a = b;
                b = rest;
            }
            return a == 1;
        };
        while (!coprime()) stride = stride % (usable - 1) + 1;
    }
    constexpr std::size_t lanes = simd::pack<float, Isa>::lanes;
    const std::size_t padded = (n + lanes - 1) / lanes * lanes;
    if (spare.size() < 2 * padded) spare.resize(2 * padded);
    float *const values = spare.data(), *const predictions = values + padded;
    for (std::size_t k = 0; k < n; ++k) {
        const auto slot = static_cast<std::size_t>(at < own ? at : at + 1);
        values[k] = row.values[slot];
        if (row.predictions != nullptr) predictions[k] = row.predictions[slot];
        at += stride;
        if (at >= usable) at -= usable;
    }
    std::fill(values + n, values + padded, std::numeric_limits<float>::quiet_NaN());
    std::fill(predictions + n, predictions + padded, 0.0f);
    return {values, row.predictions != nullptr ? predictions : nullptr, n, padded};
}

/// Mean of |y| over the filled slots that are finite, 1 where that is 0.
inline float history_scale(const history_row& row) noexcept {
    double sum = 0.0, n = 0.0;
    for (std::uint32_t k = 0; k < row.count; ++k) {
        const double size = std::fabs(static_cast<double>(row.values[k]));
        if (!std::isfinite(size)) continue;
        sum += size;
        n += 1.0;
    }
    const auto mean = static_cast<float>(n > 0.0 ? sum / n : 0.0);
    return mean > 0.0f ? mean : 1.0f;
}

template <class V>
struct contrast_numbers {
    V rate;       // 1 / temperature
    V smoothing;  // of differences of predictions
    V clip;
    V scale;  // of the user
};

// Label of the anchor (y, v) against slots (other, other_v); NaN slots score something that is not used.
template <tie_mode Mode, class V>
RECKON_INLINE V contrast_label(V y, V v, V other, V other_v, const contrast_numbers<V>& c) noexcept {
    using T = simd::lane_t<V>;
    using simd::any;
    using simd::mul_add;
    using simd::select;
    const V zero(T(0)), half(T(0.5)), one(T(1));
    const auto known = [&](V x) { return select(x == x, x, zero); };
    if constexpr (Mode == tie_mode::smooth) {
        const V gap = mul_add(c.smoothing, known(v - other_v), known(y - other));
        return math::sigmoid(known(gap) * c.rate);
    } else {
        const V won = select(other < y, one, zero);
        if constexpr (Mode == tie_mode::strict) return won;
        const auto tie = other == y;
        if constexpr (Mode == tie_mode::mid) return select(tie, half, won);
        if (!any(tie)) return won;
        if constexpr (Mode == tie_mode::lex) {
            return select(tie, select(other_v < v, one, select(v < other_v, zero, half)), won);
        } else {
            return select(tie, math::sigmoid(known(v - other_v) * c.rate), won);
        }
    }
}

// ln(1 + |y| / s) with the sign of y.
template <class V>
RECKON_INLINE V contrast_log(V y, V scale) noexcept {
    using simd::absolute;
    using simd::select;
    const V zero(simd::lane_t<V>(0)), size = math::log1p(absolute(y) / scale);
    return select(y < zero, zero - size, size);
}

// Weight of the same comparison, finite; y_log is contrast_log(y).
template <class V>
RECKON_INLINE V contrast_weight(value_weight kind, V y, V y_log, V other, const contrast_numbers<V>& c) noexcept {
    using simd::absolute;
    using simd::maximum;
    using simd::minimum;
    using simd::select;
    const V zero(simd::lane_t<V>(0));
    if (kind == value_weight::winner) {
        return minimum(c.clip, maximum(zero, maximum(y, other) / c.scale));
    }
    const V gap = kind == value_weight::gap ? absolute(y - other) : absolute(y_log - contrast_log(other, c.scale));
    // Equal infinities, and values that overflow alike, have no gap.
    return minimum(c.clip, select(gap == gap, gap, zero));
}

struct contrast_sums {
    double label = 0.0, wins = 0.0, losses = 0.0;
};

template <tie_mode Mode, class Isa>
contrast_sums contrast_pairs(const contrast_pool& pool, float anchor, float prediction, value_weight kind,
                             const contrast_numbers<simd::pack<float, Isa>>& c) noexcept {
    using pack = simd::pack<float, Isa>;
    constexpr std::size_t block = 256;
    const pack y(anchor), v(prediction), zero(0.0f), one(1.0f);
    const pack y_log = kind == value_weight::loggap ? contrast_log(y, c.scale) : zero;
    contrast_sums total;
    for (std::size_t first = 0; first < pool.count; first += block) {
        const std::size_t end = (std::min)(first + block, pool.count);
        pack labels = zero, wins = zero, losses = zero;
        for (std::size_t i = first; i < end; i += pack::lanes) {
            const bool whole = i + pack::lanes <= pool.readable;
            const pack other =
                whole ? pack::load(pool.values + i)
                      : pack::load_padded(pool.values + i, pool.count - i, std::numeric_limits<float>::quiet_NaN());
            pack other_v = zero;
            if (pool.predictions != nullptr) {
                other_v = whole ? pack::load(pool.predictions + i)
                                : pack::load_padded(pool.predictions + i, pool.count - i, 0.0f);
            }
            const pack label = contrast_label<Mode>(y, v, other, other_v, c);
            const auto there = other == other;
            labels += select(there, label, zero);
            if (kind == value_weight::none) continue;
            const pack weight = select(there, contrast_weight(kind, y, y_log, other, c), zero);
            wins += weight * label;
            losses += weight * (one - label);
        }
        total.label += static_cast<double>(reduce_add(labels));
        total.wins += static_cast<double>(reduce_add(wins));
        total.losses += static_cast<double>(reduce_add(losses));
    }
    if (kind == value_weight::none) {
        total.wins = total.label;
        total.losses = static_cast<double>(pool.count) - total.label;
    }
    return total;
}

/// The fold: writes its rows' labels and counts them.
template <class Isa>
struct contrast_fold {
    contrast_options options;
    bool with_predictions = false;
    counts seen;

    template <class Rows>
    void absorb(const Rows& rows) {
        const bool plain = options.weight == value_weight::none;
        switch (options.ties) {
            case tie_mode::strict:
                return plain ? count<row_side::below>(rows) : sum<tie_mode::strict>(rows);
            case tie_mode::mid:
                return plain ? count<row_side::both>(rows) : sum<tie_mode::mid>(rows);
            case tie_mode::boot:
                return sum<tie_mode::boot>(rows);
            case tie_mode::lex:
                return sum<tie_mode::lex>(rows);
            default:
                return sum<tie_mode::smooth>(rows);
        }
    }
    void merge(const contrast_fold& other) noexcept { seen.merge(other.seen); }

  private:
    static constexpr std::size_t block = 512;

    // Calls body(i, end, history, its row) for each run i .. end - 1 of one user in a block of rows, in order; an empty
    // history and no_history where there is none. Histories further on are asked for meanwhile.
    template <class Rows, class Body>
    RECKON_INLINE void for_each_run(const Rows& rows, std::size_t first, std::size_t n, Body&& body) const {
        const auto& histories = *rows.histories;
        std::uint32_t at[block];
        for (std::size_t i = 0; i < n; ++i) at[i] = histories.find(rows.user(first + i));
        const auto end_of = [&](std::size_t i) {
            const std::uint32_t r = at[i];
            while (++i < n && at[i] == r) {
            }
            return i;
        };
        std::size_t asked = 0, waiting = 0;  // runs before `asked` that are still to come
        for (std::size_t i = 0, end = 0; i < n; i = end, --waiting) {
            end = end_of(i);
            const history_row row = at[i] == no_history ? history_row{} : histories.row(at[i]);
            for (const std::size_t ahead = rows_ahead(row.capacity) + 1; asked < n && waiting < ahead; ++waiting) {
                if (at[asked] != no_history) {
                    const history_row next = histories.row(at[asked]);
                    prefetch_row(next.values, next.capacity);
                    if (with_predictions) prefetch_row(next.predictions, next.capacity);
                }
                asked = end_of(asked);
            }
            body(i, end, row, at[i]);
        }
    }

    template <class Rows>
    std::uint32_t own_slot(const Rows& rows, std::size_t i, std::uint32_t row) const {
        return rows.events.empty() ? no_history : rows.histories->slot_of(row, rows.user(i), rows.event(i));
    }
    template <class Rows>
    contrast_pool pool_of(const Rows& rows, std::size_t i, const history_row& row, std::uint32_t r,
                          std::vector<float>& spare) const {
        const std::uint32_t own = own_slot(rows, i, r);
        const bool draws = options.contrasts != 0 && options.contrasts < row.count;
        if (own == no_history && !draws) return {row.values, row.predictions, row.count, row.capacity};
        std::uint64_t random = 0;
        if (draws) {
            random = rows.events.empty() ? random_stream(options.seed).bits(rows.number + i)
                                         : random_stream(options.seed, rows.user(i)).bits(rows.event(i));
        }
        return draw_pool<Isa>(row, own, options.contrasts, random, spare);
    }

    template <row_side Side, class Rows>
    void count(const Rows& rows) {
        constexpr std::int32_t halves = Side == row_side::both ? 2 : 1;
        constexpr float nan = std::numeric_limits<float>::quiet_NaN();
        std::uint32_t won[block], pairs[block], filled[block];
        std::vector<float> spare;
        for (std::size_t first = 0; first < rows.size(); first += block) {
            const std::size_t n = (std::min)(block, rows.size() - first);
            const float* const y = rows.feedback.data() + first;
            for_each_run(rows, first, n, [&](std::size_t i, std::size_t end, const history_row& row, std::uint32_t r) {
                const std::uint32_t held = row.count;
                const bool draws = options.contrasts != 0 && options.contrasts < held;
                for (std::size_t k = i; k < end; ++k) filled[k] = pairs[k] = held;
                if (held == 0) {
                    std::fill(won + i, won + end, 0u);
                    return;
                }
                if (!draws && end == i + 1) {
                    won[i] = count_row<Side, Isa>(row.values, held, row.capacity, y[i]);
                } else if (!draws) {
                    count_row<Side, Isa>(row.values, held, row.capacity, y + i, end - i, won + i);
                }
                if (!draws && rows.events.empty()) return;
                for (; i < end; ++i) {
                    if (draws) {
                        const contrast_pool pool = pool_of(rows, first + i, row, r, spare);
                        won[i] = count_row<Side, Isa>(pool.values, pool.count, pool.readable, y[i]);
                        pairs[i] = static_cast<std::uint32_t>(pool.count);
                        continue;
                    }
                    const std::uint32_t own = own_slot(rows, first + i, r);
                    if (own == no_history) continue;
                    won[i] -= count_row<Side, isa::scalar>(row.values + own, 1, 1, y[i]);
                    pairs[i] = held - 1;
                }
            });
            // Counts below 2^24 are exact as floats, so that there is one rounding. A loop of divisions without conditions
            // becomes vector code.
            float label[block];
            std::uint32_t known = 0;
            for (std::size_t i = 0; i < n; ++i) {
                const std::int32_t total = static_cast<std::int32_t>(pairs[i]) * halves;
                const std::int32_t above = total > 0 ? static_cast<std::int32_t>(won[i]) : 1;
                label[i] = static_cast<float>(above) / static_cast<float>(total > 0 ? total : 2);
            }
            for (std::size_t i = 0; i < n; ++i) label[i] = y[i] == y[i] ? label[i] : nan;
            for (std::size_t i = 0; i < n; ++i) known += y[i] == y[i] ? 1u : 0u;
            seen.merge(counts{known, n - known});
            if (!rows.out.cbar.empty()) std::copy(label, label + n, rows.out.cbar.data() + first);
            if (!rows.out.filled.empty()) std::copy(filled, filled + n, rows.out.filled.data() + first);
            if (!rows.out.neff.empty()) {
                std::uint32_t* const to = rows.out.neff.data() + first;
                for (std::size_t i = 0; i < n; ++i) to[i] = y[i] == y[i] ? pairs[i] : 0;
            }
            if (!rows.out.wins.empty()) {
                float* const to = rows.out.wins.data() + first;
                for (std::size_t i = 0; i < n; ++i) to[i] = pairs[i] > 0 ? label[i] : 0.0f * label[i];
            }
            if (!rows.out.losses.empty()) {
                float* const to = rows.out.losses.data() + first;
                for (std::size_t i = 0; i < n; ++i) {
                    const std::int32_t total = static_cast<std::int32_t>(pairs[i]) * halves;
                    const float share =
                        static_cast<float>(total - static_cast<std::int32_t>(won[i])) / static_cast<float>(total);
                    to[i] = y[i] == y[i] ? (total > 0 ? share : 0.0f) : nan;
                }
            }
        }
    }

    template <tie_mode Mode, class Rows>
    void sum(const Rows& rows) {
        using pack = simd::pack<float, Isa>;
        constexpr double largest = 0x1p100;  // sums of a block, and of their products in the loss, stay finite
        constexpr float nan = std::numeric_limits<float>::quiet_NaN();
        const auto rate = static_cast<float>((std::min)(1.0 / options.temperature, largest));
        contrast_numbers<pack> numbers{pack(rate), pack(static_cast<float>(options.smoothing)),
                                       pack(static_cast<float>((std::min)(options.clip, largest))), pack(1.0f)};
        const bool weighs = options.weight != value_weight::none;
        std::vector<float> spare;
        const contrast_outputs& out = rows.out;
        for (std::size_t first = 0; first < rows.size(); first += block) {
            const std::size_t n = (std::min)(block, rows.size() - first);
            for_each_run(rows, first, n, [&](std::size_t i, std::size_t end, const history_row& row, std::uint32_t r) {
                if (weighs) numbers.scale = pack(history_scale(row));
                for (; i < end; ++i) {
                    const std::size_t at = first + i;
                    const float y = rows.feedback[at];
                    const bool known = y == y;
                    contrast_pool pool;
                    if (row.count > 0) pool = pool_of(rows, at, row, r, spare);
                    if (!with_predictions) pool.predictions = nullptr;
                    const float v = with_predictions ? rows.predictions[at] : 0.0f;
                    const auto sums = contrast_pairs<Mode, Isa>(pool, y, v, options.weight, numbers);
                    const auto pairs = static_cast<double>(pool.count);
                    const auto mean = [&](double s, float otherwise) {
                        return known ? (pairs > 0.0 ? static_cast<float>(s / pairs) : otherwise) : nan;
                    };
                    seen.absorb(known);
                    if (!out.cbar.empty()) out.cbar[at] = mean(sums.label, 0.5f);
                    if (!out.neff.empty()) out.neff[at] = known ? static_cast<std::uint32_t>(pool.count) : 0;
                    if (!out.wins.empty()) out.wins[at] = mean(sums.wins, 0.0f);
                    if (!out.losses.empty()) out.losses[at] = mean(sums.losses, 0.0f);
                    if (!out.filled.empty()) out.filled[at] = row.count;
                }
            });
        }
    }
};

}  // namespace reckon::detail
