// A quantile sketch per group: one for each of millions of users, most of whom have few values.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/group_by.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/percentile/kll_sketch.hpp"

namespace reckon {

/// Quantile sketches of many groups, such as the feedback of each user.
///
/// A group with at most k values keeps just these, sorted, and its percentiles are exact; beyond k it is a kll_sketch
/// with the guarantee of that. Ids are any unsigned integers, sparse ones as good as dense ones.
///
/// Law       merge() unites the groups and merges those that both have: exact while a group has at most k values, else
///           as kll_sketch::merge(). Commutative bit for bit. absorb() gives the same bits under every policy.
/// Throws    std::invalid_argument for k out of range, lengths that differ, 2^32 rows or more in one call, and from
///           merge when k or seed differ. A NaN value is counted and skipped.
/// Memory    17 bytes a group and 4 bytes a value up to k values; beyond, 17 + 24 + 4 levels + 4 values kept.
/// Cost      absorb and merge copy all groups once: feed large batches. A batch of N rows is gathered by user in
///           group_by(). Twice the memory while they run.
class kll_sketches {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("KLLG");
    static constexpr std::uint32_t bytes_version = 1;

    explicit kll_sketches(const kll_options& options = {}) : options_(options), starts_(1, 0) {
        expects(kll_sketch::legal(options), "kll_sketches", "k must be an even number in [8, 65536], got ", options.k);
    }

    /// Absorbs rows: `users` [N] of any unsigned type, `values` [N] float. A user whose values are all NaN is not added.
    template <exec::policy Policy, vector_like Users, vector_like V, class Isa = isa::native>
    void absorb(const Policy& where, const Users& users, const V& values) {
        const auto x = check_rows<Isa>(users, values);
        const auto groups = group_by(users);
        const std::vector<float> gathered = groups.gather(x);
        const auto plan = join(groups.size(), [&](std::size_t g) { return static_cast<std::uint64_t>(groups.ids[g]); });
        seen_.merge(rebuild<Isa>(where, plan, [&](detail::kll_state& state, std::size_t g) {
            return kll_sketch::absorb_into<Isa>(
                state, vector_view<const float>(gathered.data() + groups.first(g), groups.count(g)));
        }));
    }
    template <exec::policy Policy = exec::serial_policy, class Isa = isa::native>
    void merge(const kll_sketches& other, const Policy& where = {}) {
        expects(k() == other.k(), "kll_sketches", "cannot merge k = ", other.k(), " into k = ", k());
        expects(seed() == other.seed(), "kll_sketches", "cannot merge seed ", other.seed(), " into seed ", seed());
        const auto plan = join(other.size(), [&](std::size_t g) { return other.ids_[g]; });
        rebuild<Isa>(where, plan, [&](detail::kll_state& state, std::size_t g) {
            detail::kll_state theirs;
            other.load(g, theirs);
            expects(state.n + theirs.n < detail::kll_most_values, "kll_sketches", "more than 2^56 values");
            state.template merge<Isa>(theirs);
            return std::uint64_t{0};
        });
        seen_.merge(other.seen_);
    }

    /// Number of groups.
    std::size_t size() const noexcept { return ids_.size(); }
    /// Their ids, ascending.
    const std::vector<std::uint64_t>& ids() const noexcept { return ids_; }
    std::uint32_t k() const noexcept { return options_.k; }
    std::uint64_t seed() const noexcept { return options_.seed; }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }
    /// True when the group of this id is there.
    bool contains(std::uint64_t id) const noexcept { return find(id) < size(); }
    /// The sketch of one group; an empty one for an id that is not there.
    kll_sketch sketch(std::uint64_t id) const {
        kll_sketch one(options_);
        const std::size_t g = find(id);
        if (g < size()) load(g, one.state_);
        one.state_.seed = seed_of(id);
        return one;
    }
    /// Values absorbed into a group, 0 for an id that is not there.
    std::uint64_t n(std::uint64_t id) const {
        const std::size_t g = find(id);
        if (g >= size()) return 0;
        if (heights_[g] == 1) return starts_[g + 1] - starts_[g];
        detail::kll_state state;
        load(g, state);
        return state.n;
    }
    /// Bytes that the groups take.
    std::size_t memory() const noexcept {
        return size() * (sizeof(std::uint64_t) + sizeof(std::uint64_t) + sizeof(std::uint8_t)) +
               words_.size() * sizeof(std::uint32_t);
    }

