// Layout of a reservoir in bytes, shared by write, read and the view of a mapped file.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/views.hpp"
#include "reckon/percentile/detail/kept_rows.hpp"

namespace reckon {

struct reservoir_options {
    /// 1 .. 2^20. Events kept of each user: slots of a row.
    std::size_t capacity = 64;
    /// Another seed keeps other events.
    std::uint64_t seed = 0;
    /// Whether a prediction of the base model is stored beside each value, 4 bytes a slot.
    bool predictions = false;
};

namespace detail {

inline constexpr std::size_t most_capacity = std::size_t{1} << 20;

struct reservoir_header {
    reservoir_options options;
    double parameter = 0.0;  // half-life of sampling::decayed
    std::uint64_t rejected = 0;
    std::uint64_t rows = 0;
};

// Bytes of the header within the payload: rows begin 128 bytes after the start of a file.
inline constexpr std::size_t reservoir_header_size = 96;

inline void write_header(byte_writer& out, const reservoir_header& header) {
    out.put(static_cast<std::uint32_t>(header.options.capacity));
    out.put(static_cast<std::uint32_t>(header.options.predictions ? 1 : 0));
    out.put(header.options.seed);
    out.put(header.parameter);
    out.put(header.rejected);
    out.put(header.rows);
    for (std::size_t at = 40; at < reservoir_header_size; at += 8) out.put(std::uint64_t{0});
}
template <class Sampling>
reservoir_header read_header(byte_reader& in) {
    reservoir_header header;
    header.options.capacity = in.get<std::uint32_t>();
    const auto flags = in.get<std::uint32_t>();
    header.options.seed = in.get<std::uint64_t>();
    header.parameter = in.get<double>();
    header.rejected = in.get<std::uint64_t>();
    header.rows = in.get<std::uint64_t>();
    expects_bytes(1 <= header.options.capacity && header.options.capacity <= most_capacity, "reservoir", "capacity ",
                  header.options.capacity, " is not legal");
    expects_bytes(flags <= 1, "reservoir", "flags ", flags, " are unknown");
    header.options.predictions = flags == 1;
    expects_bytes(Sampling::is_timed ? header.parameter > 0.0 && std::isfinite(header.parameter)
                                     : std::bit_cast<std::uint64_t>(header.parameter) == 0,
                  "reservoir", "half-life ", header.parameter, " is not legal");
    for (std::size_t at = 40; at < reservoir_header_size; at += 8) {
        expects_bytes(in.get<std::uint64_t>() == 0, "reservoir", "reserved field is not 0");
    }
    return header;
}

// The columns behind the header, R slots rounded up to `stride`: values [U, stride], predictions [U, stride] if there are
// any, keys [U, stride] if the form has them, users [U], seen [U], counts [U].
struct reservoir_columns {
    vector_view<const std::byte> values, predictions, keys, users, seen, counts;
};
template <class Sampling>
reservoir_columns read_columns(byte_reader& in, const reservoir_header& header) {
    const std::size_t stride = row_stride(header.options.capacity);
    const std::size_t key_bytes = Sampling::is_keyed ? sizeof(typename Sampling::key_type) : 0;
    const std::size_t row_bytes = stride * (4 + (header.options.predictions ? 4 : 0) + key_bytes) + 20;
    expects_bytes(header.rows < no_history && header.rows == in.left() / row_bytes && in.left() % row_bytes == 0,
                  "reservoir", header.rows, " rows do not fill ", in.left(), " bytes");
    const auto rows = static_cast<std::size_t>(header.rows);
    reservoir_columns columns;
    columns.values = in.get_bytes(rows * stride * 4);
    if (header.options.predictions) columns.predictions = in.get_bytes(rows * stride * 4);
    columns.keys = in.get_bytes(rows * stride * key_bytes);
    columns.users = in.get_bytes(rows * 8);
    columns.seen = in.get_bytes(rows * 8);
    columns.counts = in.get_bytes(rows * 4);
    return columns;
}
template <class T>
T element(vector_view<const std::byte> column, std::size_t i) noexcept {
    return load_little<T>(column.data() + i * sizeof(T));
}

}  // namespace detail
}  // namespace reckon
