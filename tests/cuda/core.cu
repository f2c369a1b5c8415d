// The shared arithmetic compiles for CUDA threads: views of device memory, lanes and elementary functions.
#include "reckon/core/lane.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"

namespace {

template <class T>
__global__ void sigmoid_of_logit(reckon::vector_view<const T, reckon::device_space> p,
                                 reckon::vector_view<T, reckon::device_space> out) {
    const std::size_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= p.size()) return;
    const T z = reckon::math::logit(p[i]);
    out[i] = reckon::math::sigmoid(z) + reckon::math::softplus(z) - reckon::math::log_sigmoid(-z) +
             reckon::math::exp(reckon::math::log(p[i])) - reckon::math::log1p(z);
}

}  // namespace

void launch(reckon::exec::cuda where, reckon::vector_view<const float, reckon::device_space> p,
            reckon::vector_view<float, reckon::device_space> out) {
    sigmoid_of_logit<<<1, 128, 0, static_cast<cudaStream_t>(where.stream)>>>(p, out);
}
void launch(reckon::exec::cuda where, reckon::vector_view<const double, reckon::device_space> p,
            reckon::vector_view<double, reckon::device_space> out) {
    sigmoid_of_logit<<<1, 128, 0, static_cast<cudaStream_t>(where.stream)>>>(p, out);
}
