// A bounded sample of every user's feedback: the history that percentile labels compare with.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/prefetch.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/percentile/detail/kept_rows.hpp"
#include "reckon/percentile/detail/reservoir_bytes.hpp"
#include "reckon/percentile/detail/user_index.hpp"
#include "reckon/percentile/history.hpp"
#include "reckon/percentile/sampling.hpp"

namespace reckon {

namespace detail {

// The columns of offer().
template <class U, class E, class T>
struct offered_events {
    vector_view<const U> users;
    vector_view<const float> feedback;
    vector_view<const E> events;           // or empty
    vector_view<const float> predictions;  // or empty
    vector_view<const T> times;            // or empty
    double rate = 0.0;

    std::uint64_t user(std::size_t i) const noexcept { return static_cast<std::uint64_t>(users[i]); }
    std::uint64_t event(std::size_t i) const noexcept {
        return events.empty() ? 0 : static_cast<std::uint64_t>(events[i]);
    }
    double time(std::size_t i) const noexcept { return static_cast<double>(times[i]); }
    float prediction(std::size_t i) const noexcept { return predictions.empty() ? 0.0f : predictions[i]; }
    bool usable(std::size_t i) const noexcept {
        bool ok = feedback[i] == feedback[i];
        if (!predictions.empty()) ok = ok && predictions[i] == predictions[i];
        if (!times.empty()) ok = ok && std::isfinite(time(i)) && std::isfinite(time(i) * rate);
        return ok;
    }
    // usable(i) for all m events from `first` on, without jumps.
    bool all_usable(std::size_t first, std::size_t m) const noexcept {
        unsigned unfit = 0;
        for (std::size_t i = first; i < first + m; ++i) unfit |= feedback[i] == feedback[i] ? 0u : 1u;
        if (!predictions.empty()) {
            for (std::size_t i = first; i < first + m; ++i) unfit |= predictions[i] == predictions[i] ? 0u : 1u;
        }
        if (!times.empty()) {
            for (std::size_t i = first; i < first + m; ++i) {
                unfit |= std::isfinite(time(i)) && std::isfinite(time(i) * rate) ? 0u : 1u;
            }
        }
        return unfit == 0;
    }
};

}  // namespace detail

/// Keeps up to R events of every user.
///
/// Sampling  which ones: sampling::bottom_k (default; a uniform sample that does not depend on order, split or repeated
///           delivery), bottom_k_wide, decayed (recent events first), algorithm_r (least memory).
/// Throws    std::invalid_argument for a capacity outside 1 .. 2^20 or a half-life outside [1e-300, 1e300]. offer,
///           merge and read may throw std::bad_alloc; the state is then usable, and holds a part of the events.
/// Cost      bytes a user, with stride = R rounded up to a multiple of 16: algorithm_r 4 stride + 16, bottom_k
///           8 stride + 24, decayed and bottom_k_wide 12 stride + 32; 4 stride more for predictions, and 6.1 to 7.7 for
///           the index, from a thousand users on. So R = 64 under algorithm_r costs at most 4 * 64 + 24. Each of the
///           two to four columns is rounded up to whole slabs of 1 to 6 MiB (2 for R a power of two), a small one to a
///           power of two of rows.
///           Growth never moves more than one slab, nor more than 3580 entries of the index.
///           An event costs a look into the index and one compare; one that is kept under a keyed form also a pass over
///           the R keys of its row.
/// Numerics  the same events are kept on every platform (decayed: up to the bits of a logarithm), with any number of
///           threads.
/// Source    see sampling.hpp; a reservoir per user as in PEARL (2026).
template <class Sampling = sampling::bottom_k>
class reservoir {
  public:
    using sampling_type = Sampling;
    using key_type = typename Sampling::key_type;
    static constexpr std::uint32_t bytes_kind = Sampling::bytes_kind;
    static constexpr std::uint32_t bytes_version = 1;

    explicit reservoir(const reservoir_options& options = {}, const Sampling& sampling = {})
        : options_(options),
          sampling_(sampling),
          seed_(detail::mixed_seed(options.seed)),
          rows_(checked(options, sampling).capacity, options.predictions) {}

