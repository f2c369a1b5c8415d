// Bytes in and out: little-endian fields behind a sealed header, read with bounds checks. docs/format.md has the
// layout.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/views.hpp"

namespace reckon {

/// Number that is stored as it stands, least significant byte first.
template <class T>
concept storable = (std::integral<T> && !std::same_as<T, bool>) || std::same_as<T, float> || std::same_as<T, double>;

/// Four letters as a number, e.g. four_letters("PLAT").
constexpr std::uint32_t four_letters(const char (&text)[5]) noexcept {
    std::uint32_t code = 0;
    for (int i = 3; i >= 0; --i) code = (code << 8) | static_cast<std::uint8_t>(text[i]);
    return code;
}

namespace detail {

inline constexpr std::uint32_t bytes_magic = four_letters("RKN1");
inline constexpr std::size_t bytes_header_size = 32;

template <storable T>
void store_little(std::byte* out, T value) noexcept {
    std::array<std::byte, sizeof(T)> raw;
    std::memcpy(raw.data(), &value, sizeof(T));
    if constexpr (std::endian::native == std::endian::big) {
        for (std::size_t i = 0; i < sizeof(T); ++i) out[i] = raw[sizeof(T) - 1 - i];
    } else {
        std::memcpy(out, raw.data(), sizeof(T));
    }
}

template <storable T>
T load_little(const std::byte* in) noexcept {
    std::array<std::byte, sizeof(T)> raw;
    if constexpr (std::endian::native == std::endian::big) {
        for (std::size_t i = 0; i < sizeof(T); ++i) raw[i] = in[sizeof(T) - 1 - i];
    } else {
        std::memcpy(raw.data(), in, sizeof(T));
    }
    T value;
    std::memcpy(&value, raw.data(), sizeof(T));
    return value;
}

// FNV-1a over 64 bits. It finds accidents; it is no defence against a forger, so readers validate every field as well.
inline std::uint64_t checksum(const std::byte* data, std::size_t size, std::uint64_t state = 0xcbf29ce484222325ull) {
    for (std::size_t i = 0; i < size; ++i) state = (state ^ static_cast<std::uint64_t>(data[i])) * 0x100000001b3ull;
    return state;
}

}  // namespace detail

/// Collects the fields of one state.
class byte_writer {
  public:
    template <storable T>
    void put(T value) {
        std::byte bytes[sizeof(T)];
        detail::store_little(bytes, value);
        payload_.insert(payload_.end(), bytes, bytes + sizeof(T));
    }
    /// A length as 64 bits, then the elements.
    template <storable T>
    void put_array(vector_view<const T> values) {
        put(static_cast<std::uint64_t>(values.size()));
        put_all(values);
    }
    /// The elements alone.
    template <storable T>
    void put_all(vector_view<const T> values) {
        const std::size_t at = payload_.size();
        payload_.resize(at + values.size() * sizeof(T));
        for (std::size_t i = 0; i < values.size(); ++i) {
            detail::store_little(payload_.data() + at + i * sizeof(T), values[i]);
        }
    }
    template <storable T>
    void put_array(const std::vector<T>& values) {
        put_array(vector_view<const T>(values.data(), values.size()));
    }
    /// Header and payload. `kind` names the type that was written, `version` the layout of its payload.
    std::vector<std::byte> seal(std::uint32_t kind, std::uint32_t version) const {
        std::vector<std::byte> sealed(detail::bytes_header_size + payload_.size());
        detail::store_little(sealed.data(), detail::bytes_magic);
        detail::store_little(sealed.data() + 4, kind);
        detail::store_little(sealed.data() + 8, version);
        detail::store_little(sealed.data() + 12, std::uint32_t{0});
        detail::store_little(sealed.data() + 16, static_cast<std::uint64_t>(payload_.size()));
        if (!payload_.empty()) {
            std::memcpy(sealed.data() + detail::bytes_header_size, payload_.data(), payload_.size());
        }
        const std::uint64_t head = detail::checksum(sealed.data(), 24);
        detail::store_little(sealed.data() + 24, detail::checksum(payload_.data(), payload_.size(), head));
        return sealed;
    }

