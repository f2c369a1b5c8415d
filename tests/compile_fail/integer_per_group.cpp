// A group without a distance gets NaN, which an integer column cannot hold.
// expect: per_group must be floating-point
#include <vector>

#include "reckon/exec/policies.hpp"
#include "reckon/metrics/wasserstein.hpp"

#ifdef RECKON_MISUSE
using value = int;
#else
using value = float;
#endif

void use(reckon::matrix_view<const float> quantiles, const std::vector<float>& values,
         const std::vector<unsigned>& offsets, std::vector<value>& per_group) {
    reckon::group_wasserstein(reckon::exec::serial, quantiles, values, offsets, per_group);
}
