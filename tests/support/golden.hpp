// Golden bytes: tests/fixtures/golden holds a file per type and version, and what an earlier version wrote must be read by
// every later one and answer as the same object made today.
//
// A test file lists its objects in for_each_object(visit) and calls check_golden and write_golden. To add the files of
// a new type or version: run the program with --no-skip --test-case="golden: write*".
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <type_traits>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "reckon/core/monoids.hpp"
#include "support/tolerance.hpp"

namespace reckon::testing_support {

inline std::string golden_path(const char* name, std::uint32_t version) {
    return std::string(RECKON_FIXTURE_DIR) + "/golden/" + name + ".v" + std::to_string(version) + ".bin";
}
inline std::vector<std::byte> load_bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    std::vector<std::byte> bytes;
    for (const char c : text) bytes.push_back(static_cast<std::byte>(c));
    return bytes;
}

/// answers(object) is a vector of numbers: what the object says about itself.
template <class T, class Answers>
void check_golden(const char* name, const T& made, Answers&& answers) {
    CAPTURE(name);
    for (std::uint32_t version = 1; version <= T::bytes_version; ++version) {
        const std::vector<std::byte> bytes = load_bytes(golden_path(name, version));
        REQUIRE_MESSAGE(!bytes.empty(), "no file of version " << version);
        const T read = from_bytes<T>(bytes);
        CHECK_ALL_NEAR(answers(read), answers(made), fitted());
        if (version == T::bytes_version) CHECK(to_bytes(read) == bytes);
    }
}

/// Writes the file of the newest version unless it is there: what was written once stays.
template <class T>
void write_golden(const char* name, const T& made) {
    const std::string path = golden_path(name, T::bytes_version);
    if (!load_bytes(path).empty()) return;
    const std::vector<std::byte> bytes = to_bytes(made);
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    CHECK(file.good());
}

inline std::vector<double> both(const counts& seen) {
    return {static_cast<double>(seen.accepted), static_cast<double>(seen.rejected)};
}
inline void append(std::vector<double>& to, const std::vector<double>& from) {
    to.insert(to.end(), from.begin(), from.end());
}

}  // namespace reckon::testing_support
