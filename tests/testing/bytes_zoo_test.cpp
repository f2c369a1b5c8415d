// Broken readers, and the check that must catch each.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "support/law.hpp"

using namespace reckon::testing;
using reckon::byte_reader;
using reckon::byte_writer;
using reckon::expects_bytes;
using reckon::vector_view;

namespace {

// A step function: ascending edges, one value more than edges, values in [0, 1].
struct sound_steps {
    static constexpr std::uint32_t bytes_kind = reckon::four_letters("STEP");
    static constexpr std::uint32_t bytes_version = 1;
    std::vector<double> edges{0.25, 0.5};
    std::vector<double> values{0.1, 0.4, 0.9};

    double operator()(double x) const {
        std::size_t i = 0;
        while (i < edges.size() && !(x < edges[i])) ++i;
        return values[i];
    }
    void write(byte_writer& out) const {
        out.put_array(edges);
        out.put_array(values);
    }
    static sound_steps read(byte_reader& in) {
        sound_steps s;
        s.edges = in.get_array<double>();
        s.values = in.get_array<double>();
        s.validate();
        return s;
    }
    void validate() const {
        expects_bytes(values.size() == edges.size() + 1, "steps", edges.size(), " edges but ", values.size(),
                      " values");
        for (std::size_t i = 0; i < edges.size(); ++i) {
            expects_bytes(std::isfinite(edges[i]), "steps", "an edge is not finite");
            expects_bytes(i == 0 || edges[i - 1] < edges[i], "steps", "edges do not ascend");
        }
        for (const double v : values) expects_bytes(v >= 0.0 && v <= 1.0, "steps", "a value is outside [0, 1]");
    }
};

bool usable(const sound_steps& s) {
    if (s.values.size() != s.edges.size() + 1) return false;
    for (const double x : {-1.0, 0.0, 0.3, 0.7, 2.0}) {
        if (!(s(x) >= 0.0 && s(x) <= 1.0)) return false;
    }
    return true;
}

struct accepts_out_of_range : sound_steps {
    static accepts_out_of_range read(byte_reader& in) {
        accepts_out_of_range s;
        s.edges = in.get_array<double>();
        s.values = in.get_array<double>();
        expects_bytes(s.values.size() == s.edges.size() + 1, "steps", "sizes");
        return s;
    }
};
struct trusts_the_count : sound_steps {
    static trusts_the_count read(byte_reader& in) {
        trusts_the_count s;
        // Allocates before it looks whether the bytes are there.
        s.edges.resize(static_cast<std::size_t>(in.get<std::uint64_t>()));
        for (double& e : s.edges) e = in.get<double>();
        s.values = in.get_array<double>();
        s.validate();
        return s;
    }
};
struct throws_the_wrong_type : sound_steps {
    static throws_the_wrong_type read(byte_reader& in) {
        throws_the_wrong_type s;
        s.edges = in.get_array<double>();
        s.values = in.get_array<double>();
        if (s.values.size() != s.edges.size() + 1) throw std::invalid_argument("steps: sizes");
        s.validate();
        return s;
    }
};
struct forgets_a_field : sound_steps {
    double scale = 2.0;
    void write(byte_writer& out) const {
        sound_steps::write(out);
        out.put(scale);
    }
    static forgets_a_field read(byte_reader& in) {
        forgets_a_field s;
        s.edges = in.get_array<double>();
        s.values = in.get_array<double>();
        s.validate();
        in.get<double>();
        s.scale = 1.0;
        return s;
    }
};
struct leaks_when_refusing : sound_steps {
    static inline int* leaked = nullptr;
    static leaks_when_refusing read(byte_reader& in) {
        leaks_when_refusing s;
        delete leaked;
        leaked = new int(1);
        s.edges = in.get_array<double>();
        s.values = in.get_array<double>();
        s.validate();
        delete leaked;
        leaked = nullptr;
        return s;
    }
};

// Reads without the sealed header's help: believes its own length field.
sound_steps read_unsealed(vector_view<const std::byte> bytes) {
    expects_bytes(bytes.size() >= 40, "steps", "short");
    std::vector<std::byte> payload(bytes.begin() + 32, bytes.end());
    byte_writer again;
    for (const std::byte b : payload) again.put(static_cast<std::uint8_t>(b));
    const std::vector<std::byte> sealed = again.seal(sound_steps::bytes_kind, 1);
    return reckon::from_bytes<sound_steps>(sealed);
}

template <class T>
std::string complaint() {
    return check_bytes(T{}, usable).message;
}

}  // namespace

TEST_CASE("check_bytes: a reader that validates every field passes") {
    const report r = check_bytes(sound_steps{}, usable);
    CHECK(r.ok);
    CHECK(r.message.empty());
    // Prefixes, bits and extremes of 32 + 56 bytes, several questions about each.
    CHECK(r.cases > 2 * (88 + 8 * 88));
}

TEST_CASE("check_bytes: an empty state passes") {
    sound_steps flat;
    flat.edges.clear();
    flat.values = {0.5};
    CHECK_LAW(check_bytes(flat, usable));
}

TEST_CASE("check_bytes: catches readers that trust what they read") {
    CHECK(complaint<accepts_out_of_range>().find("accepted, but not usable") != std::string::npos);
    CHECK(complaint<trusts_the_count>().find("asks for more than") != std::string::npos);
    CHECK(complaint<throws_the_wrong_type>().find("other than std::runtime_error") != std::string::npos);
    CHECK(complaint<leaks_when_refusing>().find("leak") != std::string::npos);
    CHECK(complaint<forgets_a_field>() == "check_bytes: writing what was read gives other bytes");
    delete leaks_when_refusing::leaked;
}

TEST_CASE("check_bytes: catches a reader that does not look at header and checksum") {
    const report r = check_bytes(reckon::to_bytes(sound_steps{}), read_unsealed, usable, {.allocation_factor = 20});
    CHECK_FALSE(r.ok);
    CHECK(r.message.find("flipped bit 0: accepted") != std::string::npos);
}
