// Exact percentiles of numbers in a row of values: one row and many numbers, or many short visits to many rows.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/segments.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/percentile/detail/row_count.simd.hpp"
#include "reckon/percentile/detail/sorted_rows.simd.hpp"
#include "reckon/percentile/history.hpp"

namespace reckon {

/// Which values of the row a percentile counts.
enum class percentile_side : std::uint8_t {
    mid,    ///< those below and half of the equal ones; scipy.stats.percentileofscore(kind="mean") / 100
    left,   ///< those below
    right,  ///< those below and the equal ones
};

/// Sorted copies of many rows, laid out for searches that take a few percentiles of each row in turn.
///
/// A row of up to 64 values has two levels of 8, a longer one levels of 16: the last value of each block below, and the
/// values. Row s answers to the id s.
///
/// Cost      a sort of each row when built; 4 bytes a value, an eighth (above 64 values a sixteenth) more, rows rounded up
///           to 8 or 16 values; 12 bytes a row.
/// Source    after static B-trees (see Khuong and Morin 2017); node widths and the NaN at the end are ours.
class sorted_histories {
  public:
    /// Rows in consecutive groups.
    ///
    /// Shapes    values [N] of float, offsets [S + 1]: row s holds values offsets[s] .. offsets[s + 1] - 1. NaN is left
    ///           out.
    /// Throws    std::invalid_argument for offsets that do not ascend from 0 to N, and 2^30 values or more in a row.
    template <exec::policy Policy, vector_like V, vector_like Offsets>
    sorted_histories(const Policy& where, const V& values, const Offsets& offsets) {
        const vector_view<const float> all = input(values);
        const auto groups = make_segments("sorted_histories", offsets, all.size());
        build(where, groups.size(),
              [&](std::size_t s) { return vector_view<const float>(all.data() + groups.first(s), groups.count(s)); });
    }
    /// The histories of some users: row s is that of users[s], empty for a user without history.
    template <exec::policy Policy, history_source H, vector_like U>
    static sorted_histories of(const Policy& where, const H& histories, const U& users) {
        const auto ids = input(users);
        sorted_histories made;
        made.build(where, ids.size(), [&](std::size_t s) -> vector_view<const float> {
            const std::uint32_t r = histories.find(static_cast<std::uint64_t>(ids[s]));
            if (r == no_history) return {};
            const history_row row = histories.row(r);
            return {row.values, row.count};
        });
        return made;
    }

    std::size_t size() const noexcept { return counts_.size(); }
    /// Values of row s.
    std::uint32_t count(std::size_t s) const noexcept { return counts_[s]; }
    /// Bytes held for all rows.
    std::size_t bytes() const noexcept { return 4 * floats_.size() + 12 * size(); }
    /// The floats of row s, levels from the top; for row_percentiles().
    const float* data(std::size_t s) const noexcept { return floats_.data() + starts_[s]; }

  private:
    sorted_histories() = default;

    template <class Policy, class Row>
    void build(const Policy& where, std::size_t rows, Row&& row) {
        counts_.resize(rows);
        starts_.resize(rows);
        const auto usable = [](float x) { return x == x; };
        exec::map_parts(where, rows, [&](std::size_t first, std::size_t n) {
            for (std::size_t s = first; s < first + n; ++s) {
                const vector_view<const float> values = row(s);
                expects(values.size() < (std::size_t{1} << 30), "sorted_histories", "a row of ", values.size(),
                        " values, fewer than 2^30 are possible");
                counts_[s] = static_cast<std::uint32_t>(std::count_if(values.begin(), values.end(), usable));
            }
        });
        std::uint64_t floats = 0;
        for (std::size_t s = 0; s < rows; ++s) {
            starts_[s] = floats;
            floats += detail::row_levels(counts_[s]).floats;
        }
        // Registers wider than a node read beyond it.
        constexpr std::size_t slack = 16;
        floats_ = scratch_array<float>(static_cast<std::size_t>(floats) + slack);
        std::fill(floats_.data() + floats, floats_.data() + floats + slack, std::numeric_limits<float>::quiet_NaN());
        exec::map_parts(where, rows, [&](std::size_t first, std::size_t n) {
            std::vector<float> sorted;
            for (std::size_t s = first; s < first + n; ++s) {
                const vector_view<const float> values = row(s);
                sorted.clear();
                std::copy_if(values.begin(), values.end(), std::back_inserter(sorted), usable);
                std::sort(sorted.begin(), sorted.end());
                detail::build_levels(detail::row_levels(sorted.size()), sorted.data(), sorted.size(),
                                     floats_.data() + starts_[s]);
            }
        });
    }

