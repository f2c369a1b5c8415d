// The two shapes of every kernel: fold_parts for sums, map_parts for outputs. Parts have a fixed size and merge in
// index order, so results do not depend on the number of threads.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/exec/policies.hpp"

namespace reckon::exec {

/// Rows per part unless a kernel states its own: small enough for L2, large enough to hide the cost of a task.
inline constexpr std::size_t default_part_size = std::size_t{1} << 14;

namespace detail {

constexpr std::size_t part_count(std::size_t n, std::size_t part_size) noexcept {
    return n / part_size + (n % part_size != 0 ? 1 : 0);
}
constexpr std::size_t rows_of_part(std::size_t n, std::size_t part_size, std::size_t part) noexcept {
    const std::size_t first = part * part_size;
    return n - first < part_size ? n - first : part_size;
}
// Rows a part of a kernel that works on about `columns` numbers a row.
constexpr std::size_t rows_a_part(std::size_t columns) noexcept {
    return 1 + default_part_size / (1 + columns);
}

}  // namespace detail

/// Calls body(i) once for every i < n: in order on exec::serial, on the pool's threads on exec::host.
template <policy Policy, class Body, class Isa = isa::native>
void for_each_index(const Policy& where, std::size_t n, Body&& body) {
    detail::require_host_policy<Policy>();
    if constexpr (std::is_same_v<Policy, serial_policy>) {
        for (std::size_t i = 0; i < n; ++i) body(i);
    } else {
        where.pool.parallel_for(n, std::forward<Body>(body));
    }
}

/// Folds a batch: cuts it into parts, absorbs each into a copy of `identity`, merges the parts in index order.
///
/// State     copyable; absorb(batch part) and merge(state).
/// Batch     size() rows, slice(first, count).
/// Returns   the merged state; `identity` itself for an empty batch. Bit-equal for every policy and thread count.
/// Cost      one state a part under exec::host, two in all under exec::serial.
template <policy Policy, class State, class Batch, class Isa = isa::native>
State fold_parts(const Policy& where, const State& identity, const Batch& batch,
                 std::size_t part_size = default_part_size) {
    detail::require_host_policy<Policy>();
    const std::size_t n = batch.size();
    const std::size_t parts = detail::part_count(n, part_size);
    State total = identity;
    if constexpr (std::is_same_v<Policy, serial_policy>) {
        for (std::size_t k = 0; k < parts; ++k) {
            State part = identity;
            part.absorb(batch.slice(k * part_size, detail::rows_of_part(n, part_size, k)));
            total.merge(part);
        }
    } else {
        std::vector<State> states(parts, identity);
        where.pool.parallel_for(parts, [&](std::size_t k) {
            states[k].absorb(batch.slice(k * part_size, detail::rows_of_part(n, part_size, k)));
        });
        for (const State& part : states) total.merge(part);
    }
    return total;
}

/// Maps rows: calls body(first, count) once for each part of n rows. Parts write to disjoint outputs, so their order
/// does not matter.
template <policy Policy, class Body, class Isa = isa::native>
void map_parts(const Policy& where, std::size_t n, Body&& body, std::size_t part_size = default_part_size) {
    for_each_index(where, detail::part_count(n, part_size),
                   [&](std::size_t k) { body(k * part_size, detail::rows_of_part(n, part_size, k)); });
}

}  // namespace reckon::exec
