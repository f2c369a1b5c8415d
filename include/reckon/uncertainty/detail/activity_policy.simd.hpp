// Body of apply_policy: one formula for every form, its constants looked up by group, in lanes; then what rows of one
// request decide together.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "reckon/core/monoids.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon::detail {

/// s' = U > threshold ? s * factor + constant + root * sqrt(E) + rank * U : s
struct policy_row {
    double threshold = std::numeric_limits<double>::infinity();
    double factor = 1.0;
    double constant = 0.0;
    double root = 0.0;
    double rank = 0.0;
    double lowers = 0.0;  ///< 1: by a threshold, so that the share cap counts it
    double raises = 0.0;
    double known = 0.0;   ///< 1: the group has a policy, if only to keep
    double active = 0.0;  ///< 1: and it needs the uncertainty
    bool refuses_negative = false;
};

/// One row per group and a last one for ids without a policy, which keep their scores.
struct policy_plan {
    std::vector<policy_row> rows = std::vector<policy_row>(1);
    bool needs_root = false;
    bool refuses_negative = false;
    bool filters = false;

    RECKON_INLINE const policy_row& row(std::uint8_t group) const noexcept {
        return rows[(std::min)(std::size_t{group}, rows.size() - 1)];
    }
};

template <class T>
struct policy_rows {
    vector_view<const T> scores, uncertainty, epistemic;
    vector_view<const std::uint8_t> groups;
    vector_view<T> out;

    std::size_t size() const noexcept { return scores.size(); }
    policy_rows slice(std::size_t first, std::size_t count) const noexcept {
        policy_rows part;
        part.scores = scores.slice(first, count);
        part.uncertainty = uncertainty.slice(first, count);
        part.epistemic = epistemic.slice(first, count);
        part.groups = groups.slice(first, count);
        part.out = out.slice(first, count);
        return part;
    }
};

struct policy_tally {
    std::uint64_t rows = 0, lowered = 0, raised = 0, capped = 0, restored = 0, unknown = 0;

    RECKON_INLINE void merge(const policy_tally& other) noexcept {
        rows += other.rows;
        lowered += other.lowered;
        raised += other.raised;
        capped += other.capped;
        restored += other.restored;
        unknown += other.unknown;
    }
};

/// The constants of policy_row in lanes.
template <class T, class Isa>
struct policy_lanes {
    using pack = simd::pack<T, Isa>;
    pack threshold, factor, constant, root, rank, lowers, raises, known, active;

    /// One group.
    RECKON_INLINE void broadcast(const policy_row& row) noexcept {
        const auto all = [](double x) { return pack(static_cast<T>(x)); };
        threshold = all(row.threshold);
        factor = all(row.factor);
        constant = all(row.constant);
        root = all(row.root);
        rank = all(row.rank);
        lowers = all(row.lowers);
        raises = all(row.raises);
        known = all(row.known);
        active = all(row.active);
    }
    /// Lanes of different groups: rows of several users.
    RECKON_INLINE void gather(const policy_plan& plan, const std::uint8_t* groups) noexcept {
        const policy_row* rows[pack::lanes];
        for (std::size_t i = 0; i < pack::lanes; ++i) rows[i] = &plan.row(groups[i]);
        const auto each = [&](double policy_row::*member) {
            T values[pack::lanes];
            for (std::size_t i = 0; i < pack::lanes; ++i) values[i] = static_cast<T>(rows[i]->*member);
            return pack::load(values);
        };
        threshold = each(&policy_row::threshold);
        factor = each(&policy_row::factor);
        constant = each(&policy_row::constant);
        root = each(&policy_row::root);
        rank = each(&policy_row::rank);
        lowers = each(&policy_row::lowers);
        raises = each(&policy_row::raises);
        known = each(&policy_row::known);
        active = each(&policy_row::active);
    }
};

/// Fold that writes: absorbs rows into counts and leaves the new scores in rows.out.
template <class Isa>
struct policy_tally_of {
    const policy_plan* plan;
    policy_tally tally;

    template <class T>
    void absorb(const policy_rows<T>& rows) noexcept {
        if (rows.epistemic.empty()) {
            run<false>(rows);
        } else {
            run<true>(rows);
        }
    }
    void merge(const policy_tally_of& other) noexcept { tally.merge(other.tally); }

