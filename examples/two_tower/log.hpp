// Who liked which video when, split by time: what a retriever learns from, and what it has to find afterwards.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../support/csv.hpp"
#include "../support/split.hpp"

namespace reckon_examples {

/// Views: dense ids of user and item, when, and whether the user liked what was seen.
struct like_log {
    std::vector<std::uint32_t> users, items;
    std::vector<double> days;
    std::vector<std::uint8_t> liked;
    std::size_t user_count = 0, item_count = 0;

    std::size_t size() const { return users.size(); }
};

/// A table with user_id, video_id, time_ms, and 1 for a like in the column `positive`; "any": every view is one.
inline like_log read_likes(const std::string& path, const csv_options& csv, const std::string& positive) {
    std::vector<std::string> columns{"user_id", "video_id", "time_ms"};
    if (positive != "any") columns.push_back(positive);
    const csv_table file(path, columns, csv);
    const categorical users = file.categories("user_id"), items = file.categories("video_id");
    like_log out;
    out.users.assign(users.ids.begin(), users.ids.end());
    out.items.assign(items.ids.begin(), items.ids.end());
    out.days = file.numbers<double>("time_ms");
    for (double& t : out.days) t /= 86'400'000;
    out.liked = positive == "any" ? std::vector<std::uint8_t>(file.rows(), 1) : file.labels(positive, "1");
    out.user_count = users.values.size();
    out.item_count = items.values.size();
    return out;
}

/// A set of items for each user.
class item_sets {
  public:
    item_sets() = default;
    item_sets(std::size_t users, std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs) : offsets_(users + 1, 0) {
        std::sort(pairs.begin(), pairs.end());
        pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
        for (const auto& [user, item] : pairs) {
            ++offsets_[user + 1];
            items_.push_back(item);
        }
        for (std::size_t u = 0; u < users; ++u) offsets_[u + 1] += offsets_[u];
    }
    /// In ascending order.
    std::span<const std::uint32_t> of(std::size_t user) const {
        return std::span(items_).subspan(offsets_[user], offsets_[user + 1] - offsets_[user]);
    }
    bool contains(std::size_t user, std::uint32_t item) const {
        const auto set = of(user);
        return std::binary_search(set.begin(), set.end(), item);
    }
    std::size_t size() const { return items_.size(); }

  private:
    std::vector<std::size_t> offsets_;
    std::vector<std::uint32_t> items_;
};

/// Users and items are those of the training likes, renumbered; the catalogue to search is all these items.
struct retrieval_task {
    std::vector<std::uint32_t> user_ids, item_ids;      // in the log
    std::vector<std::uint32_t> like_users, like_items;  // training likes, in order of time
    std::vector<double> like_ages;                      // days before the end of training
    double end = 0;                                     // of training, in days
    item_sets seen;                                     // in training, liked or not
    item_sets wanted;                                   // liked after training, of the catalogue and not seen before
    std::vector<std::uint32_t> test_users;              // those who want something
    std::size_t later_likes = 0;                        // after training, of any user and item

    std::size_t users() const { return user_ids.size(); }
    std::size_t items() const { return item_ids.size(); }
    std::size_t likes() const { return like_users.size(); }
};

/// Rows of both parts in order of time, as time_split() gives them.
inline retrieval_task make_task(const like_log& log, const std::vector<std::size_t>& train,
                                const std::vector<std::size_t>& test) {
    constexpr std::uint32_t unknown = 0xffffffffu;
    std::vector<std::uint32_t> user_of(log.user_count, unknown), item_of(log.item_count, unknown);
    const auto number = [](std::vector<std::uint32_t>& known, std::vector<std::uint32_t>& ids, std::uint32_t id) {
        if (known[id] == unknown) {
            known[id] = static_cast<std::uint32_t>(ids.size());
            ids.push_back(id);
        }
        return known[id];
    };
    retrieval_task out;
    for (const std::size_t row : train) {
        out.end = (std::max)(out.end, log.days[row]);
        if (log.liked[row] == 0) continue;
        out.like_users.push_back(number(user_of, out.user_ids, log.users[row]));
        out.like_items.push_back(number(item_of, out.item_ids, log.items[row]));
        out.like_ages.push_back(log.days[row]);
    }
    if (out.likes() == 0) throw std::runtime_error("the training part of the log holds no like");
    for (double& age : out.like_ages) age = out.end - age;
    using pairs = std::vector<std::pair<std::uint32_t, std::uint32_t>>;
    const auto known_pairs = [&](const std::vector<std::size_t>& rows, const auto& pick) {
        pairs found;
        for (const std::size_t row : rows) {
            const std::uint32_t user = user_of[log.users[row]], item = item_of[log.items[row]];
            if (user != unknown && item != unknown && pick(row, user, item)) found.emplace_back(user, item);
        }
        return found;
    };
    out.seen = {out.users(), known_pairs(train, [](std::size_t, std::uint32_t, std::uint32_t) { return true; })};
    out.wanted = {out.users(), known_pairs(test, [&](std::size_t row, std::uint32_t user, std::uint32_t item) {
                      return log.liked[row] != 0 && !out.seen.contains(user, item);
                  })};
    for (const std::size_t row : test) out.later_likes += log.liked[row];
    for (std::uint32_t user = 0; user < out.users(); ++user) {
        if (!out.wanted.of(user).empty()) out.test_users.push_back(user);
    }
    return out;
}

inline void expect_something_wanted(const retrieval_task& task) {
    if (task.test_users.empty()) {
        throw std::runtime_error(
            "the later part of the log holds no like of an item of training that its user had not seen");
    }
}

/// The last fifth of the log is the test; models are chosen on the tenth before it, and never see the test.
struct retrieval_tasks {
    retrieval_task tuning, final;
};

inline retrieval_tasks split_by_time(const like_log& log) {
    const split_rows parts = time_split(log.days, {.train = 0.7, .calibrate = 0.1, .test = 0.2});
    std::vector<std::size_t> before = parts.train;
    before.insert(before.end(), parts.calibrate.begin(), parts.calibrate.end());
    return {make_task(log, parts.train, parts.calibrate), make_task(log, before, parts.test)};
}

}  // namespace reckon_examples
