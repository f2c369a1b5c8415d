// Checks core/math.hpp in float on all 2^32 inputs, or on a slice of them, for every instruction set of this build.
//
//   math --full                 every float
//   math --slice k/n            slice k = 0 .. n-1 of n; the n slices together are every float
//   math                        slice RECKON_SLICE, or else one of 256 chosen by the day of the year
//   math --isa sse2             that instruction set alone
//
// The reference is the C library in double, whose error is below 2^-28 of a float ULP. The error counts in true ULP:
// |got - reference| over the distance of neighbouring floats at the reference.
#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/simd.hpp"

namespace {

namespace isa = reckon::isa;
namespace math = reckon::math;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
constexpr double ln2 = 0.693147180559945309417;

// References take short cuts where a few terms of a series are exact to double precision or the result has left the
// range of float: nine tenths of all floats are tiny or huge, and the C library takes its time there.
double reference_exp(double x) {
    if (std::fabs(x) < 0x1p-27) return 1.0 + x;
    if (x > 100.0) return inf;
    if (x < -120.0) return 0.0;
    return std::exp(x);
}
double reference_log(double x) {
    return x < 0.0 ? nan_value : std::log(x);
}
double reference_log1p(double x) {
    if (std::fabs(x) < 0x1p-30) return x - 0.5 * x * x;
    return x < -1.0 ? nan_value : std::log1p(x);
}
double reference_sigmoid(double x) {
    if (std::fabs(x) < 0x1p-13) return 0.5 + x * (0.25 - x * x / 48.0);
    if (x > 40.0) return 1.0;
    if (x < -120.0) return 0.0;
    return 1.0 / (1.0 + std::exp(-x));
}
double reference_softplus(double x) {
    if (std::fabs(x) < 0x1p-13) return ln2 + x * (0.5 + x * 0.125);
    if (x > 60.0) return x;
    if (x < -120.0) return 0.0;
    return std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
}
double reference_logit(double p) {
    if (!(p >= 0.0 && p <= 1.0)) return nan_value;
    if (p < 0x1p-30) return std::log(p) + p;
    const double twice = 2.0 * p - 1.0;
    return std::fabs(twice) < 0.5 ? 2.0 * std::atanh(twice) : std::log(p / (1.0 - p));
}

// The promises of docs/numerics.md: largest error in ULP over all floats, on every instruction set.
constexpr double bound_exp = 1.1;
constexpr double bound_log = 2.1;
constexpr double bound_log1p = 2.1;
constexpr double bound_sigmoid = 2.5;
constexpr double bound_softplus = 3.0;
constexpr double bound_log_sigmoid = 3.0;
constexpr double bound_logit = 4.75;

constexpr double bin_edges[] = {0.5, 1.0, 2.0, 3.0, 5.0};
constexpr std::size_t bin_count = std::size(bin_edges) + 1;

struct tally {
    std::uint64_t cases = 0;
    std::uint64_t wrong_class = 0;
    float wrong_class_input = 0.0f;
    double worst = 0.0;
    float worst_input = 0.0f;
    std::uint64_t above[std::size(bin_edges)] = {};