  private:
    template <bool Root, class T>
    void run(const policy_rows<T>& rows) noexcept {
        using pack = simd::pack<T, Isa>;
        constexpr std::size_t lanes = pack::lanes;
        constexpr T inf = simd::float_format<T>::infinity;
        // Lanes count in T, which is exact for so many rows.
        constexpr std::size_t block = std::size_t{1} << 14;
        policy_lanes<T, Isa> p;
        std::uint8_t held = 0;
        p.broadcast(plan->row(held));
        bool uniform = true;
        const std::uint8_t* const groups = rows.groups.data();
        const auto step = [&](const std::uint8_t* g, pack s, pack u, pack e, pack valid, pack& lowered, pack& raised,
                              pack& unknown) {
            // Rows of one request have one user and so one group: each equals its neighbour.
            if (std::memcmp(g, g + 1, lanes - 1) != 0) {
                p.gather(*plan, g);
                uniform = false;
            } else if (!uniform || g[0] != held) {
                p.broadcast(plan->row(g[0]));
                held = g[0];
                uniform = true;
            }
            const pack zero(T(0)), one(T(1));
            pack usable = select(u == u, one, zero);
            pack change = p.constant;
            if constexpr (Root) {
                // Only forms with a root ask for a legal variance; its lanes are 0 elsewhere.
                const auto legal = ((zero <= e) & (e < pack(inf))) | (p.root == zero);
                usable = select(legal, usable, zero);
                change += select(p.root == zero, zero, p.root * square_root(select(legal, e, zero)));
            }
            change += select(p.rank == zero, zero, p.rank * u);
            const auto treated = (p.threshold < u) & (one <= usable) & (pack(-inf) < s) & (one <= p.active);
            const pack hit = select(treated, valid, zero);
            lowered += hit - hit * p.raises;
            raised += hit * p.raises;
            unknown += select((p.known < one) | ((one <= p.active) & (usable < one)), valid, zero);
            // An infinite score plus the filter's -inf would be NaN.
            const pack moved = select(p.constant == pack(-inf), p.constant, mul_add(s, p.factor, change));
            return select(treated, moved, s);
        };
        for (std::size_t first = 0; first < rows.size(); first += block) {
            const std::size_t end = rows.size() - first < block ? rows.size() : first + block;
            pack lowered(T(0)), raised(T(0)), unknown(T(0));
            std::size_t i = first;
            for (; i + lanes <= end; i += lanes) {
                const pack e = Root ? pack::load(rows.epistemic.data() + i) : pack(T(0));
                step(groups + i, pack::load(rows.scores.data() + i), pack::load(rows.uncertainty.data() + i), e,
                     pack(T(1)), lowered, raised, unknown)
                    .store(rows.out.data() + i);
            }
            if (i < end) {
                const std::size_t left = end - i;
                std::uint8_t g[lanes];
                T ones[lanes];
                for (std::size_t k = 0; k < lanes; ++k) {
                    g[k] = groups[k < left ? i + k : i];
                    ones[k] = k < left ? T(1) : T(0);
                }
                const pack e = Root ? pack::load_padded(rows.epistemic.data() + i, left, T(0)) : pack(T(0));
                step(g, pack::load_padded(rows.scores.data() + i, left, T(0)),
                     pack::load_padded(rows.uncertainty.data() + i, left, T(0)), e, pack::load(ones), lowered, raised,
                     unknown)
                    .store_head(rows.out.data() + i, left);
            }
            tally.rows += end - first;
            tally.lowered += static_cast<std::uint64_t>(reduce_add(lowered));
            tally.raised += static_cast<std::uint64_t>(reduce_add(raised));
            tally.unknown += static_cast<std::uint64_t>(reduce_add(unknown));
        }
    }
};