  private:
    std::vector<std::byte> payload_;
};

/// Reads the fields of one state. Never reads past the bytes it was given and never allocates more than they could
/// fill.
///
/// Throws    std::runtime_error from every member when the bytes are not what the caller asks for.
class byte_reader {
  public:
    /// Checks header, length and checksum; the last, which reads all bytes, unless `with_checksum` is false. Versions
    /// 1 .. newest_version are accepted.
    byte_reader(vector_view<const std::byte> bytes, std::uint32_t kind, std::uint32_t newest_version,
                bool with_checksum = true) {
        using detail::load_little;
        expects_bytes(bytes.size() >= detail::bytes_header_size, "read", "only ", bytes.size(), " bytes, a header has ",
                      detail::bytes_header_size);
        const std::byte* p = bytes.data();
        expects_bytes(load_little<std::uint32_t>(p) == detail::bytes_magic, "read", "these bytes are not from reckon");
        expects_bytes(load_little<std::uint32_t>(p + 4) == kind, "read", "another type was written here");
        version_ = load_little<std::uint32_t>(p + 8);
        expects_bytes(version_ >= 1 && version_ <= newest_version, "read", "version ", version_,
                      " is unknown, the newest one here is ", newest_version);
        expects_bytes(load_little<std::uint32_t>(p + 12) == 0, "read", "reserved field is not 0");
        const auto length = load_little<std::uint64_t>(p + 16);
        expects_bytes(length == bytes.size() - detail::bytes_header_size, "read", "payload of ", length,
                      " bytes announced, ", bytes.size() - detail::bytes_header_size, " present");
        if (with_checksum) {
            const std::uint64_t head = detail::checksum(p, 24);
            const std::uint64_t sum =
                detail::checksum(p + detail::bytes_header_size, bytes.size() - detail::bytes_header_size, head);
            expects_bytes(sum == load_little<std::uint64_t>(p + 24), "read", "checksum does not match");
        }
        next_ = p + detail::bytes_header_size;
        left_ = bytes.size() - detail::bytes_header_size;
    }

    std::uint32_t version() const noexcept { return version_; }
    /// Payload bytes not read yet.
    std::size_t left() const noexcept { return left_; }

    template <storable T>
    T get() {
        expects_bytes(left_ >= sizeof(T), "read", "payload ends early");
        const T value = detail::load_little<T>(next_);
        advance(sizeof(T));
        return value;
    }
    /// An array written by put_array, with at most `max_size` elements.
    template <storable T>
    std::vector<T> get_array(std::size_t max_size = static_cast<std::size_t>(-1)) {
        const auto size = get<std::uint64_t>();
        expects_bytes(size <= left_ / sizeof(T), "read", "array of ", size, " elements does not fit in ", left_,
                      " bytes");
        expects_bytes(size <= max_size, "read", "array of ", size, " elements, at most ", max_size, " are legal");
        std::vector<T> values(static_cast<std::size_t>(size));
        for (T& value : values) {
            value = detail::load_little<T>(next_);
            advance(sizeof(T));
        }
        return values;
    }
    /// The next `size` bytes as they stand; they are not copied.
    vector_view<const std::byte> get_bytes(std::size_t size) {
        expects_bytes(size <= left_, "read", "payload ends early");
        const vector_view<const std::byte> taken(next_, size);
        advance(size);
        return taken;
    }
    /// Says that the payload must be used up.
    void finish() const { expects_bytes(left_ == 0, "read", left_, " bytes left over"); }

  private:
    void advance(std::size_t size) noexcept {
        next_ += size;
        left_ -= size;
    }

    const std::byte* next_ = nullptr;
    std::size_t left_ = 0;
    std::uint32_t version_ = 0;
};

/// Bytes of a state or model: T names its layout by `bytes_kind` and `bytes_version` and has write(byte_writer&).
template <class T>
std::vector<std::byte> to_bytes(const T& value) {
    byte_writer out;
    value.write(out);
    return out.seal(T::bytes_kind, T::bytes_version);
}

/// The state or model that to_bytes() wrote.
///
/// Throws    std::runtime_error for anything else: truncated, altered, another type, a newer version, values out of
///           range.
template <class T>
T from_bytes(vector_view<const std::byte> bytes) {
    byte_reader in(bytes, T::bytes_kind, T::bytes_version);
    T value = T::read(in);
    in.finish();
    return value;
}
template <class T>
T from_bytes(const std::vector<std::byte>& bytes) {
    return from_bytes<T>(vector_view<const std::byte>(bytes.data(), bytes.size()));
}

}  // namespace reckon
