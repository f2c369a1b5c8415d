// Views: no copy, const where it must be, slices, Eigen.
#include <doctest/doctest.h>

#include <Eigen/Core>
#include <array>
#include <memory>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/batch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/eigen.hpp"

using reckon::device_space;
using reckon::host_space;
using reckon::matrix_view;
using reckon::vector_view;

using row_major = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

TEST_CASE("views: vectors, arrays, spans and C arrays are viewed in place") {
    std::vector<float> v{1, 2, 3};
    std::array<int, 2> a{4, 5};
    double c[4] = {6, 7, 8, 9};
    const std::span<float> s(v);
    CHECK(reckon::view(v).data() == v.data());
    CHECK(reckon::view(v).size() == 3);
    CHECK(reckon::view(a).data() == a.data());
    CHECK(reckon::view(c).size() == 4);
    CHECK(reckon::view(s).data() == v.data());
    reckon::view(v)[1] = 20.0f;
    CHECK(v[1] == 20.0f);
    // A const span of mutable elements stays mutable, a const vector does not.
    static_assert(std::is_same_v<decltype(reckon::view(s))::element_type, float>);
    static_assert(std::is_same_v<decltype(reckon::view(std::as_const(v)))::element_type, const float>);
    static_assert(std::is_same_v<decltype(reckon::input(v))::element_type, const float>);
    static_assert(std::is_same_v<decltype(reckon::view(v))::value_type, float>);
}

TEST_CASE("views: mutable converts to const and not back, elements do not convert") {
    static_assert(std::is_convertible_v<vector_view<float>, vector_view<const float>>);
    static_assert(!std::is_constructible_v<vector_view<float>, vector_view<const float>>);
    static_assert(!std::is_constructible_v<vector_view<const double>, vector_view<float>>);
    static_assert(std::is_convertible_v<matrix_view<float>, matrix_view<const float>>);
    static_assert(!std::is_constructible_v<matrix_view<float>, matrix_view<const float>>);
    std::vector<int> v{1, 2};
    const vector_view<const int> read_only = reckon::view(v);
    CHECK(read_only.data() == v.data());
    CHECK(read_only.size() == 2);
}

TEST_CASE("views: memory spaces do not mix") {
    static_assert(!std::is_constructible_v<vector_view<float, host_space>, vector_view<float, device_space>>);
    static_assert(!std::is_constructible_v<vector_view<const float, device_space>, vector_view<float, host_space>>);
    static_assert(!std::is_constructible_v<matrix_view<const float, host_space>, matrix_view<float, device_space>>);
    static_assert(std::is_convertible_v<vector_view<float, device_space>, vector_view<const float, device_space>>);
    float x = 0.0f;
    const vector_view<float, device_space> on_device(&x, 1);
    static_assert(std::is_same_v<decltype(reckon::input(on_device)), vector_view<const float, device_space>>);
    CHECK(reckon::input(on_device).data() == &x);
}

TEST_CASE("views: default-built views are empty") {
    CHECK(vector_view<double>().empty());
    CHECK(vector_view<double>().data() == nullptr);
    CHECK(matrix_view<double>().empty());
    CHECK(reckon::input(reckon::none{}).empty());
    CHECK(matrix_view<double>(nullptr, 3, 0).empty());
    const std::vector<float> nothing;
    CHECK(reckon::view(nothing).begin() == reckon::view(nothing).end());
}

TEST_CASE("views: slices of vectors") {
    std::vector<int> v{0, 1, 2, 3, 4};
    const auto s = reckon::view(v).slice(1, 3);
    CHECK(s.size() == 3);
    CHECK(s.data() == v.data() + 1);
    int sum = 0;
    for (const int x : s) sum += x;
    CHECK(sum == 6);
    CHECK(reckon::view(v).slice(5, 0).empty());
    // An optional column that was not given stays so.
    CHECK(vector_view<int>().slice(100, 7).empty());
}

TEST_CASE("views: matrices index rows by their stride") {
    std::vector<int> v(12);
    for (int i = 0; i < 12; ++i) v[static_cast<std::size_t>(i)] = i;
    const auto m = reckon::view(v, 3, 4);
    CHECK(m.rows() == 3);
    CHECK(m.cols() == 4);
    CHECK(m.stride() == 4);
    CHECK(m(2, 1) == 9);
    CHECK(m.row(1).data() == v.data() + 4);
    CHECK(m.row(1).size() == 4);
    const auto middle = m.columns(1, 2).slice(1, 2);
    CHECK(middle.rows() == 2);
    CHECK(middle.cols() == 2);
    CHECK(middle.stride() == 4);
    CHECK(middle(1, 1) == 10);
    middle(0, 0) = -1;
    CHECK(v[5] == -1);
    CHECK(matrix_view<int>().columns(3, 4).empty());
    CHECK(matrix_view<int>().slice(3, 4).empty());
}

