// Rows of a reservoir: what is kept of each user, and how an event enters.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/lane.hpp"
#include "reckon/core/prefetch.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/percentile/detail/slab_column.hpp"
#include "reckon/percentile/history.hpp"

namespace reckon::detail {

// Slots of a row in memory and in bytes: a multiple of 16, so that rows begin on cache lines and loops over keys need
// no tail.
inline constexpr std::size_t row_block = 16;
inline constexpr std::size_t row_stride(std::size_t capacity) noexcept {
    return (capacity + row_block - 1) / row_block * row_block;
}

// A hash per user, the same in every reservoir of one seed; the hashes of a user's events are distinct, because
// mix_bits() is a bijection.
inline constexpr std::uint64_t hash_step = 0x9e3779b97f4a7c15u;
inline std::uint64_t mixed_seed(std::uint64_t seed) noexcept {
    return mix_bits(seed + hash_step);
}
RECKON_INLINE std::uint64_t hash_of_user(std::uint64_t seed, std::uint64_t user) noexcept {
    return mix_bits(seed + user * hash_step);
}
RECKON_INLINE std::uint64_t hash_of_event(std::uint64_t user_hash, std::uint64_t event) noexcept {
    return mix_bits(user_hash + event * hash_step);
}

// Events that no stream has; sums stop there, so that forged numbers cannot wrap around.
inline constexpr std::uint64_t most_seen = std::uint64_t{1} << 56;
inline std::uint64_t sum_of_seen(std::uint64_t a, std::uint64_t b) noexcept {
    return (std::min)(a + b, most_seen);
}

// Events that are worked on together, so that memory is asked for before it is needed.
inline constexpr std::size_t event_block = 256;

// Values and predictions of the rows; NaN where a slot is empty.
class feedback_rows {
  public:
    feedback_rows(std::size_t capacity, bool predictions)
        : stride_(row_stride(capacity)), has_predictions_(predictions), values_(stride_), predictions_(stride_) {}

    void grow(std::size_t rows) {
        values_.grow(rows);
        if (has_predictions_) predictions_.grow(rows);
    }
    void start(std::uint32_t row) noexcept {
        std::fill_n(values_.row(row), stride_, simd::float_format<float>::quiet_nan);
        if (has_predictions_) std::fill_n(predictions_.row(row), stride_, simd::float_format<float>::quiet_nan);
    }
    RECKON_INLINE void prefetch(std::uint32_t row, std::size_t place) const noexcept {
        prefetch_write(values_.row(row) + place);
        if (has_predictions_) prefetch_write(predictions_.row(row) + place);
    }
    RECKON_INLINE void put(std::uint32_t row, std::size_t place, float value, float prediction) noexcept {
        values_.row(row)[place] = value;
        if (has_predictions_) predictions_.row(row)[place] = prediction;
    }
    std::size_t stride() const noexcept { return stride_; }
    bool has_predictions() const noexcept { return has_predictions_; }
    const float* values(std::uint32_t row) const noexcept { return values_.row(row); }
    const float* predictions(std::uint32_t row) const noexcept {
        return has_predictions_ ? predictions_.row(row) : nullptr;
    }
    float prediction(std::uint32_t row, std::size_t place) const noexcept {
        return has_predictions_ ? predictions_.row(row)[place] : 0.0f;
    }
    std::size_t memory_bytes() const noexcept { return values_.memory_bytes() + predictions_.memory_bytes(); }

