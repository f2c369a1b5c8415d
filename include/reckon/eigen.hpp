// Views of Eigen vectors and matrices, without a copy.
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <type_traits>

#include "reckon/core/views.hpp"

namespace reckon {

namespace detail {

template <class Derived>
inline constexpr bool has_direct_access_v = (int(Derived::Flags) & int(Eigen::DirectAccessBit)) != 0;

template <class Derived, class Element>
auto view_eigen(const Derived& m, Element* data) {
    static_assert(has_direct_access_v<Derived>,
                  "reckon::view: this Eigen expression has no memory to view; evaluate it into a matrix first");
    static_assert(int(Derived::InnerStrideAtCompileTime) == 1,
                  "reckon::view: the elements of this Eigen object do not lie side by side; copy it first");
    if constexpr (bool(Derived::IsVectorAtCompileTime)) {
        return vector_view<Element>(data, static_cast<std::size_t>(m.size()));
    } else {
        static_assert(bool(Derived::IsRowMajor),
                      "reckon::view: this Eigen matrix is column-major; declare it as Eigen::Matrix<T, Eigen::Dynamic, "
                      "Eigen::Dynamic, Eigen::RowMajor>, or view its transpose");
        return matrix_view<Element>(data, static_cast<std::size_t>(m.rows()), static_cast<std::size_t>(m.cols()),
                                    static_cast<std::size_t>(m.outerStride()));
    }
}

template <class C>
    requires std::is_base_of_v<Eigen::DenseBase<C>, C>
struct viewer<C> {
    // A column-major matrix stops here, with the sentence that says what to do.
    static auto make(C& m) { return view_eigen<C, std::remove_pointer_t<decltype(m.data())>>(m, m.data()); }
    static auto make(const C& m) { return view_eigen<C, const typename C::Scalar>(m, m.data()); }
};

}  // namespace detail

}  // namespace reckon
