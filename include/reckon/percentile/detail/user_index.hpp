// From 64-bit user ids to row numbers without a pause: extendible hashing (Fagin et al. 1979) over small tables.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/percentile/history.hpp"

namespace reckon::detail {

// Holds row numbers by the hash of their user; the ids themselves are in the rows. Nothing is ever removed.
//
// The leading bits of a hash pick a table from a directory. Tables have at most 4092 places and grow by a quarter; a full
// one of that size is split in two. So an insertion moves at most 3580 entries, whatever the number of users, and
// between 70 % and 7/8 of the places are taken: 6.1 to 7.7 bytes a user. A look-up that succeeds mostly reads one cache
// line.
class user_index {
  public:
    // Row of the user with this hash for which same(row) holds, or no_history.
    template <class Same>
    RECKON_INLINE std::uint32_t find(std::uint64_t hash, Same&& same) const noexcept {
        const table& t = table_of(hash);
        for (std::size_t g = home(hash, t.groups.size());;) {
            const group& at = t.groups[g];
            for (std::uint64_t hits = at.places(tag(hash)); hits != 0; hits &= hits - 1) {
                const std::uint32_t row = at.rows[group::lowest(hits)];
                if (same(row)) return row;
            }
            if (at.places(0) != 0) return no_history;
            if (++g == t.groups.size()) g = 0;
        }
    }
    // Where find() begins, until the next insertion.
    RECKON_INLINE const void* begin(std::uint64_t hash) const noexcept {
        const table& t = table_of(hash);
        return t.groups.data() + home(hash, t.groups.size());
    }
    // The row that find() asks about first, or some other one: what stands in the place of bit 56.
    static RECKON_INLINE std::uint32_t candidate(const void* begin, std::uint64_t hash) noexcept {
        const group& at = *static_cast<const group*>(begin);
        const std::uint64_t hits = at.places(tag(hash)) | (std::uint64_t{1} << 56);
        return at.rows[group::lowest(hits)];
    }
    // Adds a row that is not there; hash_of(row) is needed for those that move. Changes nothing when memory runs out.
    template <class HashOf>
    void insert(std::uint64_t hash, std::uint32_t row, HashOf&& hash_of) {
        for (;;) {
            const std::uint32_t number = directory_[prefix(hash, depth_)];
            table& t = tables_[number];
            if (t.used < t.groups.size() * group_size * 7 / 8) {
                put(t, hash, row);
                return;
            }
            if (t.groups.size() < most_groups || t.depth == most_depth) {
                table larger = empty_table(t.groups.size() + t.groups.size() / 4 + 1, t.depth);
                for_each_row(t, [&](std::uint32_t r) { put(larger, hash_of(r), r); });
                t = std::move(larger);
            } else {
                split(number, hash, hash_of);
            }
        }
    }
    std::size_t memory_bytes() const noexcept {
        std::size_t bytes = directory_.capacity() * sizeof(std::uint32_t) + tables_.capacity() * sizeof(table);
        for (const table& t : tables_) bytes += t.groups.capacity() * sizeof(group);
        return bytes;
    }

  private:
    static constexpr std::size_t group_size = 12;
    static constexpr std::size_t most_groups = 341;
    static constexpr std::uint32_t most_depth = 24;  // the other 40 bits pick group and tag
    static constexpr std::uint64_t every_byte = 0x0101010101010101u;

    // Twelve places in a cache line; a tag is 0 where nothing is, and odd elsewhere.
    struct alignas(64) group {
        std::uint64_t low_tags = 0;
        std::uint32_t high_tags = 0;
        std::uint32_t unused = 0;
        std::uint32_t rows[group_size] = {};

        // One bit for every place with this tag, and perhaps for some above the lowest of them. Of the bits of a byte
        // the first stands for a place in low_tags, the second for one in high_tags.
        RECKON_INLINE std::uint64_t places(std::uint64_t tag) const noexcept {
            const std::uint64_t wanted = tag * every_byte;
            const std::uint64_t low = low_tags ^ wanted, high = (high_tags ^ wanted) | 0xffffffff00000000u;
            return (((low - every_byte) & ~low & (every_byte << 7)) >> 7) |
                   (((high - every_byte) & ~high & (every_byte << 7)) >> 6);
        }
        static RECKON_INLINE std::size_t lowest(std::uint64_t places) noexcept {
            const auto bit = static_cast<std::size_t>(std::countr_zero(places));
            return bit / 8 + bit % 8 * 8;
        }
    };
    struct table {
        std::vector<group> groups;
        std::uint32_t used = 0;
        std::uint32_t depth = 0;  // leading bits that all hashes in it share
    };

