// Checks that frozen headers map every float as the library does, bit for bit.
//
//   freeze --write FOLDER                  writes a header for each case, and all.cpp, which exports them
//   freeze --compare LIBRARY...            compares all.cpp, compiled into shared libraries, with this build's library
//
//   --full                                 every float; without it 64 neighbours in each of 1 / 1024 of the places
//   --part K                               one K-th of the slice (for slow libraries)
//   --case NAME                            that case alone
//
// It also checks that no result is below that of the float before, where a method promises it, and a number of
// doubles.
#include <dlfcn.h>

#include <algorithm>
#include <bit>
#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "reckon/calibration/freeze.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/sort.hpp"

namespace {

namespace exec = reckon::exec;

constexpr std::size_t run_length = 64;  // neighbouring floats
constexpr std::size_t block_size = 4096;

struct settings {
    bool full = false;
    std::uint64_t part = 1;
    std::string only, folder;
    std::vector<std::string> libraries;
};

/// What a calibrator promises about neighbouring floats.
enum class order { kept, kept_within_one, kept_within_eight, free };

struct sample {
    std::vector<double> scores, logits;
    std::vector<std::uint8_t> labels;
};
sample some_rows(std::size_t n) {
    const reckon::random_stream normal(11, 1), uniform(11, 2);
    sample rows;
    for (std::size_t i = 0; i < n; ++i) {
        const double truth = -1.0 + 1.5 * normal.normal(i);
        const double logit = 1.4 * truth + 0.6 * std::sin(2.0 * truth) - 0.3;
        rows.labels.push_back(uniform.uniform(i) < 1.0 / (1.0 + std::exp(-truth)) ? 1 : 0);
        rows.logits.push_back(logit);
        rows.scores.push_back(1.0 / (1.0 + std::exp(-logit)));
    }
    return rows;
}

/// Calls visit(name, calibrator, order, scores where something changes) for every case.
template <class Visit>
void for_each_case(Visit&& visit) {
    using reckon::score_kind;
    const sample rows = some_rows(3000);
    const auto& y = rows.labels;
    const auto fitted = [&](auto kind) { return decltype(kind)::fit(exec::serial, rows.scores, y); };
    const std::vector<double> none;
    visit("platt", fitted(reckon::platt{}), order::kept_within_one, none);
    visit("platt_logit", reckon::platt::fit(exec::serial, rows.logits, y, {}, {.input = score_kind::logit}),
          order::kept_within_one, none);
    visit("temperature", fitted(reckon::temperature{}), order::kept_within_one, none);
    visit("global_ratio", fitted(reckon::global_ratio{}), order::kept, none);
    visit("prior_shift", reckon::prior_shift(0.013), order::kept_within_one, none);
    const auto isotonic = fitted(reckon::isotonic{});
    visit("isotonic", isotonic, order::kept, isotonic.knot_scores());
    visit("isotonic_empty", reckon::isotonic{}, order::kept, none);
    const reckon::isotonic falling({-3.0, 0.1, 0.1000000001, 2.5e10}, {0.9, 0.5, 0.4, 0.1});
    visit("isotonic_falling", falling, order::free, falling.knot_scores());
    visit("beta", fitted(reckon::beta_calibration{}), order::kept_within_eight, none);
    visit("beta_logit", reckon::beta_calibration(0.7, 1.3, -0.2, score_kind::logit), order::kept_within_eight, none);
    const reckon::gaussian_scaling gaussian(0.4, 1.7, -0.3, -2.0, 4.5, 0.2);
    visit("gaussian", gaussian, order::kept_within_eight, {gaussian.lowest(), gaussian.centre(), gaussian.highest()});
    const auto gamma = fitted(reckon::gamma_scaling{});
    visit("gamma", gamma, order::kept_within_eight, {gamma.lowest(), gamma.centre(), gamma.highest()});
    visit("spline_logit", fitted(reckon::spline_logit{}), order::free, none);
    visit("spline_logit_raw", reckon::spline_logit({-3.0, -1.0, 2.5}, {-2.0, 1.0, 0.5}, score_kind::logit), order::free,
          none);
    const auto lines = fitted(reckon::piecewise_linear{});
    visit("piecewise_linear", lines, order::kept_within_one, none);
    visit("piecewise_linear_logit",
          reckon::piecewise_linear::fit(exec::serial, rows.logits, y, {}, {.input = score_kind::logit}),
          order::kept_within_one, none);
    const auto spline = fitted(reckon::spline_calibration{});
    visit("spline", spline, order::free, spline.knot_scores());
    const auto venn = fitted(reckon::venn_abers{});
    visit("venn_abers", venn, order::kept, venn.knots());
    const auto sir = fitted(reckon::sir{});
    visit("sir", sir, order::kept, sir.knot_scores());
    const auto bins = fitted(reckon::histogram_binning{});
    std::vector<double> edges;
    for (std::size_t k = 0; k <= bins.bins(); ++k) edges.push_back(bins.edge(k));
    visit("histogram", bins, order::free, edges);
    const auto as_vector = [](reckon::vector_view<const double> cuts) {
        return std::vector<double>(cuts.begin(), cuts.end());
    };
    const auto average = fitted(reckon::bbq{});
    visit("bbq", average, order::free, as_vector(average.cuts()));
    const auto scaled = fitted(reckon::scaling_binning{});
    visit("scaling_binning", scaled, order::kept, as_vector(scaled.cuts()));
    const auto wide = reckon::histogram_binning::fit(
        exec::serial, rows.scores, y, {},
        {.bins = 10, .edges = reckon::histogram_binning_options::partition::equal_width});
    for (std::size_t k = 0; k <= wide.bins(); ++k) edges.push_back(wide.edge(k));
    visit("histogram_wide", wide, order::free, edges);
}

void write_text(const std::string& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    if (!file) {
        std::fprintf(stderr, "freeze: %s cannot be written\n", path.c_str());
        std::exit(2);
    }
}

void write_all(const std::string& folder) {
    std::string includes, functions;
    for_each_case([&](const std::string& name, const auto& c, order, const std::vector<double>&) {
        write_text(folder + "/" + name + ".hpp", reckon::freeze(c, {.name = name}));
        includes += "#include \"" + name + ".hpp\"\n";
        for (const std::string type : {"float", "double"}) {
            functions += "extern \"C\" void " + name + "_" + type + "(const " + type + "* scores, " + type +
                         "* out, std::size_t n) { frozen::" + name + "(scores, out, n); }\n";
        }
    });
    write_text(folder + "/all.cpp", includes + functions);
}

template <class T>
using column_map = void (*)(const T*, T*, std::size_t);

struct frozen {
    std::string path;
    column_map<float> floats;
    column_map<double> doubles;
    std::uint64_t differing = 0;
    double first = 0.0;
};

void* symbol(void* library, const std::string& name) {
    void* const found = dlsym(library, name.c_str());
    if (found == nullptr) {
        std::fprintf(stderr, "freeze: %s\n", dlerror());
        std::exit(2);
    }
    return found;
}

template <class T>
bool same(T a, T b) {
    using bits = typename reckon::simd::float_format<T>::bits;
    return std::bit_cast<bits>(a) == std::bit_cast<bits>(b) || (a != a && b != b);
}

template <class T>
void compare(const std::vector<T>& scores, const std::vector<T>& want, column_map<T> map, frozen& lib) {
    std::vector<T> got(scores.size());
    map(scores.data(), got.data(), scores.size());
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (same(got[i], want[i])) continue;
        if (lib.differing++ == 0) lib.first = static_cast<double>(scores[i]);
    }
}

