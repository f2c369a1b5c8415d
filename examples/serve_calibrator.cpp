// Carries a fitted calibrator to another process: the first one fits and writes bytes to a file, the second maps the
// file read-only, reads the model and answers requests, unseen ids included. Both must agree bit for bit.
//
//   serve_calibrator                 fits, writes, starts the second process and prints both answers
//   serve_calibrator --serve FILE    the second process: answers the requests with the model in FILE
//   serve_calibrator --check         the same as without an option, without the table; exit code 1 on a difference

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "reckon/calibration/confcalib.hpp"
#include "reckon/calibration/platt.hpp"
#include "support/args.hpp"
#include "support/simulator.hpp"

using namespace reckon_examples;

namespace {

constexpr std::size_t fields = 3;

/// What a server needs: Platt scaling for the shape of the scores, then corrections per field value. A type of one's
/// own travels like those of the library: a kind, a version, write and read.
struct serving_model {
    static constexpr std::uint32_t bytes_kind = reckon::four_letters("SRVE");
    static constexpr std::uint32_t bytes_version = 1;

    reckon::platt curve;
    reckon::confcalib values;

    float operator()(float score, const std::array<std::int32_t, fields>& ids) const {
        return values(curve(score), ids);
    }
    void write(reckon::byte_writer& out) const {
        curve.write(out);
        values.write(out);
    }
    static serving_model read(reckon::byte_reader& in) {
        auto first = reckon::platt::read(in);
        auto second = reckon::confcalib::read(in);
        reckon::expects_bytes(second.fields() == fields, "serving_model", second.fields(), " fields instead of ",
                              fields);
        return {std::move(first), std::move(second)};
    }
};

struct request {
    float score;
    std::array<std::int32_t, fields> ids;
};

std::vector<request> requests() {
    constexpr std::int32_t unseen = -1, beyond = (std::numeric_limits<std::int32_t>::max)();
    return {{0.05f, {0, 0, 0}},         {0.05f, {1, 1, 1}},
            {0.05f, {49, 1999, 19999}}, {0.05f, {7, unseen, 123}},
            {0.05f, {7, 12, beyond}},   {0.05f, {unseen, unseen, unseen}},
            {0.0f, {3, 2, 1}},          {1.0f, {3, 2, 1}},
            {0.3f, {0, unseen, 0}},     {1e-30f, {beyond, 5, -1000}},
            {0.7f, {20, 300, 4000}},    {0.01f, {2, 0, 5}}};
}

serving_model fit() {
    simulator_options options;
    options.calibration_rows = 100'000;
    options.test_rows = 0;
    const simulated_rows rows = simulate(options).calibration;
    std::vector<std::int32_t> ids;
    for (const auto& column : rows.ids) ids.insert(ids.end(), column.begin(), column.end());
    const auto curve = reckon::platt::fit(reckon::exec::serial, rows.p, rows.y);
    std::vector<float> p(rows.p.size());
    curve.apply(reckon::exec::serial, rows.p, p);
    const auto values = reckon::confcalib::fit(reckon::exec::serial, p, rows.y, reckon::view(ids, fields, p.size()), {},
                                               {.fusion = reckon::fusion_kind::sequential});
    return {curve, values};
}

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

/// A file in memory, read-only; many servers on one machine share its pages.
class mapped_file {
  public:
    explicit mapped_file(const std::string& path) {
        const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0) fail(path + ": cannot be opened");
        struct stat about {};
        const bool known = fstat(file, &about) == 0;
        size_ = known ? static_cast<std::size_t>(about.st_size) : 0;
        // An empty file cannot be mapped; it is a view of nothing, which the reader refuses.
        if (size_ > 0) data_ = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
        close(file);
        if (!known || data_ == MAP_FAILED) fail(path + ": cannot be mapped");
    }
    mapped_file(const mapped_file&) = delete;
    mapped_file& operator=(const mapped_file&) = delete;
    ~mapped_file() {
        if (size_ > 0) munmap(data_, size_);
    }
    reckon::vector_view<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }

  private:
    void* data_ = nullptr;
    std::size_t size_ = 0;
};

/// The second process: one line per request, with the bits of the answer in front.
void serve(const std::string& path) {
    const mapped_file file(path);
    const auto model = reckon::from_bytes<serving_model>(file.bytes());
    for (const request& r : requests()) {
        const float p = model(r.score, r.ids);
        std::printf("%08x %.9g\n", static_cast<unsigned>(std::bit_cast<std::uint32_t>(p)), static_cast<double>(p));
    }
}

