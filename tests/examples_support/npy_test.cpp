// Columns that NumPy wrote: what is read, what the errors say, and that nothing in a file is trusted.
#include "npy.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

using namespace reckon_examples;

namespace {

const std::string folder = std::string(RECKON_FIXTURE_DIR) + "/npy/";

std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    REQUIRE(file);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class scratch_file {
  public:
    explicit scratch_file(const std::string& bytes = "") {
        static int number = 0;
        static const auto stamp = std::filesystem::file_time_type::clock::now().time_since_epoch().count();
        path_ = (std::filesystem::temp_directory_path() /
                 ("reckon_npy_" + std::to_string(++number) + "_" + std::to_string(stamp) + ".npy"))
                    .string();
        std::ofstream(path_, std::ios::binary) << bytes;
    }
    ~scratch_file() { std::remove(path_.c_str()); }
    scratch_file(const scratch_file&) = delete;
    scratch_file& operator=(const scratch_file&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

// What reading a file says, without its path; empty when it is read.
std::string message_of(const std::string& path) {
    try {
        const npy_column column(path);
        (void)column.as<double>();
    } catch (const std::runtime_error& error) {
        const std::string text = error.what();
        CHECK(text.starts_with(path + ": "));
        return text.substr(path.size() + 2);
    }
    return "";
}
std::string message(const std::string& bytes) {
    return message_of(scratch_file(bytes).path());
}

std::string framed(const std::string& header, const std::string& data = "", char version = 1) {
    std::string bytes = "\x93NUMPY";
    bytes += version;
    bytes += '\0';
    for (int k = 0; k < (version == 1 ? 2 : 4); ++k) bytes += static_cast<char>(header.size() >> (8 * k) & 0xff);
    return bytes + header + data;
}
std::string dictionary(const std::string& descr, const std::string& shape) {
    return "{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }\n";
}
const std::string two_doubles(16, '\0');

}  // namespace

TEST_CASE("npy: every type that NumPy wrote") {
    const std::vector<double> numbers{0.0, 1.0, 0.1, -2.5e-8};
    CHECK(npy_column(folder + "f4.npy").as<float>() == std::vector<float>(numbers.begin(), numbers.end()));
    CHECK(npy_column(folder + "f4.npy").type() == "f4");
    CHECK(npy_column(folder + "f8_version2.npy").as<double>() == numbers);
    CHECK(npy_column(folder + "f8_version3.npy").as<double>() == numbers);
    CHECK(npy_column(folder + "i4.npy").as<double>() == std::vector<double>{0, 1, -2147483648.0});
    CHECK(npy_column(folder + "i8.npy").as<double>() == std::vector<double>{0, 1, -9007199254740992.0});
    CHECK(npy_column(folder + "u1.npy").as<double>() == std::vector<double>{0, 1, 255});
    CHECK(npy_column(folder + "b1.npy").as<std::uint8_t>() == std::vector<std::uint8_t>{0, 1});
    CHECK(npy_column(folder + "empty.npy").size() == 0);
    CHECK(npy_column(folder + "empty.npy").as<float>().empty());

    const npy_column f8(folder + "f8.npy");
    const auto values = f8.as<double>();
    REQUIRE(values.size() == 6);
    CHECK(std::vector<double>(values.begin(), values.begin() + 4) == numbers);
    CHECK(std::isnan(values[4]));
    CHECK(values[5] == std::numeric_limits<double>::infinity());
    CHECK(f8.nan_count() == 1);
    CHECK(npy_column(folder + "i8.npy").nan_count() == 0);
    CHECK(f8.type() == "f8");
    CHECK(f8.path() == folder + "f8.npy");
}

TEST_CASE("npy: what is written reads back, and as NumPy would have written it") {
    const npy_column original(folder + "f8_version2.npy");
    const scratch_file file;
    write_npy(file.path(), original.as<double>());
    CHECK(npy_column(file.path()).as<double>() == original.as<double>());
    write_npy(file.path(), npy_column(folder + "f4.npy").as<float>());
    CHECK(content(file.path()) == content(folder + "f4.npy"));
    write_npy(file.path(), std::vector<double>{});
    CHECK(content(file.path()) == content(folder + "empty.npy"));
    for (const std::size_t n : {9u, 10u, 99u, 12345u}) {
        write_npy(file.path(), std::vector<float>(n, 0.25f));
        const npy_column back(file.path());
        CHECK(back.as<float>() == std::vector<float>(n, 0.25f));
        CHECK((content(file.path()).size() - 4 * n) % 64 == 0);
    }
    CHECK_THROWS_WITH_AS(write_npy("/no/such/folder/x.npy", std::vector<float>(1)),
                         "/no/such/folder/x.npy: cannot be written", std::runtime_error);
}

TEST_CASE("npy: arrays that are no column of numbers") {
    CHECK(message_of(folder + "big_endian.npy") == "is big-endian ('>f8'); save a.astype('<f8')");
    CHECK(message_of(folder + "two_columns.npy") ==
          "has the shape (3, 2); one column is needed, such as a[:, 1] or a.ravel()");
    CHECK(message_of(folder + "two_columns_fortran.npy") == message_of(folder + "two_columns.npy"));
    CHECK(message_of(folder + "scalar.npy") == "has the shape (); one column is needed, such as a[:, 1] or a.ravel()");
    CHECK(message_of(folder + "objects.npy") == "is an object array; save numbers, such as a.astype('f8')");
    CHECK(message_of(folder + "text.npy") == "has numbers of type '<U2'; f4, f8, i4, i8, u1 and b1 are known");
    CHECK(message_of(folder + "complex.npy") == "has numbers of type '<c16'; f4, f8, i4, i8, u1 and b1 are known");
    CHECK(message_of(folder + "structured.npy") == "is a structured array; save one of its columns");
    CHECK(message_of(folder + "absent.npy") == "cannot be opened");
    CHECK(message_of(std::string(RECKON_FIXTURE_DIR)) == "is a folder");
    CHECK(message_of(std::string(RECKON_FIXTURE_DIR) + "/README.md") == "is not a .npy file");
    CHECK(message("") == "is not a .npy file");
}

TEST_CASE("npy: hostile headers") {
    const std::string good = framed(dictionary("'<f8'", "(2,)"), two_doubles);
    CHECK(message(good) == "");
    CHECK(message(framed(dictionary("'<f8'", "(2,)"), two_doubles, 4)) ==
          "has format version 4.0; 1.0 to 3.0 are known");
    CHECK(message(framed(dictionary("'<f8'", "(2,)"), two_doubles, 0)) ==
          "has format version 0.0; 1.0 to 3.0 are known");
    std::string huge = "\x93NUMPY\x02";
    huge += std::string("\0\xff\xff\xff\xff", 5);
    CHECK(message(huge + good) == "announces a header of 4294967295 bytes");
    // Sizes that the file does not hold, some of which overflow when multiplied.
    for (const char* shape : {"(3,)", "(1,)", "(0,)", "(2305843009213693954,)", "(18446744073709551615,)"}) {
        CAPTURE(shape);
        CHECK(message(framed(dictionary("'<f8'", shape), two_doubles)).starts_with("holds 16 bytes of data, but "));
    }
    CHECK(message(framed(dictionary("'<f8'", "(3,)"), two_doubles)) ==
          "holds 16 bytes of data, but 3 numbers of type f8 take 8 bytes each: it is cut short");
    for (const char* shape : {"(18446744073709551616,)", "(-1,)", "(2.0,)", "(x,)", "(2;)", "(2L,)"}) {
        CAPTURE(shape);
        CHECK(message(framed(dictionary("'<f8'", shape), two_doubles)) ==
              std::string("has the shape ") + shape + ", which is none");
    }
    for (const std::string& header :
         {std::string(), std::string("{"), std::string("{}"), std::string("{'descr': '<f8'}"),
          std::string("{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (2,)}"),
          std::string("{'descr': '<f8', 'fortran_order': Maybe, 'shape': (2,)}"),
          std::string("{'descr': '<f8', 'fortran_order': False, 'shape': (2,"),
          std::string("{'descr': '<f8', 'fortran_order': False, 'shape': 2}"),
          std::string("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), 'more': 1}"),
          dictionary("'<f8'", "(2,)") + "x", dictionary("<f8", "(2,)"), dictionary("'<f8", "(2,)")}) {
        CAPTURE(header);
        const std::string said = message(framed(header, two_doubles));
        CHECK((said == "has a header that cannot be understood" || said.starts_with("has numbers of type")));
    }
    // Every prefix, and every byte of the frame altered: refused or read, never anything else.
    for (std::size_t n = 0; n < good.size(); ++n) CHECK(message(good.substr(0, n)) != "");
    std::size_t read = 0;
    for (std::size_t at = 0; at + two_doubles.size() < good.size(); ++at) {
        for (const int bit : {0, 3, 7}) {
            std::string altered = good;
            altered[at] = static_cast<char>(altered[at] ^ (1 << bit));
            read += message(altered).empty();
        }
    }
    CHECK(read < 30);
}