    std::vector<std::uint32_t> counts_;
    std::vector<std::uint64_t> starts_;
    scratch_array<float> floats_;
};

namespace detail {

// Calls body(integral_constant of the side).
template <class Body>
void with_side(percentile_side side, Body&& body) {
    if (side == percentile_side::mid) {
        body(std::integral_constant<row_side, row_side::both>{});
    } else if (side == percentile_side::left) {
        body(std::integral_constant<row_side, row_side::below>{});
    } else {
        body(std::integral_constant<row_side, row_side::up_to>{});
    }
}

// Percentiles from counts of `Side` in a row of `count` values; NaN for NaN and for an empty row.
template <row_side Side>
void percentiles_of_counts(const std::uint32_t* found, std::size_t count, const float* y, std::size_t n, float* out) {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    if (count == 0) {
        std::fill(out, out + n, nan);
        return;
    }
    const std::size_t total = Side == row_side::both ? 2 * count : count;
    if (total < (std::size_t{1} << 24)) {
        // Both are exact as floats, so that there is one rounding.
        const auto all = static_cast<float>(total);
        const auto share = [&](std::size_t i) {
            const float s = static_cast<float>(static_cast<std::int32_t>(found[i])) / all;
            out[i] = y[i] == y[i] ? s : nan;
        };
        // A constant count becomes vector code without a preamble, which matters to visits of 16.
        std::size_t i = 0;
        for (; i + 8 <= n; i += 8) {
            for (std::size_t k = 0; k < 8; ++k) share(i + k);
        }
        for (; i < n; ++i) share(i);
        return;
    }
    for (std::size_t i = 0; i < n; ++i) {
        const double share = static_cast<double>(found[i]) / static_cast<double>(total);
        out[i] = y[i] == y[i] ? static_cast<float>(share) : nan;
    }
}

// Percentiles of y[0 .. n) where count(first, m, found) counts those of a stretch in a row of `size` values.
template <row_side Side, class Count>
void map_percentiles(std::size_t size, const float* y, std::size_t n, float* out, Count&& count) {
    constexpr std::size_t block = 256;
    std::uint32_t found[block];
    for (std::size_t first = 0; first < n; first += block) {
        const std::size_t m = (std::min)(block, n - first);
        count(y + first, m, found);
        percentiles_of_counts<Side>(found, size, y + first, m, out + first);
    }
}

struct percentile_columns {
    vector_view<const float> queries;
    vector_view<float> out;
};
template <class Q, class O>
percentile_columns make_percentile_columns(const char* kernel, const Q& queries, O& out) {
    const auto q = input(queries);
    const auto to = view(out);
    static_assert(std::is_same_v<typename decltype(q)::value_type, float> &&
                      std::is_same_v<typename decltype(to)::value_type, float>,
                  "reckon: queries and percentiles must be float");
    expects(to.size() == q.size(), kernel, q.size(), " queries but room for ", to.size(), " percentiles");
    return {q, to};
}

// Visits a part: a stretch of consecutive rows, each with a few queries.
inline constexpr std::size_t visits_a_part = 1024;

}  // namespace detail

/// Percentiles of numbers in one row of values, which need not be sorted.
///
///   mid: (#{values < q} + #{values <= q}) / (2 n)
///
/// Shapes    values [n] of float, n < 2^30; queries, percentiles [N] of float. NaN values are left out.
/// Writes    every percentile. NaN for a NaN query, and for a row without values. Infinities have their places, -0 is 0.
/// Throws    std::invalid_argument when lengths differ or the row is too long.
/// Cost      up to 128 values, or for fewer than 32 queries, all are compared, 8 queries at a time with AVX2; else a
///           sorted copy is searched.
/// Numerics  counts are integers: the correctly rounded quotient, on every instruction set.
template <exec::policy Policy, vector_like V, vector_like Q, class O, class Isa = isa::native>
void row_percentiles(const Policy& where, const V& values, const Q& queries, O&& percentiles,
                     percentile_side side = percentile_side::mid) {
    const vector_view<const float> row = input(values);
    const auto columns = detail::make_percentile_columns("row_percentiles", queries, percentiles);
    expects(row.size() < (std::size_t{1} << 30), "row_percentiles", "a row of ", row.size(),
            " values, fewer than 2^30 are possible");
    std::vector<float> kept;
    for (const float x : row) {
        if (x == x) kept.push_back(x);
    }
    const std::size_t n = kept.size();
    const bool compares = n <= 128 || columns.queries.size() < 32;
    const detail::row_levels levels(n);
    scratch_array<float> tree;
    if (!compares) {
        std::sort(kept.begin(), kept.end());
        tree = scratch_array<float>(levels.floats + 16);
        std::fill(tree.data() + levels.floats, tree.data() + tree.size(), 0.0f);
        detail::build_levels(levels, kept.data(), n, tree.data());
    }
    detail::with_side(side, [&](auto chosen) {
        constexpr detail::row_side Side = decltype(chosen)::value;
        exec::map_parts(where, columns.queries.size(), [&](std::size_t first, std::size_t m) {
            detail::map_percentiles<Side>(n, columns.queries.data() + first, m, columns.out.data() + first,
                                          [&](const float* y, std::size_t k, std::uint32_t* found) {
                                              if (compares) {
                                                  detail::count_row<Side, Isa>(kept.data(), n, n, y, k, found);
                                              } else {
                                                  detail::search_row<Side, Isa>(tree.data(), levels, y, k, found);
                                              }
                                          });
        });
    });
}

/// Percentiles of the candidates of many visits in the histories of their users.
///
/// Shapes    users [V] of integers; queries, percentiles [N] of float; offsets [V + 1]: visit s has the queries
///           offsets[s] .. offsets[s + 1] - 1.
/// Writes    as the form for one row; NaN for a user without history.
/// Throws    std::invalid_argument when lengths differ or the offsets do not ascend from 0 to N.
/// Cost      all slots are compared, 8 queries at a time with AVX2; rows are asked for ahead of their use.
/// Numerics  as the form for one row.
template <exec::policy Policy, history_source H, vector_like U, vector_like Q, vector_like Offsets, class O,
          class Isa = isa::native>
void row_percentiles(const Policy& where, const H& histories, const U& users, const Q& queries, const Offsets& offsets,
                     O&& percentiles, percentile_side side = percentile_side::mid) {
    const auto ids = input(users);
    const auto columns = detail::make_percentile_columns("row_percentiles", queries, percentiles);
    const auto visits = make_segments("row_percentiles", offsets, columns.queries.size());
    expects(visits.size() == ids.size(), "row_percentiles", ids.size(), " users but ", visits.size(), " visits");
    detail::with_side(side, [&](auto chosen) {
        constexpr detail::row_side Side = decltype(chosen)::value;
        exec::map_parts(
            where, visits.size(),
            [&](std::size_t first, std::size_t n) {
                std::uint32_t rows[detail::visits_a_part];
                for (std::size_t i = 0; i < n; ++i) {
                    rows[i] = histories.find(static_cast<std::uint64_t>(ids[first + i]));
                }
                std::size_t asked = 0;
                for (std::size_t i = 0; i < n; ++i) {
                    const history_row row = rows[i] == no_history ? history_row{} : histories.row(rows[i]);
                    for (const std::size_t ahead = i + 1 + detail::rows_ahead(row.capacity); asked < n && asked < ahead;
                         ++asked) {
                        if (rows[asked] == no_history) continue;
                        const history_row next = histories.row(rows[asked]);
                        detail::prefetch_row(next.values, next.capacity);
                    }
                    const std::size_t at = visits.first(first + i);
                    detail::map_percentiles<Side>(
                        row.count, columns.queries.data() + at, visits.count(first + i), columns.out.data() + at,
                        [&](const float* y, std::size_t k, std::uint32_t* found) {
                            detail::count_row<Side, Isa>(row.values, row.count, row.capacity, y, k, found);
                        });
                }
            },
            detail::visits_a_part);
    });
}

/// The same in sorted copies, for longer rows and for visits with few candidates.
///
/// Shapes    rows [V] of unsigned integers below histories.size(); the rest as above.
/// Throws    std::invalid_argument when lengths differ, the offsets do not ascend from 0 to N, or a row does not exist.
/// Cost      two nodes of 8 for up to 64 values, two of 16 for up to 256, a node more for every factor of 16; mid
///           searches twice where the query equals a value. Rows are asked for ahead of their use.
template <exec::policy Policy, vector_like U, vector_like Q, vector_like Offsets, class O, class Isa = isa::native>
void row_percentiles(const Policy& where, const sorted_histories& histories, const U& rows, const Q& queries,
                     const Offsets& offsets, O&& percentiles, percentile_side side = percentile_side::mid) {
    const auto ids = input(rows);
    static_assert(std::unsigned_integral<typename decltype(ids)::value_type>,
                  "reckon: row numbers must be unsigned integers");
    const auto columns = detail::make_percentile_columns("row_percentiles", queries, percentiles);
    const auto visits = make_segments("row_percentiles", offsets, columns.queries.size());
    expects(visits.size() == ids.size(), "row_percentiles", ids.size(), " rows but ", visits.size(), " visits");
    for (const auto id : ids) {
        expects(id < histories.size(), "row_percentiles", "row ", id, " of ", histories.size());
    }
    detail::with_side(side, [&](auto chosen) {
        constexpr detail::row_side Side = decltype(chosen)::value;
        exec::map_parts(
            where, visits.size(),
            [&](std::size_t first, std::size_t n) {
                std::size_t asked = 0;
                for (std::size_t i = 0; i < n; ++i) {
                    const std::size_t s = static_cast<std::size_t>(ids[first + i]);
                    const std::size_t count = histories.count(s);
                    for (const std::size_t ahead = i + 1 + detail::rows_ahead(count); asked < n && asked < ahead;
                         ++asked) {
                        const std::size_t next = static_cast<std::size_t>(ids[first + asked]);
                        detail::prefetch_row(histories.data(next), histories.count(next) + 16);
                    }
                    const detail::row_levels levels(count);
                    const float* const row = histories.data(s);
                    const std::size_t at = visits.first(first + i);
                    detail::map_percentiles<Side>(count, columns.queries.data() + at, visits.count(first + i),
                                                  columns.out.data() + at,
                                                  [&](const float* y, std::size_t k, std::uint32_t* found) {
                                                      detail::search_row<Side, Isa>(row, levels, y, k, found);
                                                  });
                }
            },
            detail::visits_a_part);
    });
}

}  // namespace reckon
