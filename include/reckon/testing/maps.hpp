// What every map owes: an element's output depends on its own inputs, wherever it falls and whatever lies around it.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/views.hpp"
#include "reckon/testing/report.hpp"

namespace reckon::testing {

namespace detail {

// Two values that a kernel must neither use nor overwrite; two, so that one of them always changes a result that
// depends on them.
template <class T>
T poison(int which) noexcept {
    if constexpr (std::is_floating_point_v<T>) {
        return which == 0 ? std::numeric_limits<T>::quiet_NaN() : T(-12345.678);
    } else {
        return which == 0 ? (std::numeric_limits<T>::max)() : T(85);
    }
}

// `size` elements between two bands of poison; the first lies `offset` elements after the band.
template <class T>
class guarded {
  public:
    static constexpr std::size_t band = 64;

    guarded(std::size_t size, std::size_t offset, int which)
        : cells_(2 * band + size + offset, poison<T>(which)), size_(size), first_(band + offset), which_(which) {}
    T* data() noexcept { return cells_.data() + first_; }
    bool untouched() const noexcept {
        const T clean = poison<T>(which_);
        for (std::size_t i = 0; i < cells_.size(); ++i) {
            if ((i < first_ || i >= first_ + size_) && std::memcmp(&cells_[i], &clean, sizeof(T)) != 0) return false;
        }
        return true;
    }

  private:
    std::vector<T> cells_;
    std::size_t size_;
    std::size_t first_;
    int which_;
};

}  // namespace detail

struct tails_options {
    /// Every length up to this one is tried: four packs of the widest type by default.
    std::size_t all_lengths_to = 72;
    /// Offsets 0 .. max_offset of input and output from an arbitrary address.
    std::size_t max_offset = 3;
    /// Whether the kernel may write over its input (same type only).
    bool in_place = true;
};

namespace detail {

template <class T, class Out>
using map_ref = call_ref<void(vector_view<const T>, vector_view<Out>)>;

template <class Out, class T>
report check_tails(map_ref<T, Out> kernel, const std::vector<T>& values, const tails_options& options) {
    recorder record("check_tails");
    if (!record.expect(!values.empty(), "needs input elements")) return record.finish();
    std::vector<Out> alone(values.size(), Out{});
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::vector<T> one(1, values[i]);
        kernel(vector_view<const T>(one.data(), 1), vector_view<Out>(&alone[i], 1));
    }
    const auto judge = [&](const Out* got, std::size_t n, std::size_t shift, const char* where) {
        for (std::size_t i = 0; i < n; ++i) {
            if (std::memcmp(got + i, &alone[(i + shift) % alone.size()], sizeof(Out)) != 0) {
                record.expect(false, "element ", i, " of ", n, where, " differs from a run on it alone");
                return;
            }
        }
        record.expect(true);
    };

    std::vector<std::size_t> lengths;
    for (std::size_t n = 0; n <= options.all_lengths_to; ++n) lengths.push_back(n);
    for (const std::size_t n : {std::size_t{255}, std::size_t{256}, std::size_t{1031}}) lengths.push_back(n);
    for (const std::size_t n : lengths) {
        if (!record.ok()) break;
        const std::size_t shift = n % values.size();
        const auto fill = [&](T* in) {
            for (std::size_t i = 0; i < n; ++i) in[i] = values[(i + shift) % values.size()];
        };
        for (std::size_t from = 0; from <= options.max_offset; ++from) {
            for (std::size_t to = 0; to <= options.max_offset; ++to) {
                for (int which = 0; which < 2; ++which) {
                    guarded<T> in(n, from, which);
                    guarded<Out> out(n, to, which);
                    fill(in.data());
                    kernel(vector_view<const T>(in.data(), n), vector_view<Out>(out.data(), n));
                    judge(out.data(), n, shift, "");
                    record.expect(out.untouched(), "a run over ", n, " elements writes beyond its output");
                    record.expect(in.untouched(), "a run over ", n, " elements writes around its input");
                }
            }
        }
        // Blocks that end where the data ends, for the address sanitizer.
        std::vector<T> in(n);
        std::vector<Out> out(n);
        fill(in.data());
        const std::vector<T> before = in;
        kernel(vector_view<const T>(in.data(), n), vector_view<Out>(out.data(), n));
        judge(out.data(), n, shift, "");
        record.expect(same_bits(in.data(), before.data(), n), "a run over ", n, " elements changes its input");
        if constexpr (std::is_same_v<T, Out>) {
            if (options.in_place) {
                kernel(vector_view<const T>(in.data(), n), vector_view<T>(in.data(), n));
                judge(in.data(), n, shift, " in place");
            }
        }
    }
    return record.finish();
}

}  // namespace detail

/// Checks that a map treats each element alike: its output is that of a run on this element alone, bit by bit, at every
/// length and offset, in place too, and memory around input and output is neither used nor written.
///
/// kernel    kernel(vector_view<const T> in, vector_view<Out> out), both of the same length.
/// values    input elements, taken in turn; give extreme ones too.
/// Numerics  reads past the end are seen when they change a result, and under an address sanitizer always.
template <class Out, class T, class Kernel>
report check_tails(Kernel&& kernel, const std::vector<T>& values, const tails_options& options = {}) {
    const auto run = [&](vector_view<const T> in, vector_view<Out> out) { kernel(in, out); };
    return detail::check_tails<Out, T>(detail::map_ref<T, Out>(run), values, options);
}

