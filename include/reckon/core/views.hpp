// Plain views of memory that somebody else owns: the only form in which data enters and leaves a kernel.
#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <type_traits>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"

namespace reckon {

/// Memory that the host can read. The default space of every view.
struct host_space {};
/// Memory that lives on a CUDA device. A kernel never accepts both spaces in one call.
struct device_space {};

/// Contiguous run of `size` elements.
///
/// T         element type; `const T` for inputs.
/// Space     where the memory lives; views of different spaces do not convert into each other.
template <class T, class Space = host_space>
class vector_view {
  public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    using space = Space;

    constexpr vector_view() noexcept = default;
    RECKON_HD constexpr vector_view(T* data, std::size_t size) noexcept : data_(data), size_(size) {}
    /// Read-only view of the same memory.
    template <class U>
        requires(std::is_const_v<T>&& std::same_as<const U, T> && !std::is_const_v<U>)
    RECKON_HD constexpr vector_view(vector_view<U, Space> other) noexcept : data_(other.data()), size_(other.size()) {}

    RECKON_HD constexpr T* data() const noexcept { return data_; }
    RECKON_HD constexpr std::size_t size() const noexcept { return size_; }
    RECKON_HD constexpr bool empty() const noexcept { return size_ == 0; }
    RECKON_HD constexpr T& operator[](std::size_t i) const noexcept { return data_[i]; }
    RECKON_HD constexpr T* begin() const noexcept { return data_; }
    RECKON_HD constexpr T* end() const noexcept { return data_ + size_; }
    /// Elements first .. first + count - 1; an empty view stays empty, so that optional columns slice like the others.
    RECKON_HD constexpr vector_view slice(std::size_t first, std::size_t count) const noexcept {
        return empty() ? *this : vector_view(data_ + first, count);
    }

  private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

/// Row-major matrix: `rows` rows of `cols` contiguous elements, `stride` elements from one row to the next.
template <class T, class Space = host_space>
class matrix_view {
  public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    using space = Space;

    constexpr matrix_view() noexcept = default;
    RECKON_HD constexpr matrix_view(T* data, std::size_t rows, std::size_t cols, std::size_t stride) noexcept
        : data_(data), rows_(rows), cols_(cols), stride_(stride) {}
    RECKON_HD constexpr matrix_view(T* data, std::size_t rows, std::size_t cols) noexcept
        : matrix_view(data, rows, cols, cols) {}
    /// Read-only view of the same memory.
    template <class U>
        requires(std::is_const_v<T>&& std::same_as<const U, T> && !std::is_const_v<U>)
    RECKON_HD constexpr matrix_view(matrix_view<U, Space> other) noexcept
        : data_(other.data()), rows_(other.rows()), cols_(other.cols()), stride_(other.stride()) {}

    RECKON_HD constexpr T* data() const noexcept { return data_; }
    RECKON_HD constexpr std::size_t rows() const noexcept { return rows_; }
    RECKON_HD constexpr std::size_t cols() const noexcept { return cols_; }
    RECKON_HD constexpr std::size_t stride() const noexcept { return stride_; }
    RECKON_HD constexpr bool empty() const noexcept { return rows_ == 0 || cols_ == 0; }
    RECKON_HD constexpr vector_view<T, Space> row(std::size_t r) const noexcept { return {data_ + r * stride_, cols_}; }
    RECKON_HD constexpr T& operator()(std::size_t r, std::size_t c) const noexcept { return data_[r * stride_ + c]; }
    /// Columns first .. first + count - 1 of every row.
    RECKON_HD constexpr matrix_view columns(std::size_t first, std::size_t count) const noexcept {
        return empty() ? *this : matrix_view(data_ + first, rows_, count, stride_);
    }
    /// Rows first .. first + count - 1.
    RECKON_HD constexpr matrix_view slice(std::size_t first, std::size_t count) const noexcept {
        return rows_ == 0 ? *this : matrix_view(cols_ == 0 ? data_ : data_ + first * stride_, count, cols_, stride_);
    }

