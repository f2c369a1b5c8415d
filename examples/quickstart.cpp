// Quick start: learn from a log what a model's click probabilities are worth, and repair tomorrow's.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "reckon/calibration/isotonic.hpp"
#include "reckon/core/random.hpp"
#include "reckon/metrics/reliability.hpp"

namespace {

struct click_log {
    std::vector<float> predicted;       // what the model said
    std::vector<std::uint8_t> clicked;  // what happened
};

// A model that ranks well and exaggerates: its log-odds are 1.6 times the true ones, plus 1.
click_log simulate(std::size_t rows, std::uint64_t seed) {
    const reckon::random_stream normals(seed, 0), uniforms(seed, 1);
    click_log log;
    for (std::size_t i = 0; i < rows; ++i) {
        const double truth = -2.0 + normals.normal(i);
        log.predicted.push_back(static_cast<float>(1.0 / (1.0 + std::exp(-(1.6 * truth + 1.0)))));
        log.clicked.push_back(uniforms.uniform(i) < 1.0 / (1.0 + std::exp(-truth)) ? 1 : 0);
    }
    return log;
}

}  // namespace

int main() {
    const click_log yesterday = simulate(200'000, 1), today = simulate(200'000, 2);

    // snippet: quickstart
    using reckon::exec::serial;  // one thread; exec::host{pool} for several, with the same bits as result

    const auto model = reckon::isotonic::fit(serial, yesterday.predicted, yesterday.clicked);
    std::vector<float> repaired(today.predicted.size());
    model.apply(serial, today.predicted, repaired);

    const double before = reckon::ece(serial, today.predicted, today.clicked);
    const double after = reckon::ece(serial, repaired, today.clicked);
    std::printf("expected calibration error: %.4f before, %.4f after\n", before, after);
    // end snippet

    return after < 0.1 * before ? 0 : 1;
}
