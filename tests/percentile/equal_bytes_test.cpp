// Tags of a hash table at one look, against one byte at a time.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>

#include "reckon/core/random.hpp"
#include "reckon/percentile/detail/equal_bytes.simd.hpp"

namespace reckon {

TEST_CASE("equal_bytes: one bit for every equal byte") {
    const std::uint8_t some[16] = {7, 0, 255, 7, 128, 1, 2, 3, 7, 0, 0, 9, 127, 129, 254, 7};
    CHECK(detail::equal_bytes(some, 7) == 0x8109u);
    CHECK(detail::equal_bytes(some, 0) == 0x0602u);
    CHECK(detail::equal_bytes(some, 255) == 0x0004u);
    CHECK(detail::equal_bytes(some, 6) == 0u);
    const random_stream rng(5);
    bool same = true;
    for (std::uint64_t round = 0; round < 500; ++round) {
        std::uint8_t bytes[16];
        for (std::size_t i = 0; i < 16; ++i) bytes[i] = static_cast<std::uint8_t>(rng.below(16 * round + i, 6) * 51);
        for (unsigned wanted = 0; wanted < 256; ++wanted) {
            std::uint32_t hits = 0;
            for (std::size_t i = 0; i < 16; ++i) hits |= (bytes[i] == wanted ? 1u : 0u) << i;
            same = same && detail::equal_bytes(bytes, static_cast<std::uint8_t>(wanted)) == hits;
        }
    }
    CHECK(same);
}

}  // namespace reckon
