// Checks for anyone's kernels, in any test framework: every check returns a report.
//
//   const auto r = reckon::testing::check_merge(state{}, batch, same);
//   CHECK_MESSAGE(r.ok, r.message);
//
//   check_merge               kernel(A ++ B) == merge(kernel(A), kernel(B)) for any split, tree and order
//   check_fold_policy         fold_parts gives the same bits under any policy; check_map_policy for maps
//   check_gradient            gradient against central differences
//   check_tails               an element's result depends on its own input alone; lengths, offsets, guard bands
//   check_strides             rows that do not lie side by side
//   check_nan_propagates      maps: a NaN comes out where it went in, and nowhere else
//   check_bad_values_counted  estimators: bad values are counted and skipped
//   check_no_allocation       serving paths
//   check_allocation          the k-th allocation fails
//   check_bytes               hostile bytes by enumeration
//
// The last three need operator new replaced: see allocation.hpp.
#pragma once

#include "reckon/testing/allocation.hpp"  // IWYU pragma: export
#include "reckon/testing/bytes.hpp"       // IWYU pragma: export
#include "reckon/testing/gradient.hpp"    // IWYU pragma: export
#include "reckon/testing/maps.hpp"        // IWYU pragma: export
#include "reckon/testing/merge.hpp"       // IWYU pragma: export
#include "reckon/testing/rejected.hpp"    // IWYU pragma: export
#include "reckon/testing/report.hpp"      // IWYU pragma: export