    /// percentiles[i] = mid-rank of values[i] among the values of users[i], as a share.
    ///
    /// Shapes    users [N] unsigned, values [N] float, percentiles [N] float or double; may be the memory of the values.
    /// Writes    percentiles, NaN where the user is not there or the value is NaN.
    /// Returns   rows with a percentile, and rows without one.
    /// Throws    std::invalid_argument when lengths differ, and for 2^32 rows or more.
    /// Cost      gathers the rows by user; then a search in each level for each row, or from 24 rows of a user a sorted
    ///           view and one search.
    template <exec::policy Policy, vector_like Users, vector_like V, vector_like Out, class Isa = isa::native>
    counts percentiles(const Policy& where, const Users& users, const V& values, Out&& percentiles) const {
        const auto x = check_rows<Isa>(users, values);
        const auto out = view(percentiles);
        using T = typename decltype(out)::value_type;
        expects(out.size() == x.size(), "kll_sketches", x.size(), " values but room for ", out.size(), " percentiles");
        const auto groups = group_by(users);
        const std::size_t parts = exec::detail::part_count(groups.size(), part_groups);
        std::vector<counts> seen(parts);
        exec::for_each_index(where, parts, [&](std::size_t part) {
            detail::kll_state state;
            const std::size_t first = part * part_groups;
            const std::size_t last = first + exec::detail::rows_of_part(groups.size(), part_groups, part);
            std::size_t at = lower_bound(static_cast<std::uint64_t>(groups.ids[first]));
            for (std::size_t g = first; g < last; ++g) {
                const auto id = static_cast<std::uint64_t>(groups.ids[g]);
                while (at < size() && ids_[at] < id) ++at;
                const bool known = at < size() && ids_[at] == id;
                if (known) load(at, state);
                const std::size_t begin = groups.first(g), count = groups.count(g);
                const auto query = [&](std::size_t i) { return x[groups.row(begin + i)]; };
                const auto write = [&](std::size_t i, double rank) {
                    out[groups.row(begin + i)] = static_cast<T>(rank);
                    seen[part].absorb(rank == rank);
                };
                if (known && state.levels() > 1 && count >= enough_for_view) {
                    kll_view(state).each(count, query, write);
                    continue;
                }
                const double scale = known ? 0.5 / static_cast<double>(state.n) : 0.0;
                for (std::size_t i = 0; i < count; ++i) {
                    const float value = query(i);
                    const auto weight = known ? state.weigh(value, true) : detail::kll_weight{};
                    write(i, known && value == value ? static_cast<double>(weight.below + weight.through) * scale
                                                     : std::numeric_limits<double>::quiet_NaN());
                }
            }
        });
        counts sum;
        for (const counts& part : seen) sum.merge(part);
        return sum;
    }

    void write(byte_writer& out) const {
        out.put(options_.k);
        out.put(options_.seed);
        out.put(seen_.accepted);
        out.put(seen_.rejected);
        out.put_array(ids_);
        out.put_array(heights_);
        out.put_array(starts_);
        out.put_array(words_);
    }
    static kll_sketches read(byte_reader& in) {
        kll_options options;
        options.k = in.get<std::uint32_t>();
        options.seed = in.get<std::uint64_t>();
        expects_bytes(kll_sketch::legal(options), "kll_sketches", "k of ", options.k, " is not legal");
        kll_sketches s(options);
        s.seen_.accepted = in.get<std::uint64_t>();
        s.seen_.rejected = in.get<std::uint64_t>();
        s.ids_ = in.get_array<std::uint64_t>();
        s.heights_ = in.get_array<std::uint8_t>(s.ids_.size());
        s.starts_ = in.get_array<std::uint64_t>(s.ids_.size() + 1);
        s.words_ = in.get_array<std::uint32_t>();
        s.validate();
        return s;
    }

  private:
    static constexpr std::size_t part_groups = 256, head_words = 6, enough_for_view = 24;
    static constexpr std::size_t nobody = static_cast<std::size_t>(-1);

    // What each group of the next state is made of.
    struct source {
        std::uint64_t id;
        std::size_t held, added;
    };
    // Groups of one part of the next state.
    struct piece {
        std::vector<std::uint64_t> ids, ends;
        std::vector<std::uint8_t> heights;
        std::vector<std::uint32_t> words;
        counts seen;
    };