  private:
    std::size_t stride_;
    bool has_predictions_;
    slab_column<float> values_, predictions_;
};

// Keys are floating-point numbers, so that packs compare them; an empty slot has the key -inf.
template <class Key>
inline constexpr Key no_key = -simd::float_format<Key>::infinity;

// What a look through the keys of a row finds.
template <class Key>
struct key_places {
    bool same = false;            // whether the new key is there
    Key runner_up = no_key<Key>;  // largest key but `largest`, and its place
    std::size_t place = 0;
};
template <class Isa, class Key>
RECKON_INLINE key_places<Key> look_through(const Key* keys, std::size_t count, Key key, Key largest) noexcept {
    using pack = simd::pack<Key, Isa>;
    static_assert(row_block % pack::lanes == 0);
    const pack wanted(key), left_out(largest), bottom(no_key<Key>), step(static_cast<Key>(pack::lanes));
    pack top = bottom, places(Key(0)), at(Key(0));  // places as numbers: at most 2^20, exact in Key
    auto same = bottom == wanted;
    for (std::size_t i = 0; i < count; i += pack::lanes, at += step) {
        const pack read = pack::load(keys + i);
        same = same | (read == wanted);
        const pack k = select(read == left_out, bottom, read);
        places = select(top < k, at, places);
        top = maximum(top, k);
    }
    Key tops[pack::lanes], firsts[pack::lanes];
    top.store(tops);
    places.store(firsts);
    key_places<Key> found{any(same), tops[0], static_cast<std::size_t>(firsts[0])};
    for (std::size_t lane = 1; lane < pack::lanes; ++lane) {
        const bool larger = tops[lane] > found.runner_up;
        found.runner_up = larger ? tops[lane] : found.runner_up;
        found.place = larger ? static_cast<std::size_t>(firsts[lane]) + lane : found.place;
    }
    return found;
}
// Place of a key that is there.
template <class Isa, class Key>
RECKON_INLINE std::size_t place_of(const Key* keys, Key key) noexcept {
    using pack = simd::pack<Key, Isa>;
    std::size_t i = 0;
    while (!any(pack::load(keys + i) == pack(key))) i += pack::lanes;
    while (keys[i] != key) ++i;
    return i;
}

// Slot that holds the event of this hash, or no_history.
template <class Sampling>
std::uint32_t find_key(const typename Sampling::key_type* keys, std::uint32_t count, std::uint64_t hash) noexcept {
    for (std::uint32_t s = 0; s < count; ++s) {
        if (Sampling::is_key_of(keys[s], hash)) return s;
    }
    return no_history;
}

// Rows that keep the smallest keys.
template <class Sampling>
class keyed_rows {
  public:
    using key_type = typename Sampling::key_type;
    struct head_type {
        std::uint64_t user;
        std::uint64_t seen;
        key_type limit;  // largest key of a full row; keys above it are not kept
        std::uint32_t
            next;  // slot that the next key is written to: the first empty one, or `full` and that of the limit
    };

    keyed_rows(std::size_t capacity, bool predictions)
        : capacity_(static_cast<std::uint32_t>(capacity)),
          feedback_(capacity, predictions),
          keys_(feedback_.stride()) {}

    void grow(std::size_t rows) {
        heads_.grow(rows);
        feedback_.grow(rows);
        keys_.grow(rows);
    }
    void start(std::uint32_t row, std::uint64_t user) noexcept {
        *heads_.row(row) = {user, 0, -no_key<key_type>, 0};
        feedback_.start(row);
        std::fill_n(keys_.row(row), feedback_.stride(), no_key<key_type>);
    }
    RECKON_INLINE head_type* head(std::uint32_t row) noexcept { return heads_.row(row); }
    RECKON_INLINE const head_type* head(std::uint32_t row) const noexcept { return heads_.row(row); }
    RECKON_INLINE std::uint64_t user(std::uint32_t row) const noexcept { return heads_.row(row)->user; }
    std::uint64_t seen(std::uint32_t row) const noexcept { return heads_.row(row)->seen; }
    std::uint32_t count(std::uint32_t row) const noexcept {
        const std::uint32_t next = heads_.row(row)->next;
        return (next & full) != 0 ? capacity_ : next;
    }
    const feedback_rows& feedback() const noexcept { return feedback_; }
    const key_type* keys(std::uint32_t row) const noexcept { return keys_.row(row); }

