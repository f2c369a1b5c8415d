// The law of every fold: kernel(A ++ B) == merge(kernel(A), kernel(B)).
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reckon/exec/parts.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/testing/report.hpp"

namespace reckon::testing {

struct merge_options {
    /// Random splits, each with a random merge tree.
    std::size_t trials = 24;
    /// Parts of a split, empty ones included; at least 1.
    std::size_t max_parts = 9;
    /// Whether parts may also merge out of order. Off for states that keep the order of their examples.
    bool any_order = true;
    std::uint64_t seed = 1;
};

namespace detail {

template <class State>
State merged(const State& a, const State& b) {
    State sum = a;
    sum.merge(b);
    return sum;
}

}  // namespace detail

/// Checks the merge law of a state.
///
///   the identity on the left and on the right, empty parts, absorbing in pieces, random splits merged in random trees
///
/// State     copyable; absorb(batch) and merge(state). `identity` is a state that absorbed nothing.
/// Batch     size() rows and slice(first, count).
/// same      same(got, want) says whether two states are equal, exactly or within the bound that the state promises.
template <class State, class Batch, class Same>
report check_merge(const State& identity, const Batch& batch, Same&& same, const merge_options& options = {}) {
    detail::recorder record("check_merge");
    const std::size_t n = batch.size();
    State whole = identity;
    whole.absorb(batch);

    record.expect(same(detail::merged(identity, whole), whole), "merging into the identity changes the state");
    record.expect(same(detail::merged(whole, identity), whole), "merging the identity changes the state");
    record.expect(same(detail::merged(identity, identity), identity), "two identities do not merge into one");
    State again = whole;
    again.absorb(batch.slice(0, 0));
    record.expect(same(again, whole), "absorbing no rows changes the state");

    detail::dice roll(options.seed);
    for (std::size_t trial = 0; trial < options.trials && record.ok(); ++trial) {
        // Cut points with repetition: equal neighbours make empty parts.
        const std::size_t parts = 1 + roll.below(options.max_parts);
        std::vector<std::size_t> cuts(parts + 1, n);
        cuts[0] = 0;
        for (std::size_t k = 1; k < parts; ++k) cuts[k] = roll.below(n + 1);
        for (std::size_t k = 1; k < parts; ++k) {
            for (std::size_t j = k; j > 1 && cuts[j] < cuts[j - 1]; --j) std::swap(cuts[j], cuts[j - 1]);
        }
        State pieces = identity;
        std::vector<State> states(parts, identity);
        for (std::size_t k = 0; k < parts; ++k) {
            const auto part = batch.slice(cuts[k], cuts[k + 1] - cuts[k]);
            pieces.absorb(part);
            states[k].absorb(part);
        }
        record.expect(same(pieces, whole), "absorbing ", n, " rows in ", parts,
                      " pieces differs from absorbing them at once (trial ", trial, ")");

        std::vector<State> tree = states;
        while (tree.size() > 1) {
            const std::size_t left = roll.below(tree.size() - 1);
            tree[left].merge(tree[left + 1]);
            tree.erase(tree.begin() + static_cast<std::ptrdiff_t>(left) + 1);
        }
        record.expect(same(tree.front(), whole), "merging ", parts, " parts of ", n,
                      " rows in order differs from the whole (trial ", trial, ")");

        if (!options.any_order) continue;
        while (states.size() > 1) {
            const std::size_t from = roll.below(states.size());
            const State taken = states[from];
            states.erase(states.begin() + static_cast<std::ptrdiff_t>(from));
            states[roll.below(states.size())].merge(taken);
        }
        record.expect(same(states.front(), whole), "merging ", parts, " parts of ", n,
                      " rows out of order differs from the whole (trial ", trial, ")");
    }
    return record.finish();
}

/// Checks that exec::fold_parts gives the same state under `where` as under exec::serial, for several part sizes.
///
/// equal     equal(got, want), bit by bit: the library promises the same bits for every number of threads.
template <class State, class Batch, exec::policy Policy, class Equal>
report check_fold_policy(const State& identity, const Batch& batch, const Policy& where, Equal&& equal) {
    detail::recorder record("check_fold_policy");
    const std::size_t n = batch.size();
    for (const std::size_t part_size : {std::size_t{1} + n / 50, std::size_t{1} + n / 7, n + 1}) {
        const State want = exec::fold_parts(exec::serial, identity, batch, part_size);
        for (int repeat = 0; repeat < 3; ++repeat) {
            record.expect(equal(exec::fold_parts(where, identity, batch, part_size), want), "parts of ", part_size,
                          " of ", n, " rows give another state than exec::serial");
        }
    }
    return record.finish();
}

namespace detail {

// Both run the same kernel, one of them on exec::serial.
template <class Out>
report check_map_policy(std::size_t size, call_ref<void(vector_view<Out>)> serial,
                        call_ref<void(vector_view<Out>)> other) {
    recorder record("check_map_policy");
    std::vector<Out> want(size, Out(1)), got(size, Out(2));
    serial(vector_view<Out>(want.data(), size));
    for (int repeat = 0; repeat < 3; ++repeat) {
        other(vector_view<Out>(got.data(), size));
        const std::size_t at = first_difference(got.data(), want.data(), size);
        record.expect(at == size, "element ", at, " of ", size, " differs from exec::serial");
    }
    return record.finish();
}

}  // namespace detail

/// Checks that a kernel writes the same bits under `where` as under exec::serial.
///
/// kernel    kernel(policy, vector_view<Out> out) overwrites `size` elements.
template <class Out, class Kernel, exec::policy Policy>
report check_map_policy(std::size_t size, const Policy& where, Kernel&& kernel) {
    const auto serial = [&](vector_view<Out> out) { kernel(exec::serial, out); };
    const auto other = [&](vector_view<Out> out) { kernel(where, out); };
    using kernel_ref = detail::call_ref<void(vector_view<Out>)>;
    return detail::check_map_policy<Out>(size, kernel_ref(serial), kernel_ref(other));
}

}  // namespace reckon::testing
