// A stranger's program: what it asks of the package is a header, a view and the version.
#include <cstdio>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/views.hpp"
#include "reckon/version.hpp"

int main() {
    const std::vector<float> values = {0.25f, 0.5f};
    const auto seen = reckon::view(values);
    reckon::expects(seen.size() == 2, "consumer", "expected 2 values, saw ", seen.size());
    std::printf("reckon %d: %g\n", RECKON_VERSION, static_cast<double>(seen[0] + seen[1]));
    return seen[0] + seen[1] == 0.75f ? 0 : 1;
}
