// What every metric shares: which examples count, and how sums are written and read.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "reckon/core/bytes.hpp"
#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/monoids.hpp"

namespace reckon::detail {

inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

// A probability, a label in [0, 1] and a finite weight that is not negative. NaN fails every comparison.
RECKON_INLINE bool usable_example(double p, double y, double w) noexcept {
    return p >= 0.0 && p <= 1.0 && y >= 0.0 && y <= 1.0 && w >= 0.0 && w <= (std::numeric_limits<double>::max)();
}

// a / b, NaN where nothing was folded.
inline double ratio_or_nan(double a, double b, double weight) noexcept {
    return weight > 0.0 ? a / b : not_a_number;
}

inline void put_sum(byte_writer& out, const compensated_sum& s) {
    out.put(s.sum());
    out.put(s.error());
}
inline compensated_sum get_sum(byte_reader& in, const char* what) {
    const double sum = in.get<double>();
    const double error = in.get<double>();
    const compensated_sum s(sum, error);
    expects_bytes(std::isfinite(sum) && std::isfinite(s.value()), what, "a sum is not finite");
    return s;
}
inline compensated_sum get_positive_sum(byte_reader& in, const char* what) {
    const compensated_sum s = get_sum(in, what);
    expects_bytes(s.value() >= 0.0, what, "a sum that cannot be negative is ", s.value());
    return s;
}

inline void put_counts(byte_writer& out, const counts& seen) {
    out.put(seen.accepted);
    out.put(seen.rejected);
}
inline counts get_counts(byte_reader& in) {
    counts seen;
    seen.accepted = in.get<std::uint64_t>();
    seen.rejected = in.get<std::uint64_t>();
    return seen;
}

}  // namespace reckon::detail
