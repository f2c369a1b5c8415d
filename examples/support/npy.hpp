// Reads and writes columns of numbers as NumPy does (.npy), with errors that name the file.
#pragma once

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace reckon_examples {

static_assert(std::endian::native == std::endian::little, "npy.hpp copies little-endian numbers as they stand");

/// A column of a .npy file of version 1 to 3: one-dimensional, of type f4, f8, i4, i8, u1 or b1, little-endian.
///
/// Throws    std::runtime_error, "file: what is wrong", for anything else. Trusts no length in the file: what is
///           allocated is bounded by the size of the file.
class npy_column {
  public:
    explicit npy_column(std::string path) : path_(std::move(path)) {
        const std::string bytes = read_all();
        const std::size_t header = parse_frame(bytes);
        parse_header(std::string_view(bytes).substr(header_at_, header));
        const std::size_t data = bytes.size() - header_at_ - header, item = item_size();
        if (size_ > data / item || size_ * item != data)
            fail("holds " + std::to_string(data) + " bytes of data, but " + std::to_string(size_) +
                 " numbers of type " + type_ + " take " + std::to_string(item) + " bytes each" +
                 (size_ > data / item ? ": it is cut short" : ""));
        data_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(header_at_ + header), bytes.end());
    }

    const std::string& path() const { return path_; }
    std::size_t size() const { return size_; }
    /// f4, f8, i4, i8, u1 or b1.
    const std::string& type() const { return type_; }

    /// The column in a type of the caller's choice; i8 beyond 2^53 and f8 in float are rounded.
    template <class T>
    std::vector<T> as() const {
        if (type_ == "f4") return converted<T, float>();
        if (type_ == "f8") return converted<T, double>();
        if (type_ == "i4") return converted<T, std::int32_t>();
        if (type_ == "i8") return converted<T, std::int64_t>();
        return converted<T, std::uint8_t>();
    }
    std::size_t nan_count() const {
        if (type_ != "f4" && type_ != "f8") return 0;
        const auto values = as<double>();
        return static_cast<std::size_t>(
            std::count_if(values.begin(), values.end(), [](double v) { return std::isnan(v); }));
    }

    [[noreturn]] void fail(const std::string& what) const { throw std::runtime_error(path_ + ": " + what); }

  private:
    static constexpr std::size_t longest_header = 65536;

    std::string read_all() const {
        std::error_code code;
        if (std::filesystem::is_directory(path_, code)) fail("is a folder");
        std::ifstream file(path_, std::ios::binary);
        if (!file) fail("cannot be opened");
        std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
        if (file.bad()) fail("cannot be read");
        return bytes;
    }

    // Length of the header, which starts at header_at_.
    std::size_t parse_frame(const std::string& bytes) {
        constexpr std::string_view magic = "\x93NUMPY";
        if (bytes.size() < magic.size() || std::string_view(bytes).substr(0, magic.size()) != magic)
            fail("is not a .npy file");
        const auto byte = [&](std::size_t at) -> std::size_t {
            if (at >= bytes.size()) fail("ends within its header");
            return static_cast<unsigned char>(bytes[at]);
        };
        const std::size_t version = byte(6), minor = byte(7);
        if (version < 1 || version > 3 || minor != 0)
            fail("has format version " + std::to_string(version) + "." + std::to_string(minor) +
                 "; 1.0 to 3.0 are known");
        const std::size_t digits = version == 1 ? 2 : 4;
        std::size_t length = 0;
        for (std::size_t k = digits; k-- > 0;) length = length << 8 | byte(8 + k);
        header_at_ = 8 + digits;
        if (length > longest_header) fail("announces a header of " + std::to_string(length) + " bytes");
        if (length > bytes.size() - header_at_) fail("ends within its header");
        return length;
    }

    // A dictionary as Python prints it: {'descr': '<f4', 'fortran_order': False, 'shape': (3,), }
    void parse_header(std::string_view text) {
        const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
        const auto skip = [&] {
            while (!text.empty() && blank(text.front())) text.remove_prefix(1);
        };
        const auto take = [&](char c) {
            skip();
            if (text.empty() || text.front() != c) return false;
            text.remove_prefix(1);
            return true;
        };
        const auto broken = [&] { fail("has a header that cannot be understood"); };
        const auto quoted = [&]() -> std::string {
            if (!take('\'')) broken();
            const std::size_t end = text.find('\'');
            if (end == std::string_view::npos) broken();
            std::string word(text.substr(0, end));
            text.remove_prefix(end + 1);
            return word;
        };
        bool has_descr = false, has_order = false, has_shape = false;
        if (!take('{')) broken();
        while (!take('}')) {
            const std::string key = quoted();
            if (!take(':')) broken();
            skip();
            if (key == "descr" && !has_descr) {
                has_descr = true;
                if (text.starts_with("[")) fail("is a structured array; save one of its columns");
                set_type(quoted());
            } else if (key == "fortran_order" && !has_order) {
                has_order = true;  // of no meaning in one dimension
                const std::string_view word = text.starts_with("True") ? "True" : "False";
                if (!text.starts_with(word)) broken();
                text.remove_prefix(word.size());
            } else if (key == "shape" && !has_shape) {
                has_shape = true;
                const std::size_t end = text.find(')');
                if (text.empty() || text.front() != '(' || end == std::string_view::npos) broken();
                set_shape(text.substr(1, end - 1));
                text.remove_prefix(end + 1);
            } else {
                broken();
            }
            if (!take(',')) {
                if (!take('}')) broken();
                break;
            }
        }
        skip();
        if (!text.empty() || !has_descr || !has_order || !has_shape) broken();
    }

    void set_type(const std::string& descr) {
        if (descr.starts_with(">")) fail("is big-endian ('" + descr + "'); save a.astype('<" + descr.substr(1) + "')");
        if (descr.find('O') != std::string::npos) fail("is an object array; save numbers, such as a.astype('f8')");
        constexpr std::string_view known[] = {"<f4", "<f8", "<i4", "<i8", "|u1", "|b1"};
        if (std::find(std::begin(known), std::end(known), descr) == std::end(known))
            fail("has numbers of type '" + descr + "'; f4, f8, i4, i8, u1 and b1 are known");
        type_ = descr.substr(1);
    }

    void set_shape(std::string_view inside) {
        const std::string shape = "(" + std::string(inside) + ")";
        std::vector<std::uint64_t> sizes;
        const auto blank = [](char c) { return c == ' '; };
        while (true) {
            while (!inside.empty() && blank(inside.front())) inside.remove_prefix(1);
            if (inside.empty()) break;
            std::uint64_t n = 0;
            const auto [end, code] = std::from_chars(inside.data(), inside.data() + inside.size(), n);
            if (code != std::errc{}) fail("has the shape " + shape + ", which is none");
            inside.remove_prefix(static_cast<std::size_t>(end - inside.data()));
            sizes.push_back(n);
            while (!inside.empty() && blank(inside.front())) inside.remove_prefix(1);
            if (inside.empty()) break;
            if (inside.front() != ',') fail("has the shape " + shape + ", which is none");
            inside.remove_prefix(1);
        }
        if (sizes.size() != 1) fail("has the shape " + shape + "; one column is needed, such as a[:, 1] or a.ravel()");
        if (sizes[0] > (std::numeric_limits<std::size_t>::max)())
            fail("has the shape " + shape + ", which is too large");
        size_ = static_cast<std::size_t>(sizes[0]);
    }

    std::size_t item_size() const { return static_cast<std::size_t>(type_[1] - '0'); }

    template <class To, class From>
    std::vector<To> converted() const {
        std::vector<To> out(size_);
        for (std::size_t i = 0; i < size_; ++i) {
            From value;
            std::memcpy(&value, data_.data() + i * sizeof value, sizeof value);
            out[i] = static_cast<To>(value);
        }
        return out;
    }

    std::string path_, type_;
    std::size_t size_ = 0, header_at_ = 0;
    std::vector<char> data_;
};

/// Writes a column as a .npy file of version 1.
///
/// Throws    std::runtime_error, "file: cannot be written".
template <class T>
void write_npy(const std::string& path, const std::vector<T>& values) {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
    std::string header = "{'descr': '<f" + std::to_string(sizeof(T)) + "', 'fortran_order': False, 'shape': (" +
                         std::to_string(values.size()) + ",), }";
    // The data start at a multiple of 64.
    header.append(63 - (10 + header.size()) % 64, ' ');
    header += '\n';
    std::ofstream file(path, std::ios::binary);
    file.write("\x93NUMPY\x01\x00", 8);
    const char length[2] = {static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
    file.write(length, 2);
    file.write(header.data(), static_cast<std::streamsize>(header.size()));
    file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
    file.close();
    if (!file) throw std::runtime_error(path + ": cannot be written");
}

}  // namespace reckon_examples