    // Counts m <= event_block events and lists those whose keys are not too large to be kept, now and later.
    RECKON_INLINE std::size_t admit(head_type* const* heads, key_type* keys, std::size_t m,
                                    std::uint32_t* kept) noexcept {
        std::size_t count = 0;
        for (std::size_t k = 0; k < m; ++k) {
            head_type& h = *heads[k];
            ++h.seen;
            // Without a branch that would be hard to predict.
            kept[count] = static_cast<std::uint32_t>(k);
            count += keys[k] <= h.limit ? 1 : 0;
        }
        return count;
    }
    RECKON_INLINE void prefetch(std::uint32_t row, key_type) const noexcept {
        const std::uint32_t next = heads_.row(row)->next;
        const std::size_t place = next & ~full, used = (next & full) != 0 ? capacity_ : place + 1;
        feedback_.prefetch(row, place);
        const key_type* const keys = keys_.row(row);
        constexpr std::size_t line = 64 / sizeof(key_type);
        for (std::size_t i = 0; i < used; i += line) prefetch_read(keys + i);
    }
    // Lets an admitted event in.
    template <class Isa>
    void keep(std::uint32_t row, key_type key, float value, float prediction) noexcept {
        head_type& h = *heads_.row(row);
        if (key > h.limit) return;  // others came in since it was admitted
        key_type* const keys = keys_.row(row);
        const std::size_t place = h.next & ~full;
        const bool is_full = (h.next & full) != 0;
        // The limit is infinite before the row is full; then the runner-up is the largest key.
        const auto found = look_through<Isa>(keys, is_full ? capacity_ : place, key, h.limit);
        if (found.same) {
            settle(row, place_of<Isa>(keys, key), value, prediction);
            return;
        }
        keys[place] = key;
        feedback_.put(row, place, value, prediction);
        if (!is_full && place + 1 < capacity_) {
            h.next = static_cast<std::uint32_t>(place + 1);
            return;
        }
        const bool is_largest = key > found.runner_up;
        h.limit = is_largest ? key : found.runner_up;
        h.next = static_cast<std::uint32_t>(is_largest ? place : found.place) | full;
    }
    // Lets in what another row of the same user keeps. `other` may be this.
    template <class Isa>
    void merge_row(std::uint32_t row, std::uint64_t, const keyed_rows& other, std::uint32_t from) noexcept {
        const std::uint32_t held = other.count(from);
        heads_.row(row)->seen = sum_of_seen(seen(row), other.seen(from));
        for (std::uint32_t s = 0; s < held; ++s) {
            keep<Isa>(row, other.keys(from)[s], other.feedback_.values(from)[s], other.feedback_.prediction(from, s));
        }
    }
    // Slots in ascending order of key.
    void order_of(std::uint32_t row, std::vector<std::uint32_t>& order) const {
        order.resize(count(row));
        for (std::size_t s = 0; s < order.size(); ++s) order[s] = static_cast<std::uint32_t>(s);
        const key_type* const k = keys(row);
        std::sort(order.begin(), order.end(), [k](std::uint32_t a, std::uint32_t b) { return k[a] < k[b]; });
    }
    // Fills an empty row; keys ascend.
    void load(std::uint32_t row, std::uint64_t seen, std::uint32_t held, const float* values, const float* predictions,
              const key_type* keys) noexcept {
        for (std::uint32_t s = 0; s < held; ++s) {
            feedback_.put(row, s, values[s], feedback_.has_predictions() ? predictions[s] : 0.0f);
            keys_.row(row)[s] = keys[s];
        }
        head_type& h = *heads_.row(row);
        h.seen = seen;
        h.next = held < capacity_ ? held : (held - 1) | full;
        if (held == capacity_) h.limit = keys[held - 1];
    }
    std::uint32_t slot_of(std::uint32_t row, std::uint64_t hash) const noexcept {
        return find_key<Sampling>(keys(row), count(row), hash);
    }
    std::size_t memory_bytes() const noexcept {
        return heads_.memory_bytes() + feedback_.memory_bytes() + keys_.memory_bytes();
    }

  private:
    static constexpr std::uint32_t full = std::uint32_t{1} << 31;

    // Two values of one event, or of two events that share a key: the one with the smaller hash stays, so that order
    // does not matter and neither large nor small values are favoured.
    void settle(std::uint32_t row, std::size_t place, float value, float prediction) noexcept {
        const auto rank = [](float v, float p) {
            return mix_bits((std::uint64_t{std::bit_cast<std::uint32_t>(v)} << 32) | std::bit_cast<std::uint32_t>(p));
        };
        const float held = feedback_.values(row)[place], held_prediction = feedback_.prediction(row, place);
        if (rank(value, prediction) < rank(held, held_prediction)) feedback_.put(row, place, value, prediction);
    }

    std::uint32_t capacity_;
    slab_column<head_type, 1> heads_;
    feedback_rows feedback_;
    slab_column<key_type> keys_;
};

// Rows of Algorithm R. Its "key" is the hash of the event before admit() and the slot after it.
class streamed_rows {
  public:
    using key_type = std::uint64_t;
    struct head_type {
        std::uint64_t user;
        std::uint64_t seen;
    };

    streamed_rows(std::size_t capacity, bool predictions)
        : capacity_(static_cast<std::uint32_t>(capacity)), feedback_(capacity, predictions) {}

    void grow(std::size_t rows) {
        heads_.grow(rows);
        feedback_.grow(rows);
    }
    void start(std::uint32_t row, std::uint64_t user) noexcept {
        *heads_.row(row) = {user, 0};
        feedback_.start(row);
    }
    RECKON_INLINE head_type* head(std::uint32_t row) noexcept { return heads_.row(row); }
    RECKON_INLINE const head_type* head(std::uint32_t row) const noexcept { return heads_.row(row); }
    RECKON_INLINE std::uint64_t user(std::uint32_t row) const noexcept { return heads_.row(row)->user; }
    std::uint64_t seen(std::uint32_t row) const noexcept { return heads_.row(row)->seen; }
    std::uint32_t count(std::uint32_t row) const noexcept { return filled(heads_.row(row)->seen); }
    const feedback_rows& feedback() const noexcept { return feedback_; }
    const key_type* keys(std::uint32_t) const noexcept { return nullptr; }