struct answer {
    int exit_code;
    std::string text;
};

/// Runs `program --serve path` as a new process and collects what it prints.
answer ask_server(const std::string& program, const std::string& path) {
    int ends[2];
    if (pipe(ends) != 0) fail("pipe");
    const pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(program.c_str(), program.c_str(), "--serve", path.c_str(), static_cast<char*>(nullptr));
        _exit(127);
    }
    close(ends[1]);
    answer out{0, {}};
    char block[4096];
    for (ssize_t got; (got = read(ends[0], block, sizeof block)) != 0;) {
        if (got > 0) out.text.append(block, static_cast<std::size_t>(got));
        if (got < 0 && errno != EINTR) break;
    }
    close(ends[0]);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    out.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return out;
}

void write_file(const std::string& path, const std::vector<std::byte>& bytes) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) throw std::runtime_error(path + ": cannot be written");
}

/// Both sides, and a server that gets a damaged file. Returns the number of failures.
int fit_and_compare(const std::string& program, const std::string& path, bool quiet) {
    const serving_model model = fit();
    const std::vector<std::byte> bytes = reckon::to_bytes(model);
    write_file(path, bytes);
    std::cout << "wrote " << path << ", " << bytes.size() << " bytes: Platt scaling and corrections for "
              << model.values.values(0) << ", " << model.values.values(1) << " and " << model.values.values(2)
              << " field values\n";

    const answer served = ask_server(program, path);
    std::string expected;
    std::size_t line = 0, differ = 0;
    for (const request& r : requests()) {
        const float p = model(r.score, r.ids);
        char text[64];
        std::snprintf(text, sizeof text, "%08x %.9g\n", static_cast<unsigned>(std::bit_cast<std::uint32_t>(p)),
                      static_cast<double>(p));
        const std::size_t end = (std::min)(served.text.find('\n', line), served.text.size() - 1) + 1;
        const std::string there = line < served.text.size() ? served.text.substr(line, end - line) : "nothing\n";
        line = end;
        const bool same = there == text;
        differ += !same;
        if (quiet && same) continue;
        std::printf("score %-5g ids %11d %11d %11d: %.9g", static_cast<double>(r.score), r.ids[0], r.ids[1], r.ids[2],
                    static_cast<double>(p));
        std::cout << (same ? ", the same there\n" : ", but there " + there);
    }
    if (served.exit_code != 0) std::cout << "the server failed: " << served.text;
    const bool equal = served.exit_code == 0 && differ == 0 && line == served.text.size();
    std::cout << requests().size() << " requests, ids that no fit has seen among them: "
              << (equal ? "both processes agree bit for bit\n" : "THE PROCESSES DIFFER\n");

    int failures = equal ? 0 : 1;
    std::vector<std::byte> flipped = bytes, cut(bytes.begin(), bytes.end() - 1);
    flipped[bytes.size() / 2] ^= std::byte{4};
    for (const auto& [what, damaged] : {std::pair{"one bit flipped", flipped}, std::pair{"last byte missing", cut},
                                        std::pair{"empty", std::vector<std::byte>{}}}) {
        const std::string broken = path + ".damaged";
        write_file(broken, damaged);
        const answer refused = ask_server(program, broken);
        std::filesystem::remove(broken);
        const bool clear = refused.exit_code == 2 && refused.text.starts_with("serve_calibrator: ");
        failures += !clear;
        std::cout << (clear ? "refused, " : "NOT REFUSED, ") << what << ": " << refused.text;
    }
    return failures;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        args options(argc, argv, "Fits a calibrator, writes it to a file, and serves it from a second process.");
        const std::string served = options.text("serve", "", "answers requests with the model in this file");
        const std::string path = options.text("out", "calibrator.reckon", "file for the model");
        const bool check = options.flag("check", "prints differences only; exit code 1 if there is one");
        if (options.finish(std::cout)) return 0;
        if (!served.empty()) {
            serve(served);
            return 0;
        }
        // Not argv[0], which need not be a path.
        const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
        return fit_and_compare(program, path, check) == 0 ? 0 : 1;
    } catch (const std::exception& error) {
        std::cerr << "serve_calibrator: " << error.what() << '\n';
        return 2;
    }
}