    void merge(const tally& other) {
        cases += other.cases;
        if (wrong_class == 0) wrong_class_input = other.wrong_class_input;
        wrong_class += other.wrong_class;
        if (other.worst > worst) {
            worst = other.worst;
            worst_input = other.worst_input;
        }
        for (std::size_t b = 0; b < std::size(bin_edges); ++b) above[b] += other.above[b];
    }
};

constexpr std::size_t block_size = 4096;
constexpr std::size_t chunk_size = 32;
static_assert(block_size % chunk_size == 0);
constexpr double beyond_float = 0x1p128;  // the float that would follow the largest one stands for infinity

// Error in ULP of a result that is not the correctly rounded one; NaN where the classes (NaN, infinite) disagree.
double error_in_ulp(float got, double want) {
    const double value = static_cast<double>(got);
    if (std::isnan(value) || std::isnan(want) || std::isinf(want)) return nan_value;
    const double reached = std::isinf(value) ? std::copysign(beyond_float, value) : value;
    // The neighbours at 2^128 and beyond lie as far apart as those in the last binade of float.
    const int exponent = std::clamp(want == 0.0 ? -126 : std::ilogb(want), -126, 127);
    return std::fabs(reached - want) / std::ldexp(1.0, exponent - 23);
}

// Whether a chunk holds a result that is not the correctly rounded one. No branches, so that the compiler vectorizes
// it.
bool any_rounded_otherwise(const float* got, const double* want) {
    int found = 0;
    for (std::size_t i = 0; i < chunk_size; ++i) {
        const bool both_nan = (got[i] != got[i]) & (want[i] != want[i]);
        found |= !((got[i] == static_cast<float>(want[i])) | both_nan);
    }
    return found != 0;
}

void compare(const float* in, const float* got, const double* want, std::size_t n, tally& result) {
    result.cases += n;
    for (std::size_t i = 0; i < n; ++i) {
        // Nearly all results are correctly rounded: at most half a ULP away.
        if (i % chunk_size == 0 && !any_rounded_otherwise(got + i, want + i)) {
            i += chunk_size - 1;
            continue;
        }
        const bool both_nan = got[i] != got[i] && want[i] != want[i];
        if (got[i] == static_cast<float>(want[i]) || both_nan) continue;
        const double error = error_in_ulp(got[i], want[i]);
        if (std::isnan(error)) {
            if (result.wrong_class++ == 0) result.wrong_class_input = in[i];
            continue;
        }
        if (error > result.worst) {
            result.worst = error;
            result.worst_input = in[i];
        }
        for (std::size_t b = 0; b < std::size(bin_edges) && error > bin_edges[b]; ++b) ++result.above[b];
    }
}

template <class Isa, class Function>
void apply(Function f, const float* in, float* out) {
    using pack = reckon::simd::pack<float, Isa>;
    static_assert(block_size % pack::lanes == 0);
    for (std::size_t i = 0; i < block_size; i += pack::lanes) f(pack::load(in + i)).store(out + i);
}

struct function {
    const char* name;
    double bound;
    double (*reference)(double);
    void (*run)(const float* in, float* out);
};

template <class Isa>
const std::vector<function>& functions() {
    static const std::vector<function> all{
        {"exp", bound_exp, reference_exp,
         [](const float* in, float* out) { apply<Isa>([](auto x) { return math::exp(x); }, in, out); }},
        {"log", bound_log, reference_log,
         [](const float* in, float* out) { apply<Isa>([](auto x) { return math::log(x); }, in, out); }},
        {"log1p", bound_log1p, reference_log1p,
         [](const float* in, float* out) { apply<Isa>([](auto x) { return math::log1p(x); }, in, out); }},
        {"sigmoid", bound_sigmoid, reference_sigmoid,
         [](const float* in, float* out) { apply<Isa>([](auto x) { return math::sigmoid(x); }, in, out); }},
        {"softplus", bound_softplus, reference_softplus,
         [](const float* in, float* out) { apply<Isa>([](auto x) { return math::softplus(x); }, in, out); }},
        {"log_sigmoid", bound_log_sigmoid, [](double x) { return -reference_softplus(-x); },
         [](const float* in, float* out) { apply<Isa>([](auto x) { return math::log_sigmoid(x); }, in, out); }},
        {"logit", bound_logit, reference_logit,
         [](const float* in, float* out) { apply<Isa>([](auto x) { return math::logit(x); }, in, out); }},
    };
    return all;
}

struct instruction_set {
    const char* name;
    const std::vector<function>& functions;
};

std::vector<instruction_set> instruction_sets() {
    std::vector<instruction_set> all;
    all.push_back({isa::name(isa::scalar{}), functions<isa::scalar>()});
#if defined(__SSE2__)
    all.push_back({isa::name(isa::sse2{}), functions<isa::sse2>()});
#endif
#if defined(__AVX2__) && defined(__FMA__)
    all.push_back({isa::name(isa::avx2{}), functions<isa::avx2>()});
#endif
#if defined(__AVX512F__) && defined(__AVX512CD__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
    all.push_back({isa::name(isa::avx512{}), functions<isa::avx512>()});
#endif
#if defined(__aarch64__)
    all.push_back({isa::name(isa::neon{}), functions<isa::neon>()});
#endif
    return all;
}

// Which floats a run visits: one of every n neighbours, at a place that wanders with the golden ratio from one group of
// n to the next, so that a slice meets every binade and all low bits. For a fixed group the n slices take n different
// places, so that together they are every float.
struct slice {
    std::uint64_t index = 0;
    std::uint64_t count = 256;

