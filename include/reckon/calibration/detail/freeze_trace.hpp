// Records what a map over packs does to one score: the library's own templates run on lanes that write down their
// operations. What comes out is the arithmetic itself, with the constants that the library uses.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/lane.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"

namespace reckon::isa {

/// Not a machine: lanes of this set record their operations.
struct traced {};
constexpr const char* name(traced) noexcept {
    return "traced";
}

}  // namespace reckon::isa

namespace reckon::detail {

enum class trace_op : std::uint8_t {
    score,     // what the map is given
    constant,  // bits
    add,
    subtract,
    multiply,
    divide,
    mul_add,  // a b + c
    minimum,
    maximum,
    absolute,
    square_root,
    bits_and,     // with bits
    bits_or,      // with bits
    shift_left,   // by bits
    shift_right,  // by bits
    less,         // from here to `either` a step is a truth value
    less_equal,
    equal,
    both,
    either,
    select,  // a ? b : c
};

struct trace_step {
    trace_op what = trace_op::constant;
    std::uint32_t a = 0, b = 0, c = 0;  // earlier steps
    std::uint64_t bits = 0;

    friend bool operator==(const trace_step&, const trace_step&) = default;
};

/// The steps of one map, each step after what it works on.
struct trace {
    std::vector<trace_step> steps;
    std::uint32_t result = 0;
    const char* fault = nullptr;
};

/// Collects steps; a step that is there already is not taken twice. Does not allocate once it is built.
class trace_recorder {
  public:
    static constexpr std::size_t most_steps = std::size_t{1} << 13;

    trace_recorder() { found_.steps.reserve(most_steps); }

    std::uint32_t add(trace_op what, std::uint32_t a = 0, std::uint32_t b = 0, std::uint32_t c = 0,
                      std::uint64_t bits = 0) noexcept {
        const trace_step step{what, a, b, c, bits};
        for (std::size_t i = found_.steps.size(); i-- > 0;) {
            if (found_.steps[i] == step) return static_cast<std::uint32_t>(i);
        }
        if (found_.steps.size() == most_steps) {
            fail("has too many steps");
            return 0;
        }
        found_.steps.push_back(step);
        return static_cast<std::uint32_t>(found_.steps.size() - 1);
    }
    std::uint32_t load() noexcept {
        if (loads_++ > 0) fail("loads more than the score");
        return add(trace_op::score);
    }
    void store(std::uint32_t result) noexcept {
        if (stores_++ > 0) fail("stores more than one result");
        found_.result = result;
    }
    void fail(const char* why) noexcept {
        if (found_.fault == nullptr) found_.fault = why;
    }
    trace finish() && {
        if (loads_ != 1 || stores_ != 1) fail("is no map over packs");
        return std::move(found_);
    }

  private:
    trace found_;
    int loads_ = 0;
    int stores_ = 0;
};

/// Where lanes of isa::traced record on this thread.
inline thread_local trace_recorder* recording = nullptr;

}  // namespace reckon::detail

namespace reckon::simd::detail {

struct traced_mask {
    std::uint32_t step;
};
template <class T>
struct traced_lane {
    std::uint32_t step;
};

using op = reckon::detail::trace_op;
inline std::uint32_t record(op what, std::uint32_t a = 0, std::uint32_t b = 0, std::uint32_t c = 0,
                            std::uint64_t bits = 0) noexcept {
    return reckon::detail::recording->add(what, a, b, c, bits);
}

template <class T>
struct registers<T, isa::traced> {
    using reg = traced_lane<T>;
    using mask = traced_mask;
    using bits = typename float_format<T>::bits;
    static constexpr std::size_t lanes = 1;

