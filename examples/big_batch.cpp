// A contrastive batch of 65,536 queries and as many keys, loss and both gradients, in 64 MiB of scratch: the logits
// alone would fill 16 GiB. A sample of rows is compared with double precision.
//
//   big_batch                         65,536 x 65,536, width 64, all threads
//   big_batch --batch 16384           a smaller one
//   big_batch --check                 the claims that the documentation makes, at a size for tests

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/losses/info_nce.hpp"
#include "support/args.hpp"
#include "support/claims.hpp"
#include "support/peak_memory.hpp"
#include "support/progress.hpp"
#include "support/random.hpp"
#include "support/table.hpp"

using namespace reckon_examples;

namespace {

struct settings {
    std::size_t batch = 65'536, width = 64, slice = 8'192, sample = 16;
    double temperature = 0.05;
    unsigned threads = 1;
    bool check = false, markdown = false, help = false;
};

settings read_settings(args& options) {
    settings s;
    const auto count = [&](const char* name, std::size_t fallback, std::int64_t most, const char* about) {
        const std::int64_t value = options.integer(name, static_cast<std::int64_t>(fallback), about);
        if (value < 1 || value > most)
            throw std::invalid_argument("--" + std::string(name) + " must lie in 1 .. " + std::to_string(most));
        return static_cast<std::size_t>(value);
    };
    s.batch = count("batch", s.batch, 1 << 20, "queries, and keys");
    s.width = count("width", s.width, 4096, "columns of both");
    s.slice = count("slice", s.slice, 1 << 20, "queries a call; progress is shown in between");
    s.sample = count("sample", s.sample, 1 << 20, "rows that are compared with double precision");
    s.temperature = options.number("temperature", s.temperature, "of the softmax");
    s.threads = static_cast<unsigned>(
        count("threads", std::clamp(std::thread::hardware_concurrency(), 1u, 1024u), 1024, "threads that work"));
    s.markdown = options.flag("markdown", "prints the table in Markdown");
    s.check = options.flag("check", "a small batch, and the documented claims; exit code 1 if one fails");
    s.help = options.finish(std::cout);
    if (s.check) {
        s.batch = 6'000;
        s.slice = 2'000;
    }
    return s;
}

// Unit rows; each key lies near its query, as after some training.
struct embeddings {
    std::size_t rows, width;
    std::vector<float> queries, keys;

    embeddings(std::size_t n, std::size_t d) : rows(n), width(d), queries(n * d), keys(n * d) {
        const counter_random own(1, 0), noise(1, 1);
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t c = i * d; c < (i + 1) * d; ++c) {
                queries[c] = static_cast<float>(own.normal(c));
                keys[c] = queries[c] + static_cast<float>(2 * noise.normal(c));
            }
            scale_to_one(queries.data() + i * d);
            scale_to_one(keys.data() + i * d);
        }
    }
    double product(std::size_t query, std::size_t key) const {
        return dot(queries.data() + query * width, keys.data() + key * width);
    }

  private:
    double dot(const float* a, const float* b) const {
        double sum = 0;
        for (std::size_t c = 0; c < width; ++c) sum += static_cast<double>(a[c]) * static_cast<double>(b[c]);
        return sum;
    }
    void scale_to_one(float* row) const {
        const double length = std::sqrt(dot(row, row));
        for (std::size_t c = 0; c < width; ++c) row[c] = static_cast<float>(static_cast<double>(row[c]) / length);
    }
};

struct outcome {
    double loss = 0, seconds = 0, mebibytes = 0;
    std::vector<float> row_lse, query_gradient, key_gradient;
};

// The loss and its gradients, slice by slice of the queries: each slice meets all keys and adds its share.
outcome run(const settings& s, const embeddings& rows) {
    outcome out;
    out.row_lse.resize(s.batch);
    out.query_gradient.resize(s.batch * s.width);
    out.key_gradient.resize(s.batch * s.width);
    reckon::exec::pool threads(s.threads);
    const reckon::exec::host<reckon::exec::pool> where(threads);
    const auto queries = reckon::view(rows.queries, s.batch, s.width), keys = reckon::view(rows.keys, s.batch, s.width);
    const auto query_gradient = reckon::view(out.query_gradient, s.batch, s.width);
    reckon::mean_value loss;

    const peak_memory peak;
    const auto start = std::chrono::steady_clock::now();
    progress bar("queries", s.batch);
    for (std::size_t first = 0; first < s.batch; first += s.slice) {
        const std::size_t count = (std::min)(s.slice, s.batch - first);
        loss.merge(reckon::info_nce(
            where, queries.slice(first, count), keys, reckon::vector_view<float>(out.row_lse.data() + first, count),
            {.temperature = s.temperature, .first_positive = first},
            {.queries = query_gradient.slice(first, count), .keys = reckon::view(out.key_gradient, s.batch, s.width)}));
        bar.update(first + count);
    }
    out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    out.mebibytes = peak.mebibytes();
    out.loss = loss.finish();
    return out;
}

struct errors {
    double lse = 0;                               // of a query, relative
    double query_gradient = 0, key_gradient = 0;  // over the largest value of the sample
};