    template <class Isa, class Users, class V>
    static auto check_rows(const Users& users, const V& values) {
        const auto id = input(users);
        const auto x = input(values);
        static_assert(std::unsigned_integral<typename decltype(id)::value_type>,
                      "reckon: ids of kll_sketches must be unsigned integers");
        static_assert(std::is_same_v<typename decltype(x)::value_type, float>, "reckon: kll_sketches takes floats");
        expects(id.size() == x.size(), "kll_sketches", id.size(), " users but ", x.size(), " values");
        return x;
    }
    std::size_t lower_bound(std::uint64_t id) const noexcept {
        return static_cast<std::size_t>(std::lower_bound(ids_.begin(), ids_.end(), id) - ids_.begin());
    }
    std::size_t find(std::uint64_t id) const noexcept {
        const std::size_t g = lower_bound(id);
        return g < size() && ids_[g] == id ? g : size();
    }
    std::uint64_t seed_of(std::uint64_t id) const noexcept { return random_stream(options_.seed, 1).bits(id); }

    template <class IdOf>
    std::vector<source> join(std::size_t count, IdOf&& id_of) const {
        std::vector<source> plan;
        plan.reserve(size() + count);
        std::size_t i = 0, j = 0;
        while (i < size() || j < count) {
            const bool left = i < size() && (j == count || ids_[i] <= id_of(j));
            const bool right = j < count && (i == size() || id_of(j) <= ids_[i]);
            plan.push_back({left ? ids_[i] : id_of(j), left ? i : nobody, right ? j : nobody});
            i += left ? 1u : 0u;
            j += right ? 1u : 0u;
        }
        return plan;
    }
    // Makes the next state; add(state, j) puts what is added into a group and returns how many rows it refused.
    template <class Isa, class Policy, class Add>
    counts rebuild(const Policy& where, const std::vector<source>& plan, Add&& add) {
        std::vector<piece> pieces(exec::detail::part_count(plan.size(), part_groups));
        exec::for_each_index(where, pieces.size(), [&](std::size_t p) {
            piece& out = pieces[p];
            detail::kll_state state;
            const std::size_t first = p * part_groups;
            const std::size_t last = first + exec::detail::rows_of_part(plan.size(), part_groups, p);
            for (std::size_t g = first; g < last; ++g) {
                const source& from = plan[g];
                if (from.added == nobody) {  // untouched
                    out.words.insert(out.words.end(), words_.begin() + static_cast<std::ptrdiff_t>(starts_[from.held]),
                                     words_.begin() + static_cast<std::ptrdiff_t>(starts_[from.held + 1]));
                    out.heights.push_back(heights_[from.held]);
                } else {
                    state.clear();
                    state.k = options_.k;
                    if (from.held != nobody) load(from.held, state);
                    state.seed = seed_of(from.id);
                    const std::uint64_t had = state.n;
                    out.seen.rejected += add(state, from.added);
                    out.seen.accepted += state.n - had;
                    if (state.n == 0) continue;
                    store<Isa>(state, out.words);
                    out.heights.push_back(static_cast<std::uint8_t>(state.levels()));
                }
                out.ids.push_back(from.id);
                out.ends.push_back(out.words.size());
            }
        });
        std::size_t groups = 0, words = 0;
        for (const piece& one : pieces) {
            groups += one.ids.size();
            words += one.words.size();
        }
        kll_sketches next(options_);
        next.ids_.reserve(groups);
        next.starts_.reserve(groups + 1);
        next.heights_.reserve(groups);
        next.words_.reserve(words);
        counts seen;
        for (piece& one : pieces) {
            for (const std::uint64_t end : one.ends) next.starts_.push_back(next.words_.size() + end);
            next.ids_.insert(next.ids_.end(), one.ids.begin(), one.ids.end());
            next.heights_.insert(next.heights_.end(), one.heights.begin(), one.heights.end());
            next.words_.insert(next.words_.end(), one.words.begin(), one.words.end());
            seen.merge(one.seen);
            one = piece();
        }
        ids_.swap(next.ids_);
        starts_.swap(next.starts_);
        heights_.swap(next.heights_);
        words_.swap(next.words_);
        return seen;
    }