    /// Offers a batch of events, in order of arrival.
    ///
    /// Shapes    users [N] of any integer type, sparse ids are as good as dense ones; feedback [N] float; events [N] of
    ///           any integer type: the number of an event among those of its user (algorithm_r may do without: none).
    ///           predictions [N] float when the options ask for them, else none. times [N] for sampling::decayed, else
    ///           none.
    /// Throws    std::invalid_argument when lengths differ or a column is missing or too many, and for more than
    ///           2^32 - 2 users. Counts and skips events with a NaN in feedback, prediction or time, and infinite
    ///           times; infinite feedback is legal.
    /// Cost      see above; on exec::host 8 bytes of scratch an event, for 65536 events at most.
    /// Numerics  the state is bit-equal for every policy and number of threads: new rows are numbered in order of
    ///           arrival and each row has one owner.
    template <exec::policy Policy, vector_like U, vector_like Y, class E, class P = none, class T = none,
              class Isa = isa::native>
    void offer(const Policy& where, const U& users, const Y& feedback, const E& events, const P& predictions = {},
               const T& times = {}) {
        exec::detail::require_host_policy<Policy>();
        const auto batch = columns(users, feedback, events, predictions, times);
        const std::size_t n = batch.users.size();
        std::size_t first = 0;
        if (held_ == 0) {
            // The loops below look at a row before they know whose it is, so there must be one.
            while (first < n && !batch.usable(first)) ++first;
            seen_.rejected += first;
            if (first < n) find_or_add(batch.user(first), detail::hash_of_user(seed_, batch.user(first)));
        }
        constexpr bool is_serial = std::is_same_v<Policy, exec::serial_policy>;
        constexpr std::size_t step = is_serial ? block : chunk;
        for (; first < n; first += step) {
            const std::size_t m = (std::min)(step, n - first);
            if constexpr (is_serial) {
                offer_block<Isa>(batch, first, m);
            } else {
                offer_chunk<Isa>(where, batch, first, m);
            }
        }
    }

    /// The union of both: of each user the events that one reservoir would have kept of all of them (algorithm_r: of
    /// the same distribution). Numbers of events seen add, up to 2^56.
    ///
    /// Throws    std::invalid_argument when capacity, seed, predictions or half-life differ.
    template <class Isa = isa::native>
    void merge(const reservoir& other) {
        const auto same = [](const char* what, auto mine, auto theirs) {
            expects(mine == theirs, "reservoir", "cannot merge ", what, " ", theirs, " into ", mine);
        };
        same("capacity", options_.capacity, other.options_.capacity);
        same("seed", options_.seed, other.options_.seed);
        same("predictions", options_.predictions, other.options_.predictions);
        same("half-life", sampling_.parameter(), other.sampling_.parameter());
        const std::size_t count = other.rows();
        for (std::size_t r = 0; r < count; ++r) {
            const auto from = static_cast<std::uint32_t>(r);
            const std::uint64_t user = other.rows_.user(from), hash = detail::hash_of_user(seed_, user);
            const std::uint32_t to = find_or_add(user, hash);
            const std::uint64_t before = rows_.seen(to);
            rows_.template merge_row<Isa>(to, hash, other.rows_, from);
            // Row by row, so that the sum is right also where an allocation fails half-way.
            seen_.accepted += rows_.seen(to) - before;
        }
        seen_.rejected += other.seen_.rejected;
    }

    /// Row of a user, or no_history. Rows are numbered in order of arrival.
    std::uint32_t find(std::uint64_t user) const noexcept { return find(user, detail::hash_of_user(seed_, user)); }
    history_row row(std::uint32_t r) const noexcept {
        return {rows_.feedback().values(r), rows_.feedback().predictions(r), rows_.count(r),
                static_cast<std::uint32_t>(rows_.feedback().stride())};
    }
    /// Slot of the row that holds this event; no_history when none does, and always under algorithm_r.
    std::uint32_t slot_of(std::uint32_t r, std::uint64_t user, std::uint64_t event) const noexcept {
        return rows_.slot_of(r, detail::hash_of_event(detail::hash_of_user(seed_, user), event));
    }
    bool has_predictions() const noexcept { return options_.predictions; }