    std::uint64_t groups() const { return ((std::uint64_t{1} << 32) + count - 1) / count; }
    // Past the end of the last group where count does not divide 2^32.
    bool contains(std::uint64_t group) const { return bits_of(group) < (std::uint64_t{1} << 32); }
    std::uint64_t bits_of(std::uint64_t group) const {
        const std::uint64_t wander = ((group * 0x9e3779b9u) & 0xffffffffu) * count >> 32;
        return group * count + (index + wander) % count;
    }
};

float from_bits(std::uint64_t bits) {
    const auto word = static_cast<std::uint32_t>(bits);
    float value;
    std::memcpy(&value, &word, sizeof value);
    return value;
}

using results = std::vector<std::vector<tally>>;  // [instruction set][function]

// Runs one block of floats through everything. The references are shared by the instruction sets.
void run_block(const std::vector<instruction_set>& sets, const float* in, std::size_t n, results& found) {
    alignas(64) float out[block_size];
    double want[block_size];
    for (std::size_t f = 0; f < sets.front().functions.size(); ++f) {
        const auto reference = sets.front().functions[f].reference;
        for (std::size_t i = 0; i < block_size; ++i) want[i] = reference(static_cast<double>(in[i]));
        for (std::size_t s = 0; s < sets.size(); ++s) {
            sets[s].functions[f].run(in, out);
            compare(in, out, want, n, found[s][f]);
        }
    }
}

class block_filler {
  public:
    block_filler(const std::vector<instruction_set>& sets, results& found) : sets_(sets), found_(found) {}
    void add(float x) {
        in_[size_++] = x;
        if (size_ == block_size) flush();
    }
    void flush() {
        // The rest of a block that is not full is computed, but not counted.
        for (std::size_t i = size_; i < block_size; ++i) in_[i] = 0.0f;
        if (size_ > 0) run_block(sets_, in_, size_, found_);
        size_ = 0;
    }

