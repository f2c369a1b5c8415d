// How well scores order the views of each user.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "labels.hpp"
#include "reckon/core/group_by.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/metrics/user_auc.hpp"
#include "world.hpp"

namespace reckon_examples {

/// A figure per user; NaN where it is not defined.
struct user_values {
    std::vector<std::uint32_t> users;
    std::vector<double> values;

    template <class Pick>
    double mean(const Pick& pick) const {
        reckon::mean_value m;
        for (std::size_t g = 0; g < users.size(); ++g) {
            if (pick(users[g]) && !std::isnan(values[g])) m.absorb(values[g]);
        }
        return m.finish();
    }
    double mean() const {
        return mean([](std::uint32_t) { return true; });
    }
};

/// Share of each user's pairs of views with different feedback that the scores put in the right order.
template <class Scores>
user_values user_auc(const view_log& log, const Scores& scores) {
    const auto rows = reckon::group_by(log.users);
    user_values out{rows.ids, std::vector<double>(rows.size())};
    reckon::uauc(serial, rows.gather(reckon::input(scores)), rows.gather(reckon::input(log.feedback)), rows.offsets, {},
                 out.values);
    return out;
}

}  // namespace reckon_examples