    /// Number of users that were seen, which is the number of rows.
    std::size_t rows() const noexcept { return held_; }
    /// User of row r < rows().
    std::uint64_t user(std::uint32_t r) const noexcept { return rows_.user(r); }
    /// Events of a user that were accepted; repeated deliveries count.
    std::uint64_t seen(std::uint64_t user) const noexcept {
        const std::uint32_t r = find(user);
        return r == no_history ? 0 : rows_.seen(r);
    }
    /// Events of all users.
    const counts& seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }
    const reservoir_options& options() const noexcept { return options_; }
    const Sampling& sampling() const noexcept { return sampling_; }
    /// Bytes that the state holds, unused parts of slabs included.
    std::size_t memory_bytes() const noexcept { return rows_.memory_bytes() + index_.memory_bytes(); }

    /// Rows in ascending order of user, slots of keyed forms in ascending order of key: what was kept decides the bytes
    /// alone, in whatever order it came.
    void write(byte_writer& out) const {
        const std::size_t n = held_, stride = rows_.feedback().stride();
        const auto order = detail::radix_order<isa::native>(
            n, [this](std::size_t r) { return rows_.user(static_cast<std::uint32_t>(r)); });
        detail::write_header(out, {options_, sampling_.parameter(), seen_.rejected, n});
        std::vector<std::uint32_t> places;
        const auto put_rows = [&](auto empty, auto&& source) {
            std::vector<decltype(empty)> line(stride);
            for (const std::uint32_t r : order) {
                rows_.order_of(r, places);
                const auto* const from = source(r);
                for (std::size_t s = 0; s < stride; ++s) line[s] = s < places.size() ? from[places[s]] : empty;
                out.put_all(input(line));
            }
        };
        constexpr float nan = std::numeric_limits<float>::quiet_NaN();
        put_rows(nan, [this](std::uint32_t r) { return rows_.feedback().values(r); });
        if (options_.predictions) put_rows(nan, [this](std::uint32_t r) { return rows_.feedback().predictions(r); });
        if constexpr (Sampling::is_keyed) {
            put_rows(detail::no_key<key_type>, [this](std::uint32_t r) { return rows_.keys(r); });
        }
        for (const std::uint32_t r : order) out.put(rows_.user(r));
        for (const std::uint32_t r : order) out.put(rows_.seen(r));
        for (const std::uint32_t r : order) out.put(rows_.count(r));
    }
    static reservoir read(byte_reader& in) {
        const auto header = detail::read_header<Sampling>(in);
        const auto columns = detail::read_columns<Sampling>(in, header);
        reservoir state(header.options, Sampling::from_parameter(header.parameter));
        state.load(header, columns);
        return state;
    }

  private:
    using row_store = std::conditional_t<Sampling::is_keyed, detail::keyed_rows<Sampling>, detail::streamed_rows>;

    using head_type = typename row_store::head_type;

    static constexpr std::size_t block = detail::event_block;
    // Events whose owners are found together under exec::host.
    static constexpr std::size_t chunk = std::size_t{1} << 16;

    static const reservoir_options& checked(const reservoir_options& options, const Sampling& sampling) {
        expects(1 <= options.capacity && options.capacity <= detail::most_capacity, "reservoir",
                "capacity must be in [1, 2^20], got ", options.capacity);
        if constexpr (Sampling::is_timed) {
            expects(detail::is_half_life(sampling.half_life), "reservoir", "half-life must be in [1e-300, 1e300], got ",
                    sampling.half_life);
        }
        return options;
    }