TEST_CASE("views: a matrix over a container must fit it") {
    std::vector<int> v(12), none_at_all;
    CHECK(reckon::view(v, 12, 1).rows() == 12);
    CHECK(reckon::view(none_at_all, 0, 3).empty());
    CHECK(reckon::view(none_at_all, 3, 0).empty());
    CHECK_THROWS_WITH_AS(reckon::view(v, 3, 5), "view: a 3 x 5 matrix does not fit over 12 elements",
                         std::invalid_argument);
    CHECK_THROWS_AS(reckon::view(v, 2, 4), std::invalid_argument);
    CHECK_THROWS_AS(reckon::view(v, 4, 0), std::invalid_argument);
    // rows * cols wraps around to 12.
    CHECK_THROWS_AS(reckon::view(v, (std::size_t{1} << 62) + 3, 4), std::invalid_argument);
}

TEST_CASE("views: Eigen vectors, arrays and row-major matrices are viewed in place") {
    Eigen::VectorXf v = Eigen::VectorXf::Constant(5, 2.0f);
    const Eigen::ArrayXd a = Eigen::ArrayXd::Ones(3);
    row_major m = row_major::Zero(3, 4);
    CHECK(reckon::view(v).data() == v.data());
    CHECK(reckon::view(v).size() == 5);
    static_assert(std::is_same_v<decltype(reckon::view(a)), vector_view<const double>>);
    CHECK(reckon::view(a).data() == a.data());
    static_assert(std::is_same_v<decltype(reckon::view(m)), matrix_view<double>>);
    reckon::view(m)(1, 2) = 7.0;
    CHECK(m(1, 2) == 7.0);
    static_assert(std::is_same_v<decltype(reckon::view(std::as_const(m))), matrix_view<const double>>);
    Eigen::RowVector3d row(1, 2, 3);
    CHECK(reckon::view(row).size() == 3);
    CHECK(reckon::input(row)[2] == 3.0);
}

TEST_CASE("views: Eigen blocks, rows and maps keep their stride") {
    row_major m(4, 6);
    for (int i = 0; i < 24; ++i) m.data()[i] = i;
    auto block = m.block(1, 2, 2, 3);
    const auto b = reckon::view(block);
    CHECK(b.rows() == 2);
    CHECK(b.cols() == 3);
    CHECK(b.stride() == 6);
    CHECK(b(1, 2) == m(2, 4));
    CHECK(b.data() == &m(1, 2));
    auto third = m.row(3);
    CHECK(reckon::view(third).data() == &m(3, 0));
    CHECK(reckon::view(third).size() == 6);
    std::vector<double> raw(24, 1.5);
    Eigen::Map<row_major, 0, Eigen::OuterStride<>> map(raw.data(), 3, 5, Eigen::OuterStride<>(8));
    CHECK(reckon::view(map).stride() == 8);
    CHECK(reckon::view(map).data() == raw.data());
    const Eigen::Map<const Eigen::VectorXd> constant(raw.data(), 24);
    static_assert(std::is_same_v<decltype(reckon::view(constant)), vector_view<const double>>);
    CHECK(reckon::view(constant).size() == 24);
    // The transpose of a column-major matrix is row-major.
    Eigen::MatrixXd column_major = Eigen::MatrixXd::Random(3, 2);
    auto transposed = column_major.transpose();
    CHECK(reckon::view(transposed)(1, 2) == column_major(2, 1));
    auto column = column_major.col(1);
    CHECK(reckon::view(column).data() == &column_major(0, 1));
}

TEST_CASE("views: vector_like accepts vectors and nothing else") {
    static_assert(reckon::vector_like<std::vector<float>>);
    static_assert(reckon::vector_like<vector_view<const float>>);
    static_assert(reckon::vector_like<Eigen::VectorXf>);
    static_assert(!reckon::vector_like<matrix_view<float>>);
    static_assert(!reckon::vector_like<row_major>);
    static_assert(!reckon::vector_like<float>);
    static_assert(!reckon::vector_like<std::unique_ptr<float[]>>);
    CHECK(true);
}

TEST_CASE("batches: columns must agree in length, weights are optional") {
    const std::vector<float> p{0.25f, 0.5f, 0.75f};
    const std::vector<int> y{0, 1, 1};
    const std::vector<double> w{1.0, 2.0, 0.5};
    const auto plain = reckon::make_scored("kernel", p, y);
    CHECK(plain.size() == 3);
    CHECK(plain.weight(2) == 1.0);
    const auto weighted = reckon::make_scored("kernel", p, y, w).slice(1, 2);
    CHECK(weighted.size() == 2);
    CHECK(weighted.score(1) == 0.75);
    CHECK(weighted.label(0) == 1.0);
    CHECK(weighted.weight(1) == 0.5);
    CHECK(plain.slice(2, 1).weight(0) == 1.0);
    CHECK_THROWS_WITH_AS(reckon::make_scored("kernel", p, std::vector<int>{1}), "kernel: 3 scores but 1 labels",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(reckon::make_scored("kernel", p, y, std::vector<float>{1, 2}),
                         "kernel: 3 scores but 2 weights", std::invalid_argument);
}