    static reg broadcast(T a) noexcept { return {record(op::constant, 0, 0, 0, std::bit_cast<bits>(a))}; }
    static reg load(const T*) noexcept { return {reckon::detail::recording->load()}; }
    static void store(T* p, reg a) noexcept {
        *p = T(0);
        reckon::detail::recording->store(a.step);
    }
    static reg fma(reg a, reg b, reg c) noexcept { return {record(op::mul_add, a.step, b.step, c.step)}; }
    static reg choose(mask m, reg a, reg b) noexcept { return {record(op::select, m.step, a.step, b.step)}; }
    static reg lesser(reg a, reg b) noexcept { return {record(op::minimum, a.step, b.step)}; }
    static reg greater(reg a, reg b) noexcept { return {record(op::maximum, a.step, b.step)}; }
    static reg abs(reg a) noexcept { return {record(op::absolute, a.step)}; }
    static reg sqrt(reg a) noexcept { return {record(op::square_root, a.step)}; }
    static reg bits_and(reg a, bits m) noexcept { return {record(op::bits_and, a.step, 0, 0, m)}; }
    static reg bits_or(reg a, bits m) noexcept { return {record(op::bits_or, a.step, 0, 0, m)}; }
    template <int K>
    static reg shift_left(reg a) noexcept {
        return {record(op::shift_left, a.step, 0, 0, K)};
    }
    template <int K>
    static reg shift_right(reg a) noexcept {
        return {record(op::shift_right, a.step, 0, 0, K)};
    }
    static bool any(mask) noexcept {
        reckon::detail::recording->fail("branches on the score");
        return true;
    }
    static T sum(reg) noexcept {
        reckon::detail::recording->fail("adds up lanes");
        return T(0);
    }
};

template <class T>
traced_lane<T> operator+(traced_lane<T> a, traced_lane<T> b) noexcept {
    return {record(op::add, a.step, b.step)};
}
template <class T>
traced_lane<T> operator-(traced_lane<T> a, traced_lane<T> b) noexcept {
    return {record(op::subtract, a.step, b.step)};
}
template <class T>
traced_lane<T> operator*(traced_lane<T> a, traced_lane<T> b) noexcept {
    return {record(op::multiply, a.step, b.step)};
}
template <class T>
traced_lane<T> operator/(traced_lane<T> a, traced_lane<T> b) noexcept {
    return {record(op::divide, a.step, b.step)};
}
template <class T>
traced_mask operator<(traced_lane<T> a, traced_lane<T> b) noexcept {
    return {record(op::less, a.step, b.step)};
}
template <class T>
traced_mask operator<=(traced_lane<T> a, traced_lane<T> b) noexcept {
    return {record(op::less_equal, a.step, b.step)};
}
template <class T>
traced_mask operator==(traced_lane<T> a, traced_lane<T> b) noexcept {
    return {record(op::equal, a.step, b.step)};
}
inline traced_mask operator&(traced_mask a, traced_mask b) noexcept {
    return {record(op::both, a.step, b.step)};
}
inline traced_mask operator|(traced_mask a, traced_mask b) noexcept {
    return {record(op::either, a.step, b.step)};
}

}  // namespace reckon::simd::detail

namespace reckon::detail {

/// What c.apply() does to one score of type T.
///
/// Throws    std::invalid_argument when apply() is not a map over packs without branches on the score.
template <class T, class C>
trace trace_apply(const C& c, const char* kernel) {
    const T score = T(0);
    T out = T(0);
    const vector_view<const T> scores(&score, 1);
    const vector_view<T> room(&out, 1);
    trace_recorder recorder;
    trace_recorder* const before = std::exchange(recording, &recorder);
    c.template apply<exec::serial_policy, vector_view<const T>, const vector_view<T>&, isa::traced>(exec::serial,
                                                                                                    scores, room);
    recording = before;
    trace found = std::move(recorder).finish();
    expects(found.fault == nullptr, "freeze", "the map of ", kernel, " ", found.fault == nullptr ? "" : found.fault);
    return found;
}

/// Whether mul_add rounds once for lanes of type T. Asked of the lanes themselves, since it depends on their
/// instruction set and on the flags of the compiler.
template <class T, class Isa>
bool mul_add_is_fused() noexcept {
    using pack = simd::pack<T, Isa>;
    // (1 + e)(1 - e) - 1 = -e^2, which is lost when the product is rounded first.
    constexpr T e = sizeof(T) == 4 ? T(0x1p-13) : T(0x1p-30);
    const volatile T more = T(1) + e, less = T(1) - e, minus_one = T(-1);
    T lanes[pack::lanes];
    mul_add(pack(more), pack(less), pack(minus_one)).store(lanes);
    return lanes[0] != T(0);
}

}  // namespace reckon::detail
