// The code of docs/kernels/losses.md, run and checked.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <vector>

#include "reckon/exec/parts.hpp"
#include "reckon/losses/info_nce.hpp"
#include "support/random_data.hpp"

TEST_CASE("page losses: info_nce") {
    const std::size_t batch = 64, width = 8;
    const auto query_values = reckon::testing_support::random_normal<float>(batch * width, 0.0, 0.3, 1);
    const auto key_values = reckon::testing_support::random_normal<float>(batch * width, 0.0, 0.3, 2);
    std::vector<float> query_gradient(batch * width), key_gradient(batch * width);
    // snippet: info_nce
    const auto q = reckon::view(query_values, batch, width), k = reckon::view(key_values, batch, width);
    std::vector<float> row_lse(batch);
    const auto loss = reckon::info_nce(reckon::exec::serial, q, k, row_lse, {.temperature = 0.05},
                                       {.queries = reckon::view(query_gradient, batch, width),
                                        .keys = reckon::view(key_gradient, batch, width),
                                        .scale = 1.0 / batch});  // gradients of the mean
    std::printf("%.4f nats per query\n", loss.finish());
    // end snippet
    CHECK(loss.finish() > 0.0);
    double total = 0.0;
    for (const float g : query_gradient) total += std::fabs(static_cast<double>(g));
    CHECK(total > 0.0);
}
