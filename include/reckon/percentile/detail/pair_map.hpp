// Two columns in, one out: what labels and their inverses are.
#pragma once

#include <cstddef>

#include "reckon/core/expects.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon::detail {

/// out[i] = body(first[i], second[i]).
template <class Policy, class A, class B, class Out, class Body>
void map_pairs(const char* kernel, const Policy& where, const A& first, const B& second, Out& out, Body&& body) {
    const auto a = input(first);
    const auto b = input(second);
    const auto to = view(out);
    using T = typename decltype(to)::value_type;
    expects(a.size() == b.size() && to.size() == b.size(), kernel, a.size(), " and ", b.size(), " rows and room for ",
            to.size());
    exec::map_parts(where, b.size(), [&](std::size_t begin, std::size_t count) {
        for (std::size_t i = begin; i < begin + count; ++i) to[i] = static_cast<T>(body(a[i], b[i]));
    });
}

}  // namespace reckon::detail
