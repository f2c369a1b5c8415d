// A column-major matrix is not a row-major view, and the message says what to do.
// expect: column-major; declare it as Eigen::Matrix<T, Eigen::Dynamic
#include "reckon/eigen.hpp"

#ifdef RECKON_MISUSE
using matrix = Eigen::MatrixXf;
#else
using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
#endif

std::size_t use(matrix& m) {
    return reckon::view(m).rows();
}
