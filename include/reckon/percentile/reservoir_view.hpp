// Histories straight from the bytes of a reservoir, such as a file that is mapped read-only.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/search.hpp"
#include "reckon/core/views.hpp"
#include "reckon/percentile/detail/kept_rows.hpp"
#include "reckon/percentile/detail/reservoir_bytes.hpp"
#include "reckon/percentile/history.hpp"
#include "reckon/percentile/sampling.hpp"

namespace reckon {

/// What to_bytes(reservoir<Sampling>) wrote, read where it lies: nothing is copied, so a file of any size opens at once
/// and processes share its memory. A history_source that answers as the reservoir did, with rows in ascending order of
/// user.
///
/// bytes     aligned to 8 bytes, and for speed to 64, as mapped files are; they must stay while the view is used.
/// Throws    std::runtime_error when the header, the length or the checksum is not right, std::invalid_argument for
///           bytes that are not aligned and on big-endian machines. Values are not looked at; from_bytes() does that.
///           Whatever the bytes hold, nothing outside them is read.
/// Cost      the checksum reads all bytes once, about 1 ns a byte; without it opening costs nothing. find() is a binary
///           search without branches.
template <class Sampling = sampling::bottom_k>
class reservoir_view {
  public:
    explicit reservoir_view(vector_view<const std::byte> bytes, bool with_checksum = true) {
        expects(std::endian::native == std::endian::little, "reservoir_view", "needs a little-endian machine");
        expects(reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 == 0, "reservoir_view",
                "bytes must be aligned to 8 bytes");
        byte_reader in(bytes, Sampling::bytes_kind, 1, with_checksum);
        const auto header = detail::read_header<Sampling>(in);
        const auto columns = detail::read_columns<Sampling>(in, header);
        in.finish();
        options_ = header.options;
        rejected_ = header.rejected;
        rows_ = static_cast<std::size_t>(header.rows);
        seed_ = detail::mixed_seed(options_.seed);
        stride_ = detail::row_stride(options_.capacity);
        values_ = reinterpret_cast<const float*>(columns.values.data());
        if (options_.predictions) predictions_ = reinterpret_cast<const float*>(columns.predictions.data());
        keys_ = reinterpret_cast<const key_type*>(columns.keys.data());
        users_ = reinterpret_cast<const std::uint64_t*>(columns.users.data());
        seen_ = reinterpret_cast<const std::uint64_t*>(columns.seen.data());
        counts_ = reinterpret_cast<const std::uint32_t*>(columns.counts.data());
    }

    std::uint32_t find(std::uint64_t user) const noexcept {
        const std::size_t at =
            detail::count_before(users_, rows_, [user](std::uint64_t other) { return other < user; });
        return at < rows_ && users_[at] == user ? static_cast<std::uint32_t>(at) : no_history;
    }
    history_row row(std::uint32_t r) const noexcept {
        return {values_ + r * stride_, options_.predictions ? predictions_ + r * stride_ : nullptr, count(r),
                static_cast<std::uint32_t>(stride_)};
    }
    std::uint32_t slot_of([[maybe_unused]] std::uint32_t r, [[maybe_unused]] std::uint64_t user,
                          [[maybe_unused]] std::uint64_t event) const noexcept {
        if constexpr (Sampling::is_keyed) {
            return detail::find_key<Sampling>(keys_ + r * stride_, count(r),
                                              detail::hash_of_event(detail::hash_of_user(seed_, user), event));
        } else {
            return no_history;
        }
    }
    bool has_predictions() const noexcept { return options_.predictions; }

    std::size_t rows() const noexcept { return rows_; }
    std::uint64_t user(std::uint32_t r) const noexcept { return users_[r]; }
    std::uint64_t seen(std::uint64_t user) const noexcept {
        const std::uint32_t r = find(user);
        return r == no_history ? 0 : seen_[r];
    }
    std::uint64_t rejected() const noexcept { return rejected_; }
    const reservoir_options& options() const noexcept { return options_; }

  private:
    using key_type = typename Sampling::key_type;

    std::uint32_t count(std::uint32_t r) const noexcept {
        const auto most = static_cast<std::uint32_t>(options_.capacity);
        return counts_[r] < most ? counts_[r] : most;
    }

    reservoir_options options_;
    std::uint64_t rejected_ = 0;
    std::uint64_t seed_ = 0;
    std::size_t rows_ = 0;
    std::size_t stride_ = 0;
    const float* values_ = nullptr;
    const float* predictions_ = nullptr;
    const key_type* keys_ = nullptr;
    const std::uint64_t* users_ = nullptr;
    const std::uint64_t* seen_ = nullptr;
    const std::uint32_t* counts_ = nullptr;
};
static_assert(history_source<reservoir_view<>>);

}  // namespace reckon