    std::uint64_t wide(std::size_t at) const noexcept { return (std::uint64_t{words_[at + 1]} << 32) | words_[at]; }
    // A group with one level is its values, sorted. Others: spread, coins, range, sizes of the levels, values.
    void load(std::size_t g, detail::kll_state& state) const {
        std::size_t at = starts_[g];
        const std::size_t end = starts_[g + 1], height = heights_[g];
        state.clear();
        state.k = options_.k;
        if (height > 1) {
            state.spread = std::bit_cast<double>(wide(at));
            state.coins = wide(at + 2);
            state.low = std::bit_cast<float>(words_[at + 4]);
            state.high = std::bit_cast<float>(words_[at + 5]);
            for (std::size_t h = 0; h < height; ++h) {
                state.sizes.push_back(words_[at + head_words + h]);
                state.n += std::uint64_t{state.sizes[h]} << h;
            }
            at += head_words + height;
        }
        state.items.resize(end - at);
        for (std::size_t i = 0; at + i < end; ++i) state.items[i] = std::bit_cast<float>(words_[at + i]);
        if (height == 1) {
            state.sizes.push_back(static_cast<std::uint32_t>(state.items.size()));
            state.n = state.items.size();
            state.low = state.items.front();
            state.high = state.items.back();
        }
    }
    template <class Isa>
    static void store(detail::kll_state& state, std::vector<std::uint32_t>& words) {
        detail::kll_sort<Isa>(state.items.data() + (state.items.size() - state.sizes[0]), state.sizes[0]);
        if (state.levels() > 1) {
            const auto spread = std::bit_cast<std::uint64_t>(state.spread);
            for (const std::uint64_t two : {spread, state.coins}) {
                words.push_back(static_cast<std::uint32_t>(two));
                words.push_back(static_cast<std::uint32_t>(two >> 32));
            }
            words.push_back(std::bit_cast<std::uint32_t>(state.low));
            words.push_back(std::bit_cast<std::uint32_t>(state.high));
            words.insert(words.end(), state.sizes.begin(), state.sizes.end());
        }
        const std::size_t at = words.size();
        words.resize(at + state.items.size());
        for (std::size_t i = 0; i < state.items.size(); ++i) {
            words[at + i] = std::bit_cast<std::uint32_t>(state.items[i]);
        }
    }
    void validate() const {
        const std::size_t groups = ids_.size();
        expects_bytes(heights_.size() == groups && starts_.size() == groups + 1, "kll_sketches", groups, " ids but ",
                      heights_.size(), " heights and ", starts_.size(), " starts");
        expects_bytes(starts_[0] == 0 && starts_[groups] == words_.size(), "kll_sketches",
                      "starts do not span the words");
        for (std::size_t g = 1; g <= groups; ++g) {
            expects_bytes(starts_[g - 1] < starts_[g], "kll_sketches", "starts do not ascend");
            expects_bytes(g == 1 || ids_[g - 2] < ids_[g - 1], "kll_sketches", "ids do not ascend");
        }
        detail::kll_state state;
        std::uint64_t accepted = 0;
        for (std::size_t g = 0; g < groups; ++g) {
            const std::size_t length = starts_[g + 1] - starts_[g], height = heights_[g];
            expects_bytes(
                height >= 1 && height <= detail::kll_most_levels && (height == 1 || length > head_words + height),
                "kll_sketches", height, " levels in ", length, " words");
            load(g, state);
            const char* fault = state.fault();
            if (fault == nullptr &&
                !std::is_sorted(state.items.end() - static_cast<std::ptrdiff_t>(state.sizes[0]), state.items.end())) {
                fault = "level 0 is not sorted";
            }
            expects_bytes(fault == nullptr, "kll_sketches", fault == nullptr ? "" : fault);
            accepted += state.n;
        }
        expects_bytes(accepted == seen_.accepted, "kll_sketches", accepted, " values but ", seen_.accepted, " counted");
    }

    kll_options options_;
    std::vector<std::uint64_t> ids_;
    std::vector<std::uint64_t> starts_;  // [groups + 1] into words_
    std::vector<std::uint8_t> heights_;  // levels of a group; 1: just its values
    std::vector<std::uint32_t> words_;
    counts seen_;
};

}  // namespace reckon