/// check_tails for a map whose output has the type of its input.
template <class T, class Kernel>
report check_tails(Kernel&& kernel, const std::vector<T>& values, const tails_options& options = {}) {
    return check_tails<T, T>(static_cast<Kernel&&>(kernel), values, options);
}

namespace detail {

template <class Out, class T>
report check_strides(call_ref<void(matrix_view<const T>, matrix_view<Out>)> kernel, const std::vector<T>& values,
                     std::size_t rows, std::size_t cols, std::size_t out_rows, std::size_t out_cols) {
    recorder record("check_strides");
    if (!record.expect(values.size() == rows * cols, values.size(), " values for ", rows, " x ", cols)) {
        return record.finish();
    }
    std::vector<Out> dense(out_rows * out_cols, Out{});
    kernel(matrix_view<const T>(values.data(), rows, cols), matrix_view<Out>(dense.data(), out_rows, out_cols));
    for (const std::size_t in_gap : {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{16}}) {
        for (const std::size_t out_gap : {std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{16}}) {
            for (int which = 0; which < 2; ++which) {
                const std::size_t in_stride = cols + in_gap;
                const std::size_t out_stride = out_cols + out_gap;
                std::vector<T> in(rows * in_stride, poison<T>(which));
                std::vector<Out> out(out_rows * out_stride, poison<Out>(which));
                for (std::size_t r = 0; r < rows; ++r) {
                    for (std::size_t c = 0; c < cols; ++c) in[r * in_stride + c] = values[r * cols + c];
                }
                kernel(matrix_view<const T>(in.data(), rows, cols, in_stride),
                       matrix_view<Out>(out.data(), out_rows, out_cols, out_stride));
                const Out clean = poison<Out>(which);
                bool same = true, untouched = true;
                for (std::size_t r = 0; r < out_rows; ++r) {
                    const Out* row = out.data() + r * out_stride;
                    same = same && same_bits(row, dense.data() + r * out_cols, out_cols);
                    for (std::size_t c = out_cols; c < out_stride; ++c) {
                        untouched = untouched && same_bits(row + c, &clean, 1);
                    }
                }
                record.expect(same, "rows ", in_stride, " apart in and ", out_stride,
                              " apart out give another result than dense ones");
                record.expect(untouched, "writes between output rows that lie ", out_stride, " apart");
            }
        }
    }
    return record.finish();
}

}  // namespace detail

/// Checks that a matrix kernel honours row strides: gaps between rows are neither used nor written, and the result has
/// the same bits as without gaps.
///
/// kernel    kernel(matrix_view<const T> in, matrix_view<Out> out) overwrites `out`.
/// values    the dense input, rows * cols elements.
template <class Out, class T, class Kernel>
report check_strides(Kernel&& kernel, const std::vector<T>& values, std::size_t rows, std::size_t cols,
                     std::size_t out_rows, std::size_t out_cols) {
    const auto run = [&](matrix_view<const T> in, matrix_view<Out> out) { kernel(in, out); };
    using kernel_ref = detail::call_ref<void(matrix_view<const T>, matrix_view<Out>)>;
    return detail::check_strides<Out, T>(kernel_ref(run), values, rows, cols, out_rows, out_cols);
}

namespace detail {

template <class Out, class T>
report check_nan_propagates(map_ref<T, Out> kernel, const std::vector<T>& values) {
    recorder record("check_nan_propagates");
    const std::size_t n = values.size();
    std::vector<Out> clean(n), out(n);
    kernel(vector_view<const T>(values.data(), n), vector_view<Out>(clean.data(), n));
    std::vector<T> in = values;
    for (std::size_t bad = 0; bad < n; ++bad) {
        for (const T nan : {std::numeric_limits<T>::quiet_NaN(), -std::numeric_limits<T>::quiet_NaN()}) {
            in[bad] = nan;
            kernel(vector_view<const T>(in.data(), n), vector_view<Out>(out.data(), n));
            record.expect(std::isnan(out[bad]), "NaN at element ", bad, " of ", n, " comes out as ", out[bad]);
            const bool others = same_bits(out.data(), clean.data(), bad) &&
                                same_bits(out.data() + bad + 1, clean.data() + bad + 1, n - bad - 1);
            record.expect(others, "NaN at element ", bad, " of ", n, " changes another element");
        }
        in[bad] = values[bad];
    }
    return record.finish();
}

}  // namespace detail

/// Checks a map that promises to propagate NaN: a NaN in gives a NaN at its own place and changes no other element.
///
/// kernel    kernel(vector_view<const T> in, vector_view<Out> out).
template <class Out, class T, class Kernel>
report check_nan_propagates(Kernel&& kernel, const std::vector<T>& values) {
    const auto run = [&](vector_view<const T> in, vector_view<Out> out) { kernel(in, out); };
    return detail::check_nan_propagates<Out, T>(detail::map_ref<T, Out>(run), values);
}

/// check_nan_propagates for a map whose output has the type of its input.
template <class T, class Kernel>
report check_nan_propagates(Kernel&& kernel, const std::vector<T>& values) {
    return check_nan_propagates<T, T>(static_cast<Kernel&&>(kernel), values);
}

}  // namespace reckon::testing
