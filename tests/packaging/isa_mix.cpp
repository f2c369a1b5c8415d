// A program with a baseline half and an AVX2 half: each half gets its own code, and their results can be exchanged.
#include <cmath>
#include <cstdio>
#include <cstring>

#include "isa_part.hpp"

int main() {
    if (std::strcmp(part_baseline.isa(), "sse2") != 0 || std::strcmp(part_avx2.isa(), "avx2") != 0) {
        std::printf("halves were built for %s and %s\n", part_baseline.isa(), part_avx2.isa());
        return 1;
    }
    std::vector<float> scores;
    for (int i = -40; i <= 40; ++i) scores.push_back(0.37f * static_cast<float>(i));
    const auto narrow = part_baseline.sigmoids(scores);
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
        std::printf("no AVX2 here: the baseline half ran beside code that this machine cannot execute\n");
        return 0;
    }
    const auto wide = part_avx2.sigmoids(scores);
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (!(std::fabs(wide[i] - narrow[i]) <= 4e-7f * narrow[i])) {
            std::printf("sigmoid(%g): %.9g and %.9g\n", static_cast<double>(scores[i]), static_cast<double>(narrow[i]),
                        static_cast<double>(wide[i]));
            return 1;
        }
    }
    return 0;
}
