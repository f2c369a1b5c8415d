// The few pairs of a block of queries with all keys that a loss on tiles treats in another way than the rest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/exec/tile.hpp"

namespace reckon::detail {

// Marks of a block, gathered by tile: tile (i, p) holds rows i * rows .. and keys p * cols .. .
template <class T, class Isa>
class marked_pairs {
    using block = tile::block<T, Isa>;

  public:
    struct mark {
        std::uint16_t at;  // row * cols + column inside the tile
        bool positive;
    };

    // visit(put) calls put(row of the block, key, positive) for every marked pair once, and does the same when called
    // again.
    template <class Visit>
    marked_pairs(std::size_t tiles, std::size_t panels, Visit&& visit) : tiles_(tiles), ends_(tiles * panels + 1, 0) {
        visit([&](std::size_t r, std::size_t j, bool) { ++ends_[tile_of(r, j) + 1]; });
        for (std::size_t t = 1; t < ends_.size(); ++t) ends_[t] += ends_[t - 1];
        marks_.resize(ends_.back());
        // Filling moves each start to where its tile ends, which is where the next one starts.
        visit([&](std::size_t r, std::size_t j, bool positive) {
            const auto at = static_cast<std::uint16_t>(r % block::rows * block::cols + j % block::cols);
            marks_[ends_[tile_of(r, j)]++] = {at, positive};
        });
    }
    bool any_of(std::size_t i, std::size_t p) const noexcept { return first(i, p) != ends_[p * tiles_ + i]; }
    // body(mark) for those of tile (i, p).
    template <class Body>
    void for_each(std::size_t i, std::size_t p, Body&& body) const {
        for (std::size_t m = first(i, p); m < ends_[p * tiles_ + i]; ++m) body(marks_[m]);
    }

  private:
    std::size_t tile_of(std::size_t r, std::size_t j) const noexcept {
        return j / block::cols * tiles_ + r / block::rows;
    }
    std::size_t first(std::size_t i, std::size_t p) const noexcept {
        const std::size_t t = p * tiles_ + i;
        return t == 0 ? 0 : ends_[t - 1];
    }

    std::size_t tiles_;
    std::vector<std::size_t> ends_;
    std::vector<mark> marks_;
};

}  // namespace reckon::detail