struct falls {
    std::uint64_t count = 0;
    std::uint32_t deepest = 0;  // in floats
    float at = 0.0f;
};

/// Calls body(floats) with blocks of neighbours in ascending order, NaN at both ends.
template <class Body>
std::uint64_t visit_floats(const settings& s, const std::vector<double>& landmarks, Body&& body) {
    std::vector<float> block;
    std::uint64_t visited = 0;
    const auto flush = [&] {
        if (!block.empty()) body(block);
        visited += block.size();
        block.clear();
    };
    const auto add_run = [&](std::uint64_t first) {
        for (std::uint64_t k = first; k < (std::min)(first + run_length, std::uint64_t{1} << 32); ++k) {
            block.push_back(reckon::from_ordered_bits<float>(static_cast<std::uint32_t>(k)));
        }
        // The last float of a block comes again as the first of the next one, so that no pair is left out.
        if (block.size() < block_size) return;
        const float last = block.back();
        flush();
        if (s.full) block.push_back(last);
    };
    const std::uint64_t stride = s.full ? run_length : run_length * 1024 * s.part;
    std::uint64_t turn = 0;
    for (std::uint64_t first = 0; first < std::uint64_t{1} << 32; first += stride) {
        // Another place in each stretch, so that the runs meet every pattern of low bits.
        const std::uint64_t shift = s.full ? 0 : (turn++ * 0x9e3779b97f4a7c15ull >> 20) % (stride - run_length);
        add_run(first + shift);
    }
    flush();
    constexpr double common[] = {
        0.0,    -0.0,   0x1p-149, 0x1p-126,           1e-7, 0.1,   0.415,  0.5,  0.585,
        0.9,    1.0,    2.0,      16.118095550958316, 87.0, 104.0, 3.4e38, -1.0, -16.118095550958316,
        -104.0, -3.4e38};
    std::vector<double> places(std::begin(common), std::end(common));
    places.insert(places.end(), landmarks.begin(), landmarks.end());
    for (const double place : places) add_run(reckon::ordered_bits(static_cast<float>(place)) - run_length / 2);
    flush();
    return visited;
}

