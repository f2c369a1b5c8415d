// One half of a program whose halves are compiled with different flags.
#pragma once

#include <vector>

struct part {
    const char* (*isa)();
    std::vector<float> (*sigmoids)(const std::vector<float>&);
};

extern const part part_baseline;
extern const part part_avx2;