/// First row whose score is negative and finite in a group that refuses this; the number of rows when there is none.
template <class Isa, class Policy, class T>
std::size_t first_negative(const Policy& where, const policy_rows<T>& rows, const policy_plan& plan) {
    constexpr std::size_t part = exec::default_part_size;
    std::vector<std::size_t> found(exec::detail::part_count(rows.size(), part), rows.size());
    std::array<bool, 256> refuses;
    for (std::size_t g = 0; g < 256; ++g) refuses[g] = plan.row(static_cast<std::uint8_t>(g)).refuses_negative;
    exec::map_parts(where, rows.size(), [&](std::size_t first, std::size_t count) {
        const auto bad = [&](std::size_t i) {
            return static_cast<int>(rows.scores[i] < T(0)) &
                   static_cast<int>(rows.scores[i] >= (std::numeric_limits<T>::lowest)()) &
                   static_cast<int>(refuses[rows.groups[i]]);
        };
        int any = 0;
        for (std::size_t i = first; i < first + count; ++i) any |= bad(i);
        if (any == 0) return;
        std::size_t i = first;
        while (bad(i) == 0) ++i;
        found[first / part] = i;
    });
    for (const std::size_t i : found) {
        if (i != rows.size()) return i;
    }
    return rows.size();
}

struct request_caps {
    bool guardrails;
    double share_cap, bonus_cap;
    std::size_t min_kept;
};

/// One request at a time, with the caps.
template <class T, class Isa>
struct request_policy {
    struct candidate {
        T uncertainty;
        std::size_t row;
    };
    const policy_plan* plan;
    request_caps caps;
    policy_tally tally;
    std::vector<candidate> lowered;
    std::vector<T> before;

    void apply(const policy_rows<T>& rows) {
        // `out` may be the scores.
        before.assign(rows.scores.begin(), rows.scores.end());
        policy_tally_of<Isa> all{plan, {}};
        all.absorb(rows);
        if (caps.guardrails) cap_bonus(rows, all.tally);
        lowered.clear();
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const policy_row& p = plan->row(rows.groups[i]);
            if (p.lowers > 0.0 && before[i] > -std::numeric_limits<T>::infinity() &&
                rows.uncertainty[i] > static_cast<T>(p.threshold)) {
                lowered.push_back({rows.uncertainty[i], i});
            }
        }
        if (caps.guardrails) cap_share(rows, all.tally);
        if (plan->filters) refill(rows, all.tally);
        tally.merge(all.tally);
    }

  private:
    // Largest uncertainty first, ties by position.
    static bool first_to_lower(const candidate& a, const candidate& b) noexcept {
        return a.uncertainty > b.uncertainty || (a.uncertainty == b.uncertainty && a.row < b.row);
    }
    // Gives the scores of lowered[keep ...] back.
    std::size_t give_back(const policy_rows<T>& rows, std::size_t keep) {
        if (keep >= lowered.size()) return 0;
        const auto middle = lowered.begin() + static_cast<std::ptrdiff_t>(keep);
        std::nth_element(lowered.begin(), middle, lowered.end(), first_to_lower);
        for (std::size_t k = keep; k < lowered.size(); ++k) rows.out[lowered[k].row] = before[lowered[k].row];
        const std::size_t given = lowered.size() - keep;
        lowered.resize(keep);
        return given;
    }
    void cap_share(const policy_rows<T>& rows, policy_tally& sums) {
        const auto most = static_cast<std::size_t>(caps.share_cap * static_cast<double>(rows.size()));
        const std::size_t given = give_back(rows, most);
        sums.capped += given;
        sums.lowered -= given;
    }
    void refill(const policy_rows<T>& rows, policy_tally& sums) {
        std::erase_if(lowered, [&](const candidate& c) {
            return plan->row(rows.groups[c.row]).constant > -std::numeric_limits<double>::infinity();
        });
        const std::size_t kept = rows.size() - lowered.size();
        if (lowered.empty() || kept >= caps.min_kept) return;
        const std::size_t missing = (std::min)(caps.min_kept - kept, lowered.size());
        sums.restored += missing;
        sums.lowered -= give_back(rows, lowered.size() - missing);
    }
    void cap_bonus(const policy_rows<T>& rows, policy_tally& sums) noexcept {
        if (sums.raised == 0) return;
        moments spread;
        for (const T s : before) {
            if (std::isfinite(s)) spread.absorb(static_cast<double>(s));
        }
        const T most = static_cast<T>(caps.bonus_cap * std::sqrt(spread.weight() > 0.0 ? spread.variance() : 0.0));
        for (std::size_t i = 0; i < rows.size(); ++i) {
            if (plan->row(rows.groups[i]).raises == 0.0 || !(rows.out[i] > before[i] + most)) continue;
            rows.out[i] = before[i] + most;
            ++sums.capped;
        }
    }
};

}  // namespace reckon::detail
