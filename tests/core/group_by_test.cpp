// Rows gathered by id against a map.
#include "reckon/core/group_by.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <vector>

#include "reckon/core/random.hpp"
#include "reckon/core/segments.hpp"

using namespace reckon;

TEST_CASE("group_by: worked example") {
    const std::vector<std::int64_t> users{7, -3, 7, 900, -3, 7};
    const auto groups = group_by(users);
    CHECK(groups.ids == std::vector<std::int64_t>{-3, 7, 900});
    CHECK(groups.offsets == std::vector<std::uint32_t>{0, 2, 5, 6});
    CHECK(groups.rows == std::vector<std::uint32_t>{1, 4, 0, 2, 5, 3});
    CHECK_FALSE(groups.in_place());
    const std::vector<float> seconds{1, 2, 3, 4, 5, 6};
    CHECK(groups.gather(input(seconds)) == std::vector<float>{2, 5, 1, 3, 6, 4});
    const std::vector<float> two{1, 2};
    CHECK_THROWS_WITH_AS(groups.gather(input(two)), "grouped_rows: 6 ids but a column of 2", std::invalid_argument);
    CHECK(grouped_rows<int>().gather(vector_view<const float>()).empty());
    CHECK(make_segments("test", groups.offsets, users.size()).size() == 3);
}

TEST_CASE_TEMPLATE("group_by: as a map, whatever the ids", Id, std::uint8_t, std::int32_t, std::uint32_t, std::int64_t,
                   std::uint64_t) {
    const random_stream rng(1);
    for (const std::size_t n : {0u, 1u, 2u, 3u, 100u, 5000u}) {
        for (const std::uint64_t distinct : {std::uint64_t{1}, std::uint64_t{7}, std::uint64_t{1} << 40}) {
            for (const bool ascending : {false, true}) {
                std::vector<Id> ids(n);
                // Products spread over all digits of the type, the sign included.
                for (std::size_t i = 0; i < n; ++i) {
                    ids[i] = static_cast<Id>(rng.below(i, distinct) * 0x9E3779B97F4A7C15u);
                }
                if (ascending) std::sort(ids.begin(), ids.end());
                std::map<Id, std::vector<std::uint32_t>> want;
                for (std::size_t i = 0; i < n; ++i) want[ids[i]].push_back(static_cast<std::uint32_t>(i));
                const auto groups = group_by(ids);
                REQUIRE(groups.size() == want.size());
                REQUIRE(groups.offsets.size() == want.size() + 1);
                if (ascending) CHECK(groups.in_place());
                std::size_t g = 0;
                bool same = true;
                for (const auto& [id, rows] : want) {
                    same = same && groups.ids[g] == id && groups.count(g) == rows.size();
                    for (std::size_t k = 0; same && k < rows.size(); ++k) {
                        same = groups.row(groups.first(g) + k) == rows[k];
                    }
                    ++g;
                }
                CHECK(same);
            }
        }
    }
}