  private:
    const std::vector<instruction_set>& sets_;
    results& found_;
    alignas(64) float in_[block_size];
    std::size_t size_ = 0;
};

results empty_results(const std::vector<instruction_set>& sets) {
    return results(sets.size(), std::vector<tally>(sets.front().functions.size()));
}

// Floats next to values where something changes: visited by every slice.
std::uint64_t run_landmarks(const std::vector<instruction_set>& sets, results& found) {
    constexpr float largest = std::numeric_limits<float>::infinity();
    block_filler blocks(sets, found);
    std::uint64_t visited = 0;
    for (const float landmark :
         {0.0f,        0x1p-126f, 0x1p-24f,   0x1p-23f, 0.29f,  0.415f, 0.41f,   0.5f,    0.585f, 0.70710678f, 1.0f,
          1.41421356f, 2.0f,      8388608.0f, 87.33f,   88.72f, 89.0f,  103.28f, 103.97f, 104.0f, largest}) {
        std::uint32_t centre;
        std::memcpy(&centre, &landmark, sizeof centre);
        for (const std::uint32_t sign : {0u, 0x80000000u}) {
            for (std::uint32_t offset = 0; offset <= 128; ++offset, ++visited) {
                blocks.add(from_bits((centre + offset - 64) ^ sign));
            }
        }
    }
    blocks.flush();
    return visited;
}

std::uint64_t run_groups(const std::vector<instruction_set>& sets, const slice& part, std::uint64_t first,
                         std::uint64_t last, results& found) {
    block_filler blocks(sets, found);
    std::uint64_t visited = 0;
    for (std::uint64_t group = first; group < last; ++group) {
        if (!part.contains(group)) continue;
        blocks.add(from_bits(part.bits_of(group)));
        ++visited;
    }
    blocks.flush();
    return visited;
}

bool print(const std::vector<instruction_set>& sets, const results& found, std::uint64_t visited) {
    bool ok = true;
    std::uint64_t cases = 0;
    std::printf("%-8s%-12s%12s%10s%8s  %-15s%9s%9s%9s%9s%9s%9s\n", "isa", "function", "cases", "max ulp", "bound",
                "worst at", "<= 0.5", "<= 1", "<= 2", "<= 3", "<= 5", "> 5");
    for (std::size_t s = 0; s < sets.size(); ++s) {
        for (std::size_t f = 0; f < found[s].size(); ++f) {
            const function& what = sets[s].functions[f];
            const tally& t = found[s][f];
            const bool good = t.wrong_class == 0 && t.worst <= what.bound && t.cases == visited;
            std::printf("%-8s%-12s%12" PRIu64 "%10.4f%8.2f  %-15a", sets[s].name, what.name, t.cases, t.worst,
                        what.bound, static_cast<double>(t.worst_input));
            for (std::size_t b = 0; b < bin_count; ++b) {
                const std::uint64_t from = b == 0 ? t.cases : t.above[b - 1];
                const std::uint64_t to = b + 1 == bin_count ? 0 : t.above[b];
                std::printf(" %8.4f", 100.0 * static_cast<double>(from - to) / static_cast<double>(t.cases));
            }
            std::printf("%s\n", good ? "" : "  FAILED");
            if (t.wrong_class > 0) {
                std::printf("    NaN or infinity where the reference has none, or the reverse: %" PRIu64
                            " inputs, first %a\n",
                            t.wrong_class, static_cast<double>(t.wrong_class_input));
            }
            ok = ok && good;
            cases += t.cases;
        }
    }
    std::printf("%" PRIu64 " cases (columns in percent)\n", cases);
    return ok;
}

bool parse_slice(const char* text, slice& part) {
    char rest = 0;
    std::uint64_t index = 0, count = 0;
    if (std::sscanf(text, "%" SCNu64 "/%" SCNu64 "%c", &index, &count, &rest) != 2) return false;
    if (count == 0 || count > (std::uint64_t{1} << 23) || index >= count) return false;
    part = {index, count};
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    slice part;
    constexpr unsigned threads = 2;
    std::string only;
    const std::time_t now = std::time(nullptr);
    part.index = static_cast<std::uint64_t>(std::gmtime(&now)->tm_yday) % part.count;
    const char* const chosen = std::getenv("RECKON_SLICE");
    bool understood = chosen == nullptr || *chosen == '\0' || parse_slice(chosen, part);
    for (int i = 1; i < argc && understood; ++i) {
        if (std::strcmp(argv[i], "--full") == 0) {
            part = {0, 1};
        } else if (std::strcmp(argv[i], "--slice") == 0 && i + 1 < argc) {
            understood = parse_slice(argv[++i], part);
        } else if (std::strcmp(argv[i], "--isa") == 0 && i + 1 < argc) {
            only = argv[++i];
        } else {
            understood = false;
        }
    }
    if (!understood) {
        std::fprintf(stderr,
                     "usage: math [--full | --slice k/n] [--isa name]   (0 <= k < n <= 2^23; RECKON_SLICE=k/n)\n");
        return 2;
    }
    std::vector<instruction_set> sets;
    for (const instruction_set& set : instruction_sets()) {
        if (only.empty() || only == set.name) sets.push_back(set);
    }
    if (sets.empty()) {
        std::fprintf(stderr, "math: this build has no instruction set '%s'\n", only.c_str());
        return 2;
    }

    std::printf("slice %" PRIu64 "/%" PRIu64 " of all floats\n", part.index, part.count);
    results total = empty_results(sets);
    std::uint64_t visited = run_landmarks(sets, total);
    std::vector<results> found(threads, empty_results(sets));
    std::vector<std::uint64_t> counted(threads, 0);
    std::vector<std::thread> workers;
    for (unsigned t = 0; t < threads; ++t) {
        workers.emplace_back([&, t] {
            const std::uint64_t groups = part.groups();
            counted[t] = run_groups(sets, part, groups * t / threads, groups * (t + 1) / threads, found[t]);
        });
    }
    for (std::thread& worker : workers) worker.join();
    for (unsigned t = 0; t < threads; ++t) {
        visited += counted[t];
        for (std::size_t s = 0; s < sets.size(); ++s) {
            for (std::size_t f = 0; f < total[s].size(); ++f) total[s][f].merge(found[t][s][f]);
        }
    }
    return print(sets, total, visited) ? 0 : 1;
}