    RECKON_INLINE const table& table_of(std::uint64_t hash) const noexcept {
        return tables_[directory_[prefix(hash, depth_)]];
    }
    static RECKON_INLINE std::size_t prefix(std::uint64_t hash, std::uint32_t depth) noexcept {
        return static_cast<std::size_t>(hash >> 1 >> (63 - depth));
    }
    static RECKON_INLINE std::size_t home(std::uint64_t hash, std::size_t groups) noexcept {
        return static_cast<std::size_t>(((hash & 0xffffffffu) * groups) >> 32);
    }
    static RECKON_INLINE std::uint64_t tag(std::uint64_t hash) noexcept { return ((hash >> 32) & 0xff) | 1; }
    static table empty_table(std::size_t groups, std::uint32_t depth) {
        table t;
        t.groups = std::vector<group>(groups < most_groups || depth == most_depth ? groups : most_groups);
        t.depth = depth;
        return t;
    }
    template <class Visit>
    static void for_each_row(const table& t, Visit&& visit) {
        for (const group& g : t.groups) {
            for (std::size_t i = 0; i < group_size; ++i) {
                const std::uint64_t tags = i < 8 ? g.low_tags >> (8 * i) : std::uint64_t{g.high_tags} >> (8 * (i - 8));
                if ((tags & 1) != 0) visit(g.rows[i]);
            }
        }
    }
    static void put(table& t, std::uint64_t hash, std::uint32_t row) noexcept {
        std::size_t at = home(hash, t.groups.size());
        while (t.groups[at].places(0) == 0) at = at + 1 == t.groups.size() ? 0 : at + 1;
        group& g = t.groups[at];
        const std::size_t i = group::lowest(g.places(0));
        if (i < 8) {
            g.low_tags |= tag(hash) << (8 * i);
        } else {
            g.high_tags |= static_cast<std::uint32_t>(tag(hash) << (8 * (i - 8)));
        }
        g.rows[i] = row;
        ++t.used;
    }
    template <class HashOf>
    void split(std::uint32_t number, std::uint64_t hash, HashOf&& hash_of) {
        const std::uint32_t depth = tables_[number].depth + 1;
        std::size_t counts[2] = {0, 0};
        for_each_row(tables_[number], [&](std::uint32_t r) { ++counts[prefix(hash_of(r), depth) & 1]; });
        // 7 rows for 10 places, rounded up.
        table halves[2] = {empty_table(counts[0] * 10 / (7 * group_size) + 1, depth),
                           empty_table(counts[1] * 10 / (7 * group_size) + 1, depth)};
        for_each_row(tables_[number], [&](std::uint32_t r) {
            const std::uint64_t h = hash_of(r);
            put(halves[prefix(h, depth) & 1], h, r);
        });
        std::vector<std::uint32_t> wider;
        if (depth > depth_) {
            wider.reserve(2 * directory_.size());
            for (const std::uint32_t n : directory_) wider.insert(wider.end(), 2, n);
        }
        tables_.emplace_back();
        if (depth > depth_) {
            directory_ = std::move(wider);
            depth_ = depth;
        }
        tables_[number] = std::move(halves[0]);
        tables_.back() = std::move(halves[1]);
        // All entries that share the bits of the split table are neighbours; the second half of them moves.
        const std::uint32_t unused = depth_ - depth;
        const std::size_t upper = (prefix(hash, depth) | 1) << unused;
        for (std::size_t d = upper; d < upper + (std::size_t{1} << unused); ++d) {
            directory_[d] = static_cast<std::uint32_t>(tables_.size() - 1);
        }
    }

    std::uint32_t depth_ = 0;
    std::vector<std::uint32_t> directory_ = std::vector<std::uint32_t>(1);  // 2^depth_ numbers of tables
    std::vector<table> tables_ = std::vector<table>(1, empty_table(1, 0));
};

}  // namespace reckon::detail
