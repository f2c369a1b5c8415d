// Compiled twice: with the compiler's default flags as part_baseline, and with -mavx2 -mfma as part_avx2.
#include "isa_part.hpp"

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"

namespace {

const char* isa_name() {
    return reckon::isa::name(reckon::isa::native{});
}

std::vector<float> sigmoids(const std::vector<float>& scores) {
    std::vector<float> out(scores.size());
    const auto in = reckon::input(scores);
    reckon::expects(in.size() == out.size(), "sigmoids", "sizes differ: ", in.size(), " and ", out.size());
    reckon::simd::transform(in.data(), out.data(), in.size(), 0.0f, [](auto x) { return reckon::math::sigmoid(x); });
    return out;
}

}  // namespace

const part PART = {isa_name, sigmoids};