// Largest difference of rows of a gradient, and the largest value.
struct row_errors {
    double difference = 0, largest = 0;
    void absorb(const float* values, const std::vector<double>& want) {
        for (std::size_t c = 0; c < want.size(); ++c) {
            difference = std::fmax(difference, std::fabs(static_cast<double>(values[c]) - want[c]));
            largest = std::fmax(largest, std::fabs(want[c]));
        }
    }
    double relative() const { return difference / largest; }
};

// A sample of rows of both gradients, by the definition in double precision. A row of the key gradient needs the sums
// of all queries: the ones that were written, which the first figure checks.
errors compare(const settings& s, const embeddings& rows, const outcome& got) {
    const std::size_t n = s.batch, d = s.width, sample = (std::min)(s.sample, n);
    errors worst;
    row_errors of_queries, of_keys;
    std::vector<double> want(d);
    const auto add = [&](double weight, const float* row) {
        for (std::size_t c = 0; c < d; ++c) want[c] += weight / s.temperature * static_cast<double>(row[c]);
    };
    progress bar("checking", sample);
    for (std::size_t k = 0; k < sample; ++k) {
        const std::size_t i = k * n / sample;
        double sum = 0;
        for (std::size_t j = 0; j < n; ++j) sum += std::exp(rows.product(i, j) / s.temperature);
        const double lse = std::log(sum);
        worst.lse = std::fmax(worst.lse, std::fabs(static_cast<double>(got.row_lse[i]) / lse - 1));
        std::fill(want.begin(), want.end(), 0.0);
        for (std::size_t j = 0; j < n; ++j) {
            add(std::exp(rows.product(i, j) / s.temperature - lse) - (i == j ? 1 : 0), rows.keys.data() + j * d);
        }
        of_queries.absorb(got.query_gradient.data() + i * d, want);
        std::fill(want.begin(), want.end(), 0.0);
        for (std::size_t j = 0; j < n; ++j) {
            const double share = std::exp(rows.product(j, i) / s.temperature - static_cast<double>(got.row_lse[j]));
            add(share - (i == j ? 1 : 0), rows.queries.data() + j * d);
        }
        of_keys.absorb(got.key_gradient.data() + i * d, want);
        bar.update(k + 1);
    }
    worst.query_gradient = of_queries.relative();
    worst.key_gradient = of_keys.relative();
    return worst;
}

// Keys packed twice, their gradient, a block of 96 queries against all keys, in MiB; and pages.
double scratch_bound(const settings& s) {
    const double n = static_cast<double>(s.batch), d = static_cast<double>(s.width);
    if (s.batch == 65'536 && s.width == 64) return 64;
    return 4 * n * (3 * (d + 16) + 96) / (1 << 20) + 8;
}

int report(const settings& s, const outcome& got, const errors& worst) {
    const double n = static_cast<double>(s.batch), pairs = n * n;
    table figures({{"pairs", 0},
                   {"seconds", 2},
                   {"ns per pair", 2},
                   {"scratch, MiB", 1},
                   {"logits would take, MiB", 0},
                   {"loss, nats", 4}});
    figures.add_row({pairs, got.seconds, got.seconds * 1e9 / pairs, got.mebibytes, 4 * pairs / (1 << 20), got.loss});
    figures.write(std::cout, s.markdown);

    claim_list list(std::cout);
    list.section("Against double precision, on " + std::to_string((std::min)(s.sample, s.batch)) + " rows:");
    list.check(worst.lse < 1e-5, "log-sum-exp of a query, relative error %.1e", worst.lse);
    list.check(worst.query_gradient < 1e-4, "gradient of a query, error over the largest value %.1e",
               worst.query_gradient);
    list.check(worst.key_gradient < 1e-4, "gradient of a key, error over the largest value %.1e", worst.key_gradient);
    list.section("Memory:");
    const double bound = scratch_bound(s);
    if (peak_memory::sanitized || std::isnan(got.mebibytes)) {
        std::cout << "  not measured on this system or in this build\n";
    } else {
        list.check(got.mebibytes <= bound, "resident memory rose by %.1f MiB, at most %.1f", got.mebibytes, bound);
    }
    return list.finish();
}

}  // namespace

int main(int argc, char** argv) {
    try {
        args options(
            argc, argv,
            "Contrastive loss and both gradients of a batch whose logits would not fit into memory, and how much\n"
            "memory it takes.");
        const settings s = read_settings(options);
        if (s.help) return 0;
#if defined(__GLIBC__)
        // Scratch goes back to the system after each slice. By default glibc learns to keep such blocks, and between
        // aligned ones leaves gaps that the next slice does not fit into: several times the memory.
        mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
        const embeddings rows(s.batch, s.width);
        std::cout << "InfoNCE of " << s.batch << " queries with " << s.batch << " keys of width " << s.width << ", "
                  << s.threads << " threads\n\n";
        const outcome got = run(s, rows);
        return report(s, got, compare(s, rows, got));
    } catch (const std::exception& error) {
        std::cerr << "big_batch: " << error.what() << '\n';
        return 2;
    }
}
