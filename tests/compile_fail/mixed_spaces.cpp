// Device memory does not enter a function that reads host memory.
// expect: (could not convert|no known conversion).*host_space
#include "reckon/core/views.hpp"

float first(reckon::vector_view<const float> values) {
    return values[0];
}

#ifdef RECKON_MISUSE
using space = reckon::device_space;
#else
using space = reckon::host_space;
#endif

float use(reckon::vector_view<const float, space> values) {
    return first(values);
}
