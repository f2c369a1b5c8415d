// Work on a CUDA stream cannot be asked for in a file that nvcc does not compile.
// expect: exec::cuda needs a file compiled by nvcc
#include "reckon/exec/parts.hpp"
#include "reckon/exec/policies.hpp"

void use(float* out) {
#ifdef RECKON_MISUSE
    const reckon::exec::cuda where{};
#else
    const auto& where = reckon::exec::serial;
#endif
    reckon::exec::map_parts(where, 10, [out](std::size_t first, std::size_t count) {
        for (std::size_t i = first; i < first + count; ++i) out[i] = 0.0f;
    });
}
