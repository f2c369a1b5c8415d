// Tiles and packed panels against plain loops, exactly: the numbers are small integers.
#include "reckon/exec/tile.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <vector>

#include "reckon/core/random.hpp"

using namespace reckon;

namespace {

template <class T>
std::vector<T> integers(std::size_t n, std::uint64_t stream) {
    const random_stream rng(5, stream);
    std::vector<T> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<T>(static_cast<int>(rng.below(i, 17)) - 8);
    return x;
}

// left * right^T, the way a kernel does it: panels, tiles, edges.
template <class T, class Isa>
void check_product(std::size_t rows, std::size_t cols, std::size_t depth) {
    using block = tile::block<T, Isa>;
    const auto left = integers<T>(rows * depth, 1), right = integers<T>(cols * depth, 2);
    const matrix_view<const T> a(left.data(), rows, depth), b(right.data(), cols, depth);
    const std::size_t row_panels = tile::panel_count(rows, block::rows),
                      col_panels = tile::panel_count(cols, block::cols);
    std::vector<T> a_panels(row_panels * depth * block::rows, T(-99)),
        b_panels(col_panels * depth * block::cols, T(-99));
    tile::pack_rows<block::rows>(a, a_panels.data());
    tile::pack_rows<block::cols>(b, b_panels.data());
    const std::size_t stride = col_panels * block::cols;
    std::vector<T> out(row_panels * block::rows * stride, T(0));
    for (int twice = 0; twice < 2; ++twice) {
        for (std::size_t j = 0; j < col_panels; ++j) {
            for (std::size_t i = 0; i < row_panels; ++i) {
                T* const at = out.data() + i * block::rows * stride + j * block::cols;
                block t;
                if (twice == 0)
                    t.clear();
                else
                    t.load(at, stride);
                t.multiply(depth, a_panels.data() + i * depth * block::rows, 1, block::rows,
                           b_panels.data() + j * depth * block::cols);
                t.store(at, stride);
            }
        }
    }
    bool same = true;
    for (std::size_t i = 0; i < row_panels * block::rows; ++i) {
        for (std::size_t j = 0; j < stride; ++j) {
            T want = T(0);
            for (std::size_t k = 0; k < depth && i < rows && j < cols; ++k)
                want += left[i * depth + k] * right[j * depth + k];
            same = same && out[i * stride + j] == 2 * want;
        }
    }
    CAPTURE(rows);
    CAPTURE(cols);
    CAPTURE(depth);
    CHECK(same);
}

template <class T, class Isa>
void check_products() {
    constexpr std::size_t n = tile::block<T, Isa>::cols, m = tile::block<T, Isa>::rows;
    for (const std::size_t rows : {std::size_t{1}, m - 1, m, m + 1, 2 * m + 5}) {
        for (const std::size_t cols : {std::size_t{1}, n - 1, n, n + 1, 3 * n + 1}) {
            for (const std::size_t depth : {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{64}}) {
                check_product<T, Isa>(rows, cols, depth);
            }
        }
    }
}

}  // namespace

TEST_CASE_TEMPLATE("tile: products are exact on every instruction set", T, float, double) {
    check_products<T, isa::scalar>();
    check_products<T, isa::native>();
}

TEST_CASE("tile: a left side that is read along its rows") {
    using block = tile::block<float>;
    const std::size_t depth = 2 * block::cols;
    const auto left = integers<float>(block::rows * depth, 3), right = integers<float>(depth * block::cols, 4);
    block t;
    t.clear();
    t.multiply(depth, left.data(), depth, 1, right.data());
    std::vector<float> out(block::rows * block::cols);
    t.store(out.data(), block::cols);
    for (std::size_t r = 0; r < block::rows; ++r) {
        for (std::size_t c = 0; c < block::cols; ++c) {
            float want = 0.0f;
            for (std::size_t k = 0; k < depth; ++k) want += left[r * depth + k] * right[k * block::cols + c];
            CHECK(out[r * block::cols + c] == want);
        }
    }
}

TEST_CASE("tile: the first rows of a tile, and no others") {
    using block = tile::block<float>;
    const std::size_t stride = block::cols + 3;
    const auto from = integers<float>(block::rows * stride, 7);
    for (std::size_t count = 0; count <= block::rows + 1; ++count) {
        block t;
        t.load(from.data(), stride, count);
        std::vector<float> all(block::rows * block::cols), to(block::rows * stride, -99.0f);
        t.store(all.data(), block::cols);
        t.load(from.data(), stride);
        t.store(to.data(), stride, count);
        for (std::size_t r = 0; r < block::rows; ++r) {
            for (std::size_t c = 0; c < stride; ++c) {
                const float x = from[r * stride + c];
                if (c < block::cols) CHECK(all[r * block::cols + c] == (r < count ? x : 0.0f));
                CHECK(to[r * stride + c] == (r < count && c < block::cols ? x : -99.0f));
            }
        }
    }
}

TEST_CASE("tile: packing, factors and padding") {
    const auto data = integers<float>(5 * 9, 6);
    const matrix_view<const float> m(data.data(), 5, 7, 9);  // 5 rows of 7, two more elements between rows
    std::vector<float> rows(2 * 7 * 4, -99.0f), columns(2 * 6 * 4, -99.0f);
    tile::pack_rows<4>(m, rows.data(), [](std::size_t r) { return static_cast<float>(r + 1); });
    for (std::size_t r = 0; r < 8; ++r) {
        for (std::size_t k = 0; k < 7; ++k) {
            CHECK(rows[(r / 4 * 7 + k) * 4 + r % 4] == (r < 5 ? static_cast<float>(r + 1) * m(r, k) : 0.0f));
        }
    }
    tile::pack_columns<4>(m, 6, columns.data(), [](std::size_t k) { return static_cast<float>(2 * k); });
    for (std::size_t c = 0; c < 8; ++c) {
        for (std::size_t k = 0; k < 6; ++k) {
            CHECK(columns[(c / 4 * 6 + k) * 4 + c % 4] ==
                  (k < 5 && c < 7 ? static_cast<float>(2 * k) * m(k, c) : 0.0f));
        }
    }
    CHECK(tile::panel_count(0, 4) == 0);
    CHECK(tile::panel_count(8, 4) == 2);
    CHECK(tile::panel_count(9, 4) == 3);
}