    template <class U, class Y, class E, class P, class T>
    auto columns(const U& users, const Y& feedback, const E& events, const P& predictions, const T& times) const {
        const auto u = input(users);
        const auto y = input(feedback);
        const auto e = input(events);
        const auto p = input(predictions);
        const auto t = input(times);
        using user_type = typename decltype(u)::value_type;
        using event_type = std::conditional_t<std::is_same_v<E, none>, std::uint64_t, typename decltype(e)::value_type>;
        static_assert(std::is_integral_v<user_type> && !std::is_same_v<user_type, bool>,
                      "reckon: users of a reservoir must be integers");
        static_assert(std::is_integral_v<event_type> && !std::is_same_v<event_type, bool>,
                      "reckon: events of a reservoir must be integers");
        static_assert(std::is_same_v<typename decltype(y)::value_type, float> &&
                          std::is_same_v<typename decltype(p)::value_type, float>,
                      "reckon: feedback and predictions of a reservoir must be float, as they are stored");
        static_assert(!std::is_same_v<E, none> || !Sampling::is_keyed,
                      "reckon: this form of sampling needs the numbers of events");
        static_assert(std::is_same_v<T, none> != Sampling::is_timed,
                      "reckon: sampling::decayed needs the times of events, the other forms have no use for them");
        const std::size_t n = u.size();
        expects(y.size() == n, "reservoir", n, " users but ", y.size(), " values of feedback");
        expects((std::is_same_v<E, none>) || e.size() == n, "reservoir", n, " users but ", e.size(), " events");
        expects(!options_.predictions || p.size() == n, "reservoir", n, " users but ", p.size(), " predictions");
        expects(options_.predictions || (std::is_same_v<P, none>), "reservoir",
                "predictions are given, but the options do not ask for them");
        expects(!Sampling::is_timed || t.size() == n, "reservoir", n, " users but ", t.size(), " times");
        detail::offered_events<user_type, event_type, typename decltype(t)::value_type> batch;
        batch.users = u;
        batch.feedback = y;
        if constexpr (!std::is_same_v<E, none>) batch.events = e;
        batch.predictions = p;
        if constexpr (Sampling::is_timed) {
            batch.times = t;
            batch.rate = sampling_.rate();
        }
        return batch;
    }

    RECKON_INLINE std::uint32_t find(std::uint64_t user, std::uint64_t hash) const noexcept {
        return index_.find(hash, [&](std::uint32_t r) { return rows_.user(r) == user; });
    }
    RECKON_NOINLINE std::uint32_t find_or_add(std::uint64_t user, std::uint64_t hash) {
        const std::uint32_t found = find(user, hash);
        return found != no_history ? found : add(user, hash);
    }
    RECKON_NOINLINE std::uint32_t add(std::uint64_t user, std::uint64_t hash) {
        expects(held_ + 1 < no_history, "reservoir", "more than 2^32 - 2 users");
        const auto row = static_cast<std::uint32_t>(held_);
        rows_.grow(held_ + 1);
        index_.insert(hash, row, [this](std::uint32_t r) { return detail::hash_of_user(seed_, rows_.user(r)); });
        rows_.start(row, user);
        ++held_;
        return row;
    }

    // Hashes of the users of m events, rows that are probably theirs, and their heads, which are on their way from
    // memory.
    template <class Batch>
    RECKON_INLINE void look_ahead(const Batch& batch, std::size_t first, std::size_t m, std::uint64_t* hashes,
                                  std::uint32_t* rows, head_type** heads) noexcept {
        const void* begins[block];
        for (std::size_t k = 0; k < m; ++k) hashes[k] = detail::hash_of_user(seed_, batch.user(first + k));
        for (std::size_t k = 0; k < m; ++k) {
            begins[k] = index_.begin(hashes[k]);
            detail::prefetch_read(begins[k]);
        }
        for (std::size_t k = 0; k < m; ++k) {
            rows[k] = index_.candidate(begins[k], hashes[k]);
            heads[k] = rows_.head(rows[k]);
            detail::prefetch_write(heads[k]);
        }
    }

