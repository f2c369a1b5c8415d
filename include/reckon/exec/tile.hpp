// The tile engine: register-blocked products over packed panels, with whatever should happen to a finished tile fused
// in while it is still in registers. Losses, kernel sums, nearest centroids and small layers all stand on it.
#pragma once

#include <cstddef>

#include "reckon/core/config.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"

namespace reckon::tile {

/// A tile of a product, held in registers: 6 rows of two packs, which with two packs of the right side and one
/// broadcast of the left fills the 16 registers of SSE2 and AVX2.
template <class T, class Isa = isa::native>
struct block {
    using pack = simd::pack<T, Isa>;
    static constexpr std::size_t rows = 6;
    static constexpr std::size_t packs = 2;
    static constexpr std::size_t cols = packs * pack::lanes;

    pack at[rows][packs];

    RECKON_INLINE void clear() noexcept {
#pragma GCC unroll 6
        for (std::size_t r = 0; r < rows; ++r) {
#pragma GCC unroll 2
            for (std::size_t p = 0; p < packs; ++p) at[r][p] = pack(T(0));
        }
    }
    /// Row r from p + r * stride.
    RECKON_INLINE void load(const T* p, std::size_t stride) noexcept {
#pragma GCC unroll 6
        for (std::size_t r = 0; r < rows; ++r) {
#pragma GCC unroll 2
            for (std::size_t q = 0; q < packs; ++q) at[r][q] = pack::load(p + r * stride + q * pack::lanes);
        }
    }
    RECKON_INLINE void store(T* p, std::size_t stride) const noexcept {
#pragma GCC unroll 6
        for (std::size_t r = 0; r < rows; ++r) {
#pragma GCC unroll 2
            for (std::size_t q = 0; q < packs; ++q) at[r][q].store(p + r * stride + q * pack::lanes);
        }
    }
    /// The same for the first `count` rows; the others become 0.
    RECKON_INLINE void load(const T* p, std::size_t stride, std::size_t count) noexcept {
        if (count >= rows) return load(p, stride);
        clear();
#pragma GCC unroll 6
        for (std::size_t r = 0; r < rows; ++r) {
            if (r >= count) break;
#pragma GCC unroll 2
            for (std::size_t q = 0; q < packs; ++q) at[r][q] = pack::load(p + r * stride + q * pack::lanes);
        }
    }
    RECKON_INLINE void store(T* p, std::size_t stride, std::size_t count) const noexcept {
        if (count >= rows) return store(p, stride);
#pragma GCC unroll 6
        for (std::size_t r = 0; r < rows; ++r) {
            if (r >= count) break;
#pragma GCC unroll 2
            for (std::size_t q = 0; q < packs; ++q) at[r][q].store(p + r * stride + q * pack::lanes);
        }
    }
    /// Adds left * right: element (r, k) of the left side at left[r * row + k * step], row k of the right side, `cols`
    /// elements, at right[k * cols].
    RECKON_INLINE void multiply(std::size_t depth, const T* RECKON_RESTRICT left, std::size_t row, std::size_t step,
                                const T* RECKON_RESTRICT right) noexcept {
        pack c[rows][packs];
#pragma GCC unroll 6
        for (std::size_t r = 0; r < rows; ++r) {
#pragma GCC unroll 2
            for (std::size_t q = 0; q < packs; ++q) c[r][q] = at[r][q];
        }
        for (std::size_t k = 0; k < depth; ++k) {
            const pack b0 = pack::load(right), b1 = pack::load(right + pack::lanes);
#pragma GCC unroll 6
            for (std::size_t r = 0; r < rows; ++r) {
                const pack a(left[r * row]);
                c[r][0] = mul_add(a, b0, c[r][0]);
                c[r][1] = mul_add(a, b1, c[r][1]);
            }
            left += step;
            right += cols;
        }
#pragma GCC unroll 6
        for (std::size_t r = 0; r < rows; ++r) {
#pragma GCC unroll 2
            for (std::size_t q = 0; q < packs; ++q) at[r][q] = c[r][q];
        }
    }
};

/// Number of panels of `width` that hold `count` rows or columns.
constexpr std::size_t panel_count(std::size_t count, std::size_t width) noexcept {
    return (count + width - 1) / width;
}

/// Packs rows for a product along their elements: panel p holds rows p * Width .. of `from`, element after element.
///
///   to[(p * depth + k) * Width + r] = factor(row) * from(row, k),   row = p * Width + r; 0 beyond the last row
///
/// Writes    panel_count(rows, Width) * depth * Width elements.
template <std::size_t Width, class T, class Factor>
void pack_rows(matrix_view<const T> from, T* to, Factor&& factor) noexcept {
    const std::size_t depth = from.cols();
    for (std::size_t first = 0; first < from.rows(); first += Width, to += depth * Width) {
        for (std::size_t r = 0; r < Width; ++r) {
            const std::size_t row = first + r;
            if (row < from.rows()) {
                const T* const x = from.data() + row * from.stride();
                const T f = factor(row);
                for (std::size_t k = 0; k < depth; ++k) to[k * Width + r] = f * x[k];
            } else {
                for (std::size_t k = 0; k < depth; ++k) to[k * Width + r] = T(0);
            }
        }
    }
}
template <std::size_t Width, class T>
void pack_rows(matrix_view<const T> from, T* to) noexcept {
    pack_rows<Width>(from, to, [](std::size_t) { return T(1); });
}

/// Packs columns for a product along the rows: panel p holds columns p * Width .. of `from`, row after row.
///
///   to[(p * depth + k) * Width + c] = factor(k) * from(k, p * Width + c);   0 beyond the last column and row
///
/// depth     rows that a panel has, at least those of `from`.
/// Writes    panel_count(cols, Width) * depth * Width elements.
template <std::size_t Width, class T, class Factor>
void pack_columns(matrix_view<const T> from, std::size_t depth, T* to, Factor&& factor) noexcept {
    const std::size_t panels = panel_count(from.cols(), Width);
    for (std::size_t k = 0; k < depth; ++k) {
        const bool inside = k < from.rows();
        const T f = inside ? factor(k) : T(0);
        const T* const x = from.data() + (inside ? k * from.stride() : 0);
        for (std::size_t p = 0; p < panels; ++p) {
            T* const out = to + (p * depth + k) * Width;
            const std::size_t first = p * Width;
            for (std::size_t c = 0; c < Width; ++c)
                out[c] = inside && first + c < from.cols() ? f * x[first + c] : T(0);
        }
    }
}
template <std::size_t Width, class T>
void pack_columns(matrix_view<const T> from, std::size_t depth, T* to) noexcept {
    pack_columns<Width>(from, depth, to, [](std::size_t) { return T(1); });
}

}  // namespace reckon::tile
