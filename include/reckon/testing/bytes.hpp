// Hostile bytes by enumeration: every prefix and every flipped bit of a written state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "reckon/core/config.hpp"
#include "reckon/core/views.hpp"
#include "reckon/testing/allocation.hpp"
#include "reckon/testing/report.hpp"

namespace reckon::testing {

struct bytes_options {
    /// Reading may hold at most this many times the size of the input ...
    std::size_t allocation_factor = 4;
    /// ... plus this many bytes, for the text of the error.
    std::size_t allocation_constant = 1024;
    /// Off in programs that do not count allocations.
    bool limit_allocation = true;
};

namespace detail {

// Makes the header of altered bytes true again, so that the payload reaches the fields' own validation.
inline void repair(std::vector<std::byte>& bytes) {
    using namespace reckon::detail;
    if (bytes.size() < bytes_header_size) return;
    const std::size_t payload = bytes.size() - bytes_header_size;
    store_little(bytes.data() + 16, static_cast<std::uint64_t>(payload));
    const std::uint64_t head = checksum(bytes.data(), 24);
    store_little(bytes.data() + 24, checksum(bytes.data() + bytes_header_size, payload, head));
}

inline void flip(std::vector<std::byte>& bytes, std::size_t bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
}

}  // namespace detail

#if RECKON_HAS_EXCEPTIONS
namespace detail {

// Reads an object, says so, and says whether it was usable.
using read_and_use = call_ref<void(vector_view<const std::byte>, bool& was_read, bool& was_usable)>;

inline report check_bytes(const std::vector<std::byte>& bytes, read_and_use read_and_use_it,
                          const bytes_options& options) {
    recorder record("check_bytes");
    if (options.limit_allocation && !record.expect(allocations_are_counted(), needs_replaced_new)) {
        return record.finish();
    }
    enum class wanted { good, refused, either };
    const auto attempt = [&](const std::vector<std::byte>& input, wanted want, const char* what, std::size_t where) {
        bool was_read = false, was_refused = false, was_usable = false, asked_too_much = false;
        const std::size_t limit = options.allocation_factor * input.size() + options.allocation_constant;
        allocation_state& state = allocations;
        // The copy on the heap ends where the data ends, for the address sanitizer.
        const std::vector<std::byte> data(input.begin(), input.end());
        const allocation_count count = count_allocations([&] {
            // A request beyond the limit fails instead of taking the machine's memory.
            if (options.limit_allocation) state.largest.store(limit);
            try {
                read_and_use_it(vector_view<const std::byte>(data.data(), data.size()), was_read, was_usable);
            } catch (const std::runtime_error&) {
                was_refused = true;
            } catch (const std::bad_alloc&) {
                asked_too_much = true;
            } catch (...) {
            }
            state.largest.store(static_cast<std::size_t>(-1));
        });
        record.expect(!asked_too_much, what, where, ": asks for more than ", limit, " bytes");
        record.expect(was_read || was_refused || asked_too_much, what, where,
                      ": an exception other than std::runtime_error comes out");
        if (want == wanted::refused) record.expect(!was_read, what, where, ": accepted");
        if (want == wanted::good) record.expect(was_read, what, where, ": refused");
        if (want != wanted::refused && was_read) record.expect(was_usable, what, where, ": accepted, but not usable");
        if (options.limit_allocation) {
            record.expect(count.peak_bytes <= limit, what, where, ": holds ", count.peak_bytes, " bytes for ",
                          input.size());
            record.expect(count.kept_blocks == 0, what, where, ": ", count.kept_blocks, " blocks leak");
        }
    };

    attempt(bytes, wanted::good, "as written, size ", bytes.size());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        std::vector<std::byte> prefix(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
        attempt(prefix, wanted::refused, "prefix of length ", size);
        repair(prefix);
        attempt(prefix, wanted::either, "repaired prefix of length ", size);
    }
    std::vector<std::byte> altered = bytes;
    altered.push_back(std::byte{0});
    attempt(altered, wanted::refused, "one byte more than ", bytes.size());
    repair(altered);
    attempt(altered, wanted::refused, "repaired, one byte more than ", bytes.size());
    altered = bytes;
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
        flip(altered, bit);
        attempt(altered, wanted::refused, "flipped bit ", bit);
        repair(altered);
        attempt(altered, wanted::either, "flipped and repaired bit ", bit);
        altered = bytes;
    }
    // 0, the largest integers, a quarter of them, NaN, infinity and the largest double, at every 4th byte.
    for (const std::uint64_t extreme :
         {std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0} >> 1, std::uint64_t{1} << 62, std::uint64_t{1} << 32,
          std::uint64_t{0x7ff8000000000000}, std::uint64_t{0x7ff0000000000000}, std::uint64_t{0xfff0000000000000},
          std::uint64_t{0x7fefffffffffffff}, std::uint64_t{0xffefffffffffffff}}) {
        for (std::size_t at = reckon::detail::bytes_header_size; at + 8 <= bytes.size(); at += 4) {
            reckon::detail::store_little(altered.data() + at, extreme);
            repair(altered);
            attempt(altered, wanted::either, "extreme value at byte ", at);
            altered = bytes;
        }
    }
    return record.finish();
}

}  // namespace detail

/// Checks a reader of sealed bytes against everything that storage, transport and a careless or hostile sender do.
///
///   as written                       must be read and usable
///   every prefix, one byte more,
///   every single bit flipped         must be refused
///   the same with length and
///   checksum repaired, and every
///   8 bytes replaced by extremes     must be refused or usable
///
/// Refused means std::runtime_error and nothing else. Reading never allocates more than a multiple of the input.
///
/// bytes     a small sealed state: the work grows with the square of its size.
/// read      read(vector_view<const std::byte>) returns the object.
/// usable    usable(object) works the object hard and says whether its results keep their promises.
template <class Read, class Usable>
report check_bytes(const std::vector<std::byte>& bytes, Read&& read, Usable&& usable,
                   const bytes_options& options = {}) {
    const auto read_and_use = [&](vector_view<const std::byte> data, bool& was_read, bool& was_usable) {
        detail::allocation_state& state = detail::allocations;
        const auto object = read(data);
        was_read = true;
        // Using the object may allocate what it likes.
        state.largest.store(static_cast<std::size_t>(-1));
        const std::size_t peak = state.peak_bytes.load();
        try {
            was_usable = usable(object);
        } catch (...) {
            was_usable = false;
        }
        state.peak_bytes.store(peak);
    };
    return detail::check_bytes(bytes, detail::read_and_use(read_and_use), options);
}

/// check_bytes for a type with write and read; what is read back must also write the same bytes again.
template <class T, class Usable>
report check_bytes(const T& value, Usable&& usable, const bytes_options& options = {}) {
    const std::vector<std::byte> bytes = to_bytes(value);
    detail::recorder record("check_bytes");
    record.expect(to_bytes(from_bytes<T>(bytes)) == bytes, "writing what was read gives other bytes");
    report enumerated = check_bytes(
        bytes, [](vector_view<const std::byte> b) { return from_bytes<T>(b); }, static_cast<Usable&&>(usable), options);
    report round_trip = record.finish();
    if (!round_trip.ok) enumerated = {false, round_trip.message, enumerated.cases};
    enumerated.cases += round_trip.cases;
    return enumerated;
}
#endif

}  // namespace reckon::testing