    // Offers m <= block events to their rows. item(k) is the number of an event in the batch, rows[k] its row and
    // heads[k] the head of it; hashes are those of the users and are overwritten.
    template <class Isa, class Batch, class Item>
    RECKON_INLINE void offer_rows(const Batch& batch, std::size_t m, Item&& item, const std::uint32_t* rows,
                                  head_type* const* heads, std::uint64_t* hashes) noexcept {
        key_type keys[block];
        double times[Sampling::is_timed ? block : 1] = {};
        for (std::size_t k = 0; k < m; ++k) hashes[k] = detail::hash_of_event(hashes[k], batch.event(item(k)));
        if constexpr (Sampling::is_timed) {
            for (std::size_t k = 0; k < m; ++k) times[k] = batch.time(item(k));
        }
        sampling_.template make_keys<Isa>(hashes, times, m, keys);
        std::uint32_t kept[block];
        const std::size_t count = rows_.admit(heads, keys, m, kept);
        // All at once would be more than the processor asks memory for at a time.
        constexpr std::size_t ahead = Sampling::is_keyed && sizeof(key_type) == 8 ? 4 : 8;
        const auto prefetch = [&](std::size_t a) { rows_.prefetch(rows[kept[a]], keys[kept[a]]); };
        for (std::size_t a = 0; a < (std::min)(count, ahead); ++a) prefetch(a);
        for (std::size_t a = 0; a < count; ++a) {
            if (a + ahead < count) prefetch(a + ahead);
            const std::size_t k = kept[a], i = item(k);
            rows_.template keep<Isa>(rows[k], keys[k], batch.feedback[i], batch.prediction(i));
        }
    }

    template <class Isa, class Batch>
    void offer_block(const Batch& batch, std::size_t first, std::size_t m) {
        std::uint64_t hashes[block];
        std::uint32_t rows[block], items[block];
        head_type* heads[block];
        look_ahead(batch, first, m, hashes, rows, heads);
        const std::size_t held = held_;
        std::size_t strangers = 0, good = m;
        for (std::size_t k = 0; k < m; ++k) {
            items[strangers] = static_cast<std::uint32_t>(k);
            strangers += heads[k]->user != batch.user(first + k) ? 1 : 0;
        }
        for (std::size_t s = 0; s < strangers; ++s) {
            const std::size_t k = items[s];
            if (batch.usable(first + k)) rows[k] = find_or_add(batch.user(first + k), hashes[k]);
        }
        for (std::size_t s = 0; s < strangers; ++s) heads[items[s]] = rows_.head(rows[items[s]]);
        if (held_ != held) {  // heads may have moved
            for (std::size_t k = 0; k < m; ++k) heads[k] = rows_.head(rows[k]);
        }
        for (std::size_t k = 0; k < m; ++k) items[k] = static_cast<std::uint32_t>(k);
        if (!batch.all_usable(first, m)) {
            good = 0;
            for (std::size_t k = 0; k < m; ++k) {
                if (!batch.usable(first + k)) continue;
                rows[good] = rows[k];
                heads[good] = heads[k];
                hashes[good] = hashes[k];
                items[good++] = static_cast<std::uint32_t>(k);
            }
        }
        seen_.accepted += good;
        seen_.rejected += m - good;
        offer_rows<Isa>(
            batch, good, [&](std::size_t k) { return first + items[k]; }, rows, heads, hashes);
    }

    // As offer_block for many events: rows are found in parallel, new ones added in order, and then each of 64 groups
    // of rows takes its events in order.
    template <class Isa, class Policy, class Batch>
    void offer_chunk(const Policy& where, const Batch& batch, std::size_t first, std::size_t m) {
        constexpr std::size_t owners = 64;
        constexpr std::uint32_t unusable = no_history - 1;
        // Neighbours share cache lines, so sixteen of them have the same owner.
        const auto owner = [](std::uint32_t row) { return static_cast<std::size_t>(row / 16 % owners); };
        scratch_array<std::uint32_t> rows(m), order(m);
        exec::map_parts(where, m, [&](std::size_t begin, std::size_t count) {
            std::uint64_t hashes[block];
            head_type* heads[block];
            for (std::size_t b = begin; b < begin + count; b += block) {
                const std::size_t size = (std::min)(block, begin + count - b);
                std::uint32_t* const found = rows.data() + b;
                look_ahead(batch, first + b, size, hashes, found, heads);
                for (std::size_t k = 0; k < size; ++k) {
                    const std::uint64_t user = batch.user(first + b + k);
                    if (!batch.usable(first + b + k)) {
                        found[k] = unusable;
                    } else if (heads[k]->user != user) {
                        found[k] = find(user, hashes[k]);
                    }
                }
            }
        });
        std::size_t ends[owners] = {};
        std::size_t good = 0;
        for (std::size_t k = 0; k < m; ++k) {
            if (rows[k] == unusable) continue;
            if (rows[k] == no_history) {
                const std::uint64_t user = batch.user(first + k);
                rows[k] = find_or_add(user, detail::hash_of_user(seed_, user));
            }
            ++ends[owner(rows[k])];
            ++good;
        }
        std::size_t start = 0;
        for (std::size_t& end : ends) start += std::exchange(end, start);
        for (std::size_t k = 0; k < m; ++k) {
            if (rows[k] != unusable) order[ends[owner(rows[k])]++] = static_cast<std::uint32_t>(k);
        }
        exec::for_each_index(where, owners, [&](std::size_t o) {
            std::uint64_t hashes[block];
            std::uint32_t block_rows[block];
            head_type* heads[block];
            for (std::size_t b = o == 0 ? 0 : ends[o - 1]; b < ends[o]; b += block) {
                const std::size_t size = (std::min)(block, ends[o] - b);
                for (std::size_t k = 0; k < size; ++k) {
                    block_rows[k] = rows[order[b + k]];
                    heads[k] = rows_.head(block_rows[k]);
                    detail::prefetch_write(heads[k]);
                    hashes[k] = detail::hash_of_user(seed_, batch.user(first + order[b + k]));
                }
                offer_rows<Isa>(
                    batch, size, [&](std::size_t k) { return first + order[b + k]; }, block_rows, heads, hashes);
            }
        });
        seen_.accepted += good;
        seen_.rejected += m - good;
    }

