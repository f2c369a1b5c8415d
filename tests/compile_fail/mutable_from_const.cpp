// A read-only view does not become writable.
// expect: (could not convert|no known conversion).*vector_view<float
#include "reckon/core/views.hpp"

void fill(reckon::vector_view<float> values) {
    values[0] = 1.0f;
}

#ifdef RECKON_MISUSE
using element = const float;
#else
using element = float;
#endif

void use(reckon::vector_view<element> values) {
    fill(values);
}
