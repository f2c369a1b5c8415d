// The calibrators of the first release under the law of calibrator_law.hpp, and the parts they share.
#include "reckon/calibration/calibrator.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "calibration/calibrator_law.hpp"
#include "reckon/calibration/global_ratio.hpp"
#include "reckon/calibration/histogram_binning.hpp"
#include "reckon/calibration/isotonic.hpp"
#include "reckon/calibration/platt.hpp"
#include "reckon/calibration/prior_shift.hpp"
#include "reckon/calibration/sir.hpp"
#include "reckon/calibration/temperature.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;

struct platt_case : plain_fit<platt> {
    static constexpr bool strict = true;
};
struct temperature_case : plain_fit<temperature> {
    static constexpr bool strict = true;
};
struct sir_case : plain_fit<sir> {};
struct isotonic_case : plain_fit<isotonic> {};
struct global_ratio_case : plain_fit<global_ratio> {};
struct mass_case : plain_fit<histogram_binning> {
    static constexpr bool monotone = false;
};
struct width_case : plain_fit<histogram_binning> {
    static constexpr bool monotone = false;
    template <class Where, class P, class Y, class W = none>
    static type fit(const Where& where, const P& p, const Y& y, const W& w = {}) {
        return type::fit(where, p, y, w, {.bins = 10, .edges = histogram_binning_options::partition::equal_width});
    }
};

}  // namespace

TEST_CASE_TEMPLATE("calibrator", Case, platt_case, temperature_case, sir_case, isotonic_case, global_ratio_case,
                   mass_case, width_case) {
    check_calibrator<Case>();
}

TEST_CASE("calibrator: a map without a fit has the same shape") {
    CHECK(calibrator<prior_shift>);
    CHECK_FALSE(fitted_calibrator<prior_shift>);
    const prior_shift c(0.05);
    check_map<prior_shift, float>(c);
    check_map<prior_shift, double>(c);
    check_sealed(c);
}

TEST_CASE("calibrator: log-odds of clipped probabilities") {
    using reckon::detail::clipped_logit;
    using reckon::detail::logit_limit;
    const double limit = std::log((1 - 1e-7) / 1e-7);
    CHECK_NEAR(logit_limit, limit, ulp(16));
    for (const double p : {-3.0, 0.0, 1e-9, 1e-7}) CHECK_NEAR(clipped_logit(p), -limit, ulp(16));
    for (const double p : {1 - 1e-9, 1.0, 7.0}) CHECK(clipped_logit(p) == logit_limit);
    CHECK(clipped_logit(1.0f) == -clipped_logit(0.0f));
    CHECK(clipped_logit(0.5) == 0.0);
    CHECK(std::isnan(clipped_logit(std::numeric_limits<double>::quiet_NaN())));
}