  private:
    T* data_ = nullptr;
    std::size_t rows_ = 0;
    std::size_t cols_ = 0;
    std::size_t stride_ = 0;
};

template <class T>
vector_view(T*, std::size_t) -> vector_view<T>;
template <class T>
matrix_view(T*, std::size_t, std::size_t) -> matrix_view<T>;
template <class T>
matrix_view(T*, std::size_t, std::size_t, std::size_t) -> matrix_view<T>;

namespace detail {

// How view() sees a type C; reckon/eigen.hpp adds Eigen's. A class template, because name look-up would not find
// overloads that are declared after the kernels.
template <class C>
struct viewer {};

template <class C>
concept contiguous_container = requires(C& c) {
    { std::data(c) } -> std::convertible_to<const void*>;
    { std::size(c) } -> std::convertible_to<std::size_t>;
}
&&!requires(C & c) {
    c.rows();
};

template <class C>
    requires contiguous_container<C>
struct viewer<C> {
    template <class Same>
    static constexpr auto make(Same& c) noexcept {
        using element = std::remove_pointer_t<decltype(std::data(c))>;
        return vector_view<element>(std::data(c), static_cast<std::size_t>(std::size(c)));
    }
};
template <class T, class Space>
struct viewer<vector_view<T, Space>> {
    static constexpr vector_view<T, Space> make(const vector_view<T, Space>& v) noexcept { return v; }
};
template <class T, class Space>
struct viewer<matrix_view<T, Space>> {
    static constexpr matrix_view<T, Space> make(const matrix_view<T, Space>& v) noexcept { return v; }
};

}  // namespace detail

/// View of a vector, array, span or view, without a copy; elements are const when `c` is. With reckon/eigen.hpp also of
/// Eigen vectors and row-major matrices.
template <class C>
    requires requires(C& c) {
        detail::viewer<std::remove_const_t<C>>::make(c);
    }
constexpr auto view(C& c) noexcept {
    return detail::viewer<std::remove_const_t<C>>::make(c);
}
/// Row-major matrix over a vector, array or span: `rows` rows of `cols` elements.
///
/// Throws    std::invalid_argument when the container does not hold rows * cols elements.
template <class C>
    requires detail::contiguous_container<C>
constexpr auto view(C& c, std::size_t rows, std::size_t cols) {
    using element = std::remove_pointer_t<decltype(std::data(c))>;
    const auto held = static_cast<std::size_t>(std::size(c));
    expects(cols == 0 ? held == 0 : (held % cols == 0 && held / cols == rows), "view", "a ", rows, " x ", cols,
            " matrix does not fit over ", held, " elements");
    return matrix_view<element>(std::data(c), rows, cols, cols);
}

namespace detail {

template <class V>
struct is_vector_view : std::false_type {};
template <class T, class Space>
struct is_vector_view<vector_view<T, Space>> : std::true_type {};
template <class V>
struct is_matrix_view : std::false_type {};
template <class T, class Space>
struct is_matrix_view<matrix_view<T, Space>> : std::true_type {};

template <class T, class Space>
constexpr vector_view<const T, Space> as_const(vector_view<T, Space> v) noexcept {
    return v;
}
template <class T, class Space>
constexpr matrix_view<const T, Space> as_const(matrix_view<T, Space> v) noexcept {
    return v;
}

}  // namespace detail

/// Read-only view of anything that view() takes; what kernels call on their inputs.
template <class C>
constexpr auto input(const C& c) noexcept {
    return detail::as_const(view(c));
}

/// Stands for a column that was not given (weights, most often).
struct none {};
template <class T = float>
constexpr vector_view<const T> input(none) noexcept {
    return {};
}

/// Anything that view() turns into a vector.
template <class C>
concept vector_like = requires(C& c) {
    requires detail::is_vector_view<decltype(view(c))>::value;
};

/// Anything that view() turns into a row-major matrix.
template <class C>
concept matrix_like = requires(C& c) {
    requires detail::is_matrix_view<decltype(view(c))>::value;
};

}  // namespace reckon