    RECKON_INLINE std::size_t admit(head_type* const* heads, key_type* keys, std::size_t m,
                                    std::uint32_t* kept) noexcept {
        std::uint64_t before[event_block];
        for (std::size_t k = 0; k < m; ++k) before[k] = heads[k]->seen++;
        for (std::size_t k = 0; k < m; ++k) keys[k] = mix_bits(keys[k] + before[k] * hash_step);
        std::size_t count = 0;
        for (std::size_t k = 0; k < m; ++k) {
            const std::uint64_t drawn = scale_bits(keys[k], before[k] + 1);
            keys[k] = before[k] < capacity_ ? before[k] : drawn;
            kept[count] = static_cast<std::uint32_t>(k);
            count += keys[k] < capacity_ ? 1 : 0;
        }
        return count;
    }
    RECKON_INLINE void prefetch(std::uint32_t row, key_type place) const noexcept {
        feedback_.prefetch(row, static_cast<std::size_t>(place));
    }
    template <class Isa>
    RECKON_INLINE void keep(std::uint32_t row, key_type place, float value, float prediction) noexcept {
        feedback_.put(row, static_cast<std::size_t>(place), value, prediction);
    }
    template <class Isa>
    void merge_row(std::uint32_t row, std::uint64_t user_hash, const streamed_rows& other, std::uint32_t from) {
        const std::uint64_t mine = seen(row), theirs = other.seen(from);
        const std::uint32_t held = filled(mine), other_held = filled(theirs);
        std::uint64_t state = mix_bits(mix_bits(user_hash + mine * hash_step) + theirs * hash_step);
        const auto below = [&state](std::uint64_t n) { return scale_bits(mix_bits(state += hash_step), n); };
        // How many of `capacity_` events drawn from all without replacement are of this row.
        std::uint32_t taken = held, other_taken = other_held;
        if (mine + theirs > capacity_) {
            taken = other_taken = 0;
            for (std::uint32_t k = 0; k < capacity_; ++k) {
                const bool first = below(mine - taken + theirs - other_taken) < mine - taken;
                ++(first ? taken : other_taken);
            }
        }
        // Those of the other row are copied first, because it may be this one.
        std::vector<float> values, predictions;
        const auto choose = [&](const feedback_rows& rows, std::uint32_t r, std::uint32_t count, std::uint32_t wanted) {
            // Each slot with probability wanted / left (selection sampling).
            for (std::uint32_t s = 0; s < count && wanted > 0; ++s) {
                if (below(count - s) >= wanted) continue;
                values.push_back(rows.values(r)[s]);
                predictions.push_back(rows.prediction(r, s));
                --wanted;
            }
        };
        values.reserve(capacity_);
        predictions.reserve(capacity_);
        choose(feedback_, row, held, taken);
        choose(other.feedback_, from, other_held, other_taken);
        for (std::size_t s = 0; s < values.size(); ++s) feedback_.put(row, s, values[s], predictions[s]);
        heads_.row(row)->seen = sum_of_seen(mine, theirs);
    }
    // Slots as they stand: later events replace them by number.
    void order_of(std::uint32_t row, std::vector<std::uint32_t>& order) const {
        order.resize(count(row));
        for (std::size_t s = 0; s < order.size(); ++s) order[s] = static_cast<std::uint32_t>(s);
    }
    void load(std::uint32_t row, std::uint64_t seen, std::uint32_t held, const float* values, const float* predictions,
              const key_type*) noexcept {
        for (std::uint32_t s = 0; s < held; ++s) {
            feedback_.put(row, s, values[s], feedback_.has_predictions() ? predictions[s] : 0.0f);
        }
        heads_.row(row)->seen = seen;
    }
    std::uint32_t slot_of(std::uint32_t, std::uint64_t) const noexcept { return no_history; }
    std::size_t memory_bytes() const noexcept { return heads_.memory_bytes() + feedback_.memory_bytes(); }

  private:
    std::uint32_t filled(std::uint64_t seen) const noexcept {
        return seen < capacity_ ? static_cast<std::uint32_t>(seen) : capacity_;
    }

    std::uint32_t capacity_;
    slab_column<head_type, 1> heads_;
    feedback_rows feedback_;
};

}  // namespace reckon::detail
