// Rows of tables of embeddings that triples name by id: checked, asked for, multiplied.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/prefetch.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"

namespace reckon::detail {

/// Throws    std::invalid_argument when an id is not below `rows`. Reads all of them.
template <class Id>
void expect_ids(const char* kernel, const char* what, vector_view<const Id> ids, std::size_t rows) {
    Id largest = 0;
    for (const Id id : ids) largest = id > largest ? id : largest;
    expects(ids.empty() || largest < rows, kernel, what, " id ", largest, " but only ", rows, " rows");
}

// Asks for a row of `depth` elements, up to its eighth cache line: the hardware follows long rows by itself. A row that
// is not const is asked for to be written.
template <class T>
RECKON_INLINE void prefetch_row(T* row, std::size_t depth) noexcept {
    constexpr std::size_t line = 64 / sizeof(T), most_lines = 8;
    const std::size_t held = (std::min)(depth, most_lines * line);
    for (std::size_t d = 0; d < held; d += line) {
        if constexpr (std::is_const_v<T>)
            prefetch_read(row + d);
        else
            prefetch_write(row + d);
    }
}

// u . (a - b)
template <class Isa, class T>
RECKON_INLINE T contrast(const T* u, const T* a, const T* b, std::size_t depth) noexcept {
    using pack = simd::pack<T, Isa>;
    pack even(T(0)), odd(T(0));
    std::size_t d = 0;
    for (; d + 2 * pack::lanes <= depth; d += 2 * pack::lanes) {
        even = mul_add(pack::load(u + d), pack::load(a + d) - pack::load(b + d), even);
        const std::size_t e = d + pack::lanes;
        odd = mul_add(pack::load(u + e), pack::load(a + e) - pack::load(b + e), odd);
    }
    T sum = reduce_add(even + odd);
    for (; d < depth; ++d) sum = simd::mul_add(u[d], a[d] - b[d], sum);
    return sum;
}

}  // namespace reckon::detail
