// A list without a value gets NaN, which an integer column cannot hold.
// expect: per_list must be floating-point
#include <vector>

#include "reckon/exec/policies.hpp"
#include "reckon/metrics/hit_rate.hpp"

#ifdef RECKON_MISUSE
using value = int;
#else
using value = float;
#endif

void use(const std::vector<float>& scores, const std::vector<int>& labels, const std::vector<unsigned>& offsets,
         std::vector<value>& per_list) {
    reckon::hit_rate(reckon::exec::serial, scores, labels, offsets, {}, per_list);
}
