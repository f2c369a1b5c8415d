// A map over rows that counts the rows it could use.
#pragma once

#include <cstddef>

#include "reckon/core/monoids.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon::detail {

struct row_range {
    std::size_t first = 0;
    std::size_t count = 0;

    std::size_t size() const noexcept { return count; }
    row_range slice(std::size_t from, std::size_t n) const noexcept { return {first + from, n}; }
};

template <class Body>
struct counted_rows {
    const Body* body = nullptr;
    counts seen;

    void absorb(const row_range& rows) {
        for (std::size_t i = rows.first; i < rows.first + rows.count; ++i) seen.absorb((*body)(i));
    }
    void merge(const counted_rows& other) noexcept { seen.merge(other.seen); }
};

/// Calls body(i) once for every i < n; accepted counts the calls that returned true.
template <class Policy, class Body>
counts counted_map(const Policy& where, std::size_t n, const Body& body) {
    return exec::fold_parts(where, counted_rows<Body>{&body, {}}, row_range{0, n}).seen;
}

}  // namespace reckon::detail