    void load(const detail::reservoir_header& header, const detail::reservoir_columns& from) {
        const std::size_t stride = rows_.feedback().stride();
        seen_.rejected = header.rejected;
        if (header.rows == 0) return;
        std::vector<float> values(stride), predictions(options_.predictions ? stride : 0);
        std::vector<key_type> keys(Sampling::is_keyed ? stride : 0);
        rows_.grow(static_cast<std::size_t>(header.rows));
        for (std::size_t r = 0; r < header.rows; ++r) {
            const auto user = detail::element<std::uint64_t>(from.users, r);
            const auto events = detail::element<std::uint64_t>(from.seen, r);
            const auto held = detail::element<std::uint32_t>(from.counts, r);
            expects_bytes(r == 0 || user > rows_.user(static_cast<std::uint32_t>(r - 1)), "reservoir",
                          "users do not ascend");
            const std::uint64_t most = (std::min)(events, static_cast<std::uint64_t>(options_.capacity));
            expects_bytes(Sampling::is_keyed ? held <= most && (held > 0 || events == 0) : held == most, "reservoir",
                          held, " slots hold ", events, " events");
            expects_bytes(events <= 2 * detail::most_seen, "reservoir", events, " events cannot have been seen");
            for (std::size_t s = 0; s < stride; ++s) {
                values[s] = detail::element<float>(from.values, r * stride + s);
                expect_filled(values[s], s < held);
                if (options_.predictions) {
                    predictions[s] = detail::element<float>(from.predictions, r * stride + s);
                    expect_filled(predictions[s], s < held);
                }
                if constexpr (Sampling::is_keyed) {
                    keys[s] = detail::element<key_type>(from.keys, r * stride + s);
                    expects_bytes(s < held ? Sampling::is_legal(keys[s]) && (s == 0 || keys[s] > keys[s - 1])
                                           : keys[s] == detail::no_key<key_type>,
                                  "reservoir", "keys do not ascend");
                }
            }
            const std::uint32_t row = add(user, detail::hash_of_user(seed_, user));
            rows_.load(row, events, held, values.data(), predictions.data(), keys.data());
            seen_.accepted += events;
        }
    }
    static void expect_filled(float x, bool filled) {
        constexpr std::uint32_t empty = 0x7fc00000u;
        expects_bytes(filled ? x == x : std::bit_cast<std::uint32_t>(x) == empty, "reservoir",
                      "a slot holds what it cannot");
    }

    reservoir_options options_;
    Sampling sampling_;
    std::uint64_t seed_;  // mixed
    row_store rows_;
    detail::user_index index_;
    std::size_t held_ = 0;
    counts seen_;
};
static_assert(history_source<reservoir<>>);

}  // namespace reckon
