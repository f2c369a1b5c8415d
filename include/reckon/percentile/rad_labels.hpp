// Labels of relative advantage debiasing (RAD): percentiles of feedback among the user's views of about the same duration,
// among the item's views, and both in one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/group_by.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/percentile/detail/sides.hpp"
#include "reckon/percentile/duration_buckets.hpp"
#include "reckon/percentile/probit_fuse.hpp"

namespace reckon {

struct rad_options {
    /// 1 .. 65535. Buckets of about equal mass of the duration, cut over all rows; see duration_buckets for ties.
    std::size_t buckets = 4;
    /// >= 0. Of the fusion: a side with n values weighs sqrt(n / (n + support)).
    double support = 20.0;
};

/// Where rad_labels() writes; [N] or empty for a label that is not wanted.
struct rad_outputs {
    vector_view<float> user = {};  ///< RAD-U: among the rows of the same user and duration bucket
    vector_view<float> item = {};  ///< RAD-V: among the rows of the same item
    vector_view<float> both = {};  ///< RAD-UV: the two fused
};

/// Percentile labels from the whole log at once.
///
///   user_i = F_mid(y_i | user, bucket of duration)        item_i = F_mid(y_i | item)
///   both_i = probit_fuse(user_i, item_i)                  weighted by the rows behind either side
///
/// F_mid is that of ecdf_midrank(): (rank - 1/2) / n with the row itself in n, so a row alone in its group has 1/2.
///
/// Shapes    users, items [N]: integer ids, sparse ones are as good as dense ones; items may be none when neither `item` nor
///           `both` is wanted, users likewise. durations [N] of any arithmetic type, or none for one bucket. feedback [N] of
///           float; N < 2^32.
/// Writes    what `out` asks for.
/// Returns   rows with all labels asked for, and rows without one: NaN feedback has none, a NaN duration none of `user`
///           and `both`. Their labels are NaN and they count in no n.
/// Throws    std::invalid_argument when lengths differ, a column that is needed is none, or an option is out of range.
///           Infinite feedback has its place in the order.
/// Cost      a radix sort of each id column on one thread unless it ascends, a sort of the durations, the ranks of
///           ecdf_midrank(), and a probit_fuse() a row; 25 to 50 bytes of scratch a row and 12 a bucket, however many users
///           meet however many buckets.
/// Numerics  ranks are integers: the same bits for any number of threads.
/// Source    RAD 2025 (arXiv 2508.11086): labels and D = 4; the rule for ties, k = 20 and the normalisation of the fusion
///           are ours.
template <exec::policy Policy, class Users, class Items, class Durations, vector_like Y, class Isa = isa::native>
counts rad_labels(const Policy& where, const Users& users, const Items& items, const Durations& durations,
                  const Y& feedback, const rad_outputs& out, const rad_options& options = {}) {
    const auto y = input(feedback);
    static_assert(std::is_same_v<typename decltype(y)::value_type, float>, "reckon: feedback of rad_labels is float");
    constexpr bool has_users = !std::is_same_v<Users, none>, has_items = !std::is_same_v<Items, none>;
    const std::size_t n = y.size();
    const auto d = input(durations);
    const bool wants_user = !out.user.empty() || !out.both.empty();
    const bool wants_item = !out.item.empty() || !out.both.empty();
    expects(n < (std::uint64_t{1} << 32), "rad_labels", n, " rows, fewer than 2^32 are possible");
    expects(options.support >= 0.0 && options.support <= 1e12, "rad_labels", "support must be in [0, 1e12], got ",
            options.support);
    expects(has_users || !wants_user, "rad_labels", "labels of users need the users");
    expects(has_items || !wants_item, "rad_labels", "labels of items need the items");
    expects(!has_users || input(users).size() == n, "rad_labels", n, " rows of feedback but ", input(users).size(),
            " users");
    expects(!has_items || input(items).size() == n, "rad_labels", n, " rows of feedback but ", input(items).size(),
            " items");
    expects((std::is_same_v<Durations, none>) || d.size() == n, "rad_labels", n, " rows of feedback but ", d.size(),
            " durations");
    for (const std::size_t room : {out.user.size(), out.item.size(), out.both.size()}) {
        expects(room == 0 || room == n, "rad_labels", n, " rows of feedback but room for ", room, " labels");
    }
    detail::side_ranks user, item;
    if constexpr (has_users) {
        if (wants_user) {
            std::vector<std::uint32_t> bucket;
            duration_buckets buckets;
            if (!d.empty()) {
                buckets = duration_buckets::fit(d, options.buckets);
                bucket = detail::bucket_rows(where, buckets, d);
            }
            const auto groups = detail::split_groups<Isa>(group_by(users), bucket, buckets.size());
            user = detail::rank_rows<Isa>(where, groups, y, bucket);
        }
    }
    if constexpr (has_items) {
        if (wants_item) {
            const auto groups = detail::split_groups<Isa>(group_by(items), {}, 1);
            item = detail::rank_rows<Isa>(where, groups, y, {});
        }
    }
    std::vector<counts> parts(exec::detail::part_count(n, exec::default_part_size));
    exec::map_parts(where, n, [&](std::size_t first, std::size_t count) {
        counts seen;
        for (std::size_t i = first; i < first + count; ++i) {
            bool ok = y[i] == y[i];
            if (wants_user) ok = ok && user.percentiles[i] == user.percentiles[i];
            seen.absorb(ok);
            if (!out.user.empty()) out.user[i] = user.percentiles[i];
            if (!out.item.empty()) out.item[i] = item.percentiles[i];
            if (!out.both.empty()) {
                const auto side = [&](const detail::side_ranks& ranked) -> probit_side {
                    const double support = ranked.support[i];
                    return {ranked.percentiles[i], probit_weight(support, options.support), support};
                };
                out.both[i] = ok ? static_cast<float>(probit_fuse(side(user), side(item)).value)
                                 : std::numeric_limits<float>::quiet_NaN();
            }
        }
        parts[first / exec::default_part_size] = seen;
    });
    counts seen;
    for (const counts& part : parts) seen.merge(part);
    return seen;
}

}  // namespace reckon