template <class C>
bool check_case(const settings& s, const std::string& name, const C& c, order promise,
                const std::vector<double>& landmarks) {
    std::vector<frozen> libs;
    for (const std::string& path : s.libraries) {
        void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) {
            std::fprintf(stderr, "freeze: %s\n", dlerror());
            std::exit(2);
        }
        libs.push_back({path.substr(path.rfind('/') + 1),
                        reinterpret_cast<column_map<float>>(symbol(library, name + "_float")),
                        reinterpret_cast<column_map<double>>(symbol(library, name + "_double")), 0, 0.0});
    }
    falls down;
    const reckon::random_stream noise(5, 7);
    std::uint64_t blocks = 0;
    std::vector<float> want;
    std::vector<double> doubles, want_doubles;
    const std::uint64_t visited = visit_floats(s, landmarks, [&](const std::vector<float>& scores) {
        want.resize(scores.size());
        c.apply(exec::serial, scores, want);
        for (frozen& lib : libs) compare(scores, want, lib.floats, lib);
        for (std::size_t i = 1; i < scores.size(); ++i) {
            if (!(scores[i - 1] <= scores[i]) || !(want[i] < want[i - 1])) continue;
            const std::uint32_t depth = reckon::ordered_bits(want[i - 1]) - reckon::ordered_bits(want[i]);
            if (down.count++ == 0 || depth > down.deepest) {
                down.at = scores[i];
                down.deepest = depth;
            }
        }
        // Doubles between the floats: every run of blocks gives some.
        if (blocks++ % 16 != 0) return;
        doubles.assign(scores.begin(), scores.end());
        for (std::size_t i = 0; i < doubles.size(); i += 2) {
            const std::uint64_t low = noise.bits(blocks * block_size + i) & 0x1fffffffu;
            doubles[i] = std::bit_cast<double>(std::bit_cast<std::uint64_t>(doubles[i]) ^ low);
        }
        want_doubles.resize(doubles.size());
        c.apply(exec::serial, doubles, want_doubles);
        for (frozen& lib : libs) compare(doubles, want_doubles, lib.doubles, lib);
    });
    // Rounding may move a curve down by one float, or by a few where its log-odds are a sum of terms of both signs.
    const std::uint32_t allowed = promise == order::kept ? 0 : promise == order::kept_within_one ? 1 : 8;
    const bool ordered = promise == order::free || down.deepest <= allowed;
    bool ok = ordered;
    std::printf("%-18s %11" PRIu64 " floats", name.c_str(), visited);
    if (promise != order::free) {
        std::printf("; %" PRIu64 " fall", down.count);
        if (down.count > 0) std::printf(", the deepest by %u floats at %a", down.deepest, static_cast<double>(down.at));
    }
    std::printf("%s\n", ordered ? "" : "  FAILED");
    for (const frozen& lib : libs) {
        if (lib.differing == 0) continue;
        ok = false;
        std::printf("    %s: %" PRIu64 " results differ, the first at %a  FAILED\n", lib.path.c_str(), lib.differing,
                    lib.first);
    }
    return ok;
}

int usage() {
    std::fprintf(stderr, "freeze --write FOLDER | freeze --compare LIBRARY... [--full] [--part K] [--case NAME]\n");
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    settings s;
    bool compares = false;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        const bool more = i + 1 < argc;
        if (word == "--full") {
            s.full = true;
        } else if (word == "--compare") {
            compares = true;
        } else if (word == "--write" && more) {
            s.folder = argv[++i];
        } else if (word == "--case" && more) {
            s.only = argv[++i];
        } else if (word == "--part" && more) {
            s.part = (std::max)(std::uint64_t{1}, std::uint64_t{std::strtoull(argv[++i], nullptr, 10)});
        } else if (compares && word[0] != '-') {
            s.libraries.push_back(word);
        } else {
            return usage();
        }
    }
    if (!s.folder.empty()) {
        write_all(s.folder);
        return 0;
    }
    if (!compares) return usage();
    bool ok = true;
    std::size_t cases = 0;
    for_each_case([&](const std::string& name, const auto& c, order promise, const std::vector<double>& landmarks) {
        if (!s.only.empty() && s.only != name) return;
        ++cases;
        ok = check_case(s, name, c, promise, landmarks) && ok;
        std::fflush(stdout);
    });
    std::printf("%zu cases, %zu libraries: %s\n", cases, s.libraries.size(), ok ? "equal" : "FAILED");
    return ok && cases > 0 ? 0 : 1;
}
