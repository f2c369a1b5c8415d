// Bytes: layout, round trips, every message, hostile input.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "support/law.hpp"

using reckon::byte_reader;
using reckon::byte_writer;
using reckon::four_letters;
using reckon::vector_view;
using byte_string = std::vector<std::byte>;

namespace {

constexpr std::uint32_t kind = four_letters("TEST");

byte_reader open(const byte_string& bytes, std::uint32_t wanted = kind, std::uint32_t newest = 1) {
    return byte_reader(reckon::input(bytes), wanted, newest);
}

std::string hex(const byte_string& bytes) {
    std::string text;
    for (const std::byte b : bytes) {
        constexpr char digits[] = "0123456789abcdef";
        text += digits[static_cast<unsigned>(b) / 16];
        text += digits[static_cast<unsigned>(b) % 16];
    }
    return text;
}

// The header made right again after an edit, written here independently of core/bytes.hpp.
void reseal(byte_string& bytes) {
    std::uint64_t sum = 0xcbf29ce484222325ull;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i >= 24 && i < 32) continue;
        sum = (sum ^ static_cast<std::uint64_t>(bytes[i])) * 0x100000001b3ull;
    }
    for (std::size_t i = 0; i < 8; ++i) bytes[24 + i] = static_cast<std::byte>(sum >> (8 * i));
}

template <class T>
byte_string sealed(T value) {
    byte_writer out;
    out.put(value);
    return out.seal(kind, 1);
}

template <class T>
void round_trip(T value) {
    const byte_string bytes = sealed(value);
    byte_reader in = open(bytes);
    CHECK(in.left() == sizeof(T));
    const T back = in.get<T>();
    CHECK(std::memcmp(&back, &value, sizeof(T)) == 0);
    CHECK_NOTHROW(in.finish());
}

}  // namespace

TEST_CASE("bytes: the layout is fixed, whatever the platform") {
    byte_writer out;
    out.put(std::uint32_t{0x01020304});
    out.put(1.0f);
    out.put_array(std::vector<std::uint16_t>{0xabcd});
    byte_string bytes = out.seal(kind, 3);
    CHECK(bytes.size() == 32 + 18);
    // magic, kind, version, reserved, length
    CHECK(hex({bytes.begin(), bytes.begin() + 24}) ==
          "524b4e31"
          "54455354"
          "03000000"
          "00000000"
          "1200000000000000");
    CHECK(hex({bytes.begin() + 32, bytes.end()}) ==
          "04030201"
          "0000803f"
          "0100000000000000"
          "cdab");
    const byte_string before = bytes;
    reseal(bytes);
    CHECK(bytes == before);
    static_assert(four_letters("RKN1") == 0x314e4b52);
}

TEST_CASE("bytes: the empty payload") {
    const byte_string bytes = byte_writer().seal(kind, 1);
    CHECK(bytes.size() == 32);
    byte_reader in = open(bytes);
    CHECK(in.left() == 0);
    CHECK(in.version() == 1);
    CHECK_NOTHROW(in.finish());
    CHECK_THROWS_WITH_AS(in.get<std::uint8_t>(), "read: payload ends early", std::runtime_error);
}

TEST_CASE("bytes: numbers of every type come back bit by bit") {
    round_trip(std::uint8_t{200});
    round_trip(std::int8_t{-100});
    round_trip(std::uint16_t{65000});
    round_trip(std::int32_t{-2000000000});
    round_trip(std::numeric_limits<std::uint64_t>::max());
    round_trip(std::numeric_limits<std::int64_t>::min());
    round_trip(std::numeric_limits<float>::denorm_min());
    round_trip(-0.0);
    round_trip(std::numeric_limits<double>::quiet_NaN());
    round_trip(-std::numeric_limits<double>::infinity());
}

TEST_CASE("bytes: arrays come back, empty ones too, and the reader keeps its place") {
    const std::vector<double> d{1.5, -2.0, 1e300};
    const std::vector<std::int16_t> s{-1, 2};
    byte_writer out;
    out.put_array(d);
    out.put_array(std::vector<float>{});
    out.put_array(reckon::input(s));
    out.put(std::uint8_t{9});
    const byte_string bytes = out.seal(kind, 1);
    byte_reader in = open(bytes);
    CHECK(in.get_array<double>(3) == d);
    CHECK(in.get_array<float>(0).empty());
    CHECK(in.get_array<std::int16_t>() == s);
    CHECK_THROWS_WITH_AS(in.finish(), "read: 1 bytes left over", std::runtime_error);
    CHECK(in.get<std::uint8_t>() == 9);
    CHECK_NOTHROW(in.finish());
}

TEST_CASE("bytes: every refusal says why") {
    const byte_string good = sealed(std::uint64_t{5});
    const auto refused = [](const byte_string& bytes, const char* why) {
        CHECK_THROWS_WITH_AS(open(bytes), why, std::runtime_error);
    };
    refused({}, "read: only 0 bytes, a header has 32");
    refused({good.begin(), good.begin() + 31}, "read: only 31 bytes, a header has 32");
    refused({good.begin(), good.begin() + 39}, "read: payload of 8 bytes announced, 7 present");
    byte_string bytes = good;
    bytes[0] = std::byte{'X'};
    refused(bytes, "read: these bytes are not from reckon");
    bytes = good;
    bytes[4] = std::byte{'X'};
    refused(bytes, "read: another type was written here");
    bytes = good;
    bytes[8] = std::byte{2};
    refused(bytes, "read: version 2 is unknown, the newest one here is 1");
    bytes[8] = std::byte{0};
    refused(bytes, "read: version 0 is unknown, the newest one here is 1");
    bytes = good;
    bytes[12] = std::byte{1};
    refused(bytes, "read: reserved field is not 0");
    bytes = good;
    bytes[35] = std::byte{1};
    refused(bytes, "read: checksum does not match");
    bytes = good;
    bytes[24] ^= std::byte{1};
    refused(bytes, "read: checksum does not match");
}

TEST_CASE("bytes: older versions are read and told apart") {
    const byte_string bytes = byte_writer().seal(kind, 2);
    CHECK(open(bytes, kind, 3).version() == 2);
    CHECK_THROWS_AS(open(bytes, kind, 1), std::runtime_error);
}

TEST_CASE("bytes: an array cannot promise more than the payload holds") {
    for (const std::uint64_t length : {std::uint64_t{2}, std::uint64_t{1} << 32, std::uint64_t{1} << 61,
                                       std::numeric_limits<std::uint64_t>::max()}) {
        byte_writer out;
        out.put(length);
        out.put(1.0);
        const byte_string bytes = out.seal(kind, 1);
        byte_reader in = open(bytes);
        const std::string why = "read: array of " + std::to_string(length) + " elements does not fit in 8 bytes";
        CHECK_THROWS_WITH_AS(in.get_array<double>(), why.c_str(), std::runtime_error);
    }
    byte_writer out;
    out.put_array(std::vector<float>{1, 2, 3});
    const byte_string bytes = out.seal(kind, 1);
    byte_reader in = open(bytes);
    CHECK_THROWS_WITH_AS(in.get_array<float>(2), "read: array of 3 elements, at most 2 are legal", std::runtime_error);
}

namespace {

struct rates {
    static constexpr std::uint32_t bytes_kind = four_letters("RATE");
    static constexpr std::uint32_t bytes_version = 1;
    std::uint32_t seen = 12;
    std::vector<float> values{0.25f, 0.5f, 1.0f};

    void write(byte_writer& out) const {
        out.put(seen);
        out.put_array(values);
    }
    static rates read(byte_reader& in) {
        rates r;
        r.seen = in.get<std::uint32_t>();
        r.values = in.get_array<float>();
        for (const float v : r.values) reckon::expects_bytes(v >= 0.0f && v <= 1.0f, "rates", "value ", v);
        return r;
    }
};

}  // namespace

TEST_CASE("bytes: to_bytes and from_bytes survive every prefix and every flipped bit") {
    const auto usable = [](const rates& r) {
        for (const float v : r.values) {
            if (!(v >= 0.0f && v <= 1.0f)) return false;
        }
        return true;
    };
    CHECK_LAW(reckon::testing::check_bytes(rates{}, usable));
    byte_string bytes = reckon::to_bytes(rates{});
    bytes.push_back(std::byte{0});
    bytes[16] = static_cast<std::byte>(bytes.size() - 32);
    reseal(bytes);
    CHECK_THROWS_WITH_AS(reckon::from_bytes<rates>(bytes), "read: 1 bytes left over", std::runtime_error);
}

TEST_CASE("bytes: writing and reading survive failing allocations") {
    const auto make = [] { return rates{}; };
    CHECK_LAW(reckon::testing::check_allocation(
        make, [](rates& r) { r = reckon::from_bytes<rates>(reckon::to_bytes(r)); },
        [](const rates& r) { return r.seen == 12 && r.values.size() == 3; }));
}
