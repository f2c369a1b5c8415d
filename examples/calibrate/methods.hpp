// The calibrators that the program `calibrate` knows: one line each in methods().
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "reckon/calibration/bbq.hpp"
#include "reckon/calibration/beta_calibration.hpp"
#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/freeze.hpp"
#include "reckon/calibration/gamma_scaling.hpp"
#include "reckon/calibration/gaussian_scaling.hpp"
#include "reckon/calibration/global_ratio.hpp"
#include "reckon/calibration/histogram_binning.hpp"
#include "reckon/calibration/isotonic.hpp"
#include "reckon/calibration/piecewise_linear.hpp"
#include "reckon/calibration/platt.hpp"
#include "reckon/calibration/prior_shift.hpp"
#include "reckon/calibration/scaling_binning.hpp"
#include "reckon/calibration/sir.hpp"
#include "reckon/calibration/spline_calibration.hpp"
#include "reckon/calibration/spline_logit.hpp"
#include "reckon/calibration/temperature.hpp"
#include "reckon/calibration/venn_abers.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/exec/pool.hpp"

namespace reckon_examples {

using host = reckon::exec::host<reckon::exec::pool>;

/// What a calibrator is fitted on.
struct columns {
    std::vector<double> scores, labels, weights;  // weights may be empty
    reckon::score_kind kind = reckon::score_kind::probability;
};

/// A calibrator of any kind.
class model {
  public:
    virtual ~model() = default;
    virtual void apply(const host& where, const std::vector<float>& scores, std::vector<float>& out) const = 0;
    virtual void apply(const host& where, const std::vector<double>& scores, std::vector<double>& out) const = 0;
    virtual reckon::counts seen() const = 0;
    virtual std::vector<std::byte> bytes() const = 0;
    virtual std::string header(const std::string& name) const = 0;
    virtual std::string json() const = 0;
};

template <class C>
class model_of final : public model {
  public:
    explicit model_of(C c) : c_(std::move(c)) {}
    void apply(const host& where, const std::vector<float>& scores, std::vector<float>& out) const override {
        c_.apply(where, scores, out);
    }
    void apply(const host& where, const std::vector<double>& scores, std::vector<double>& out) const override {
        c_.apply(where, scores, out);
    }
    reckon::counts seen() const override {
        if constexpr (requires { c_.seen(); }) return c_.seen();
        return {};
    }
    std::vector<std::byte> bytes() const override { return reckon::to_bytes(c_); }
    std::string header(const std::string& name) const override { return reckon::freeze(c_, {.name = name}); }
    std::string json() const override { return reckon::to_json(c_); }

  private:
    C c_;
};

struct method {
    const char* name;
    const char* about;
    std::uint32_t kind;  // bytes_kind
    bool takes_logits;
    std::unique_ptr<model> (*fit)(const host&, const columns&);  // none: the model comes from elsewhere
    std::unique_ptr<model> (*read)(const std::vector<std::byte>&);
};

namespace detail {

template <class C>
std::unique_ptr<model> read(const std::vector<std::byte>& bytes) {
    return std::make_unique<model_of<C>>(reckon::from_bytes<C>(bytes));
}
template <class C, class... Options>
std::unique_ptr<model> fit(const host& where, const columns& rows) {
    return std::make_unique<model_of<C>>(
        C::fit(where, rows.scores, rows.labels, rows.weights, Options{.input = rows.kind}...));
}

inline std::unique_ptr<model> fit_scaling_binning(const host& where, const columns& rows) {
    return std::make_unique<model_of<reckon::scaling_binning>>(
        reckon::scaling_binning::fit(where, rows.scores, rows.labels, rows.weights, {.scaler = {.input = rows.kind}}));
}

}  // namespace detail

/// A calibrator of probabilities, or of whatever numbers when it takes them as they come.
template <class C>
method plain(const char* name, const char* about, bool takes_logits = false) {
    return {name, about, C::bytes_kind, takes_logits, detail::fit<C>, detail::read<C>};
}
/// A calibrator whose options say what the scores are.
template <class C, class Options>
method of_either(const char* name, const char* about) {
    return {name, about, C::bytes_kind, true, detail::fit<C, Options>, detail::read<C>};
}
/// A calibrator without a fit: models are read only.
template <class C>
method read_only(const char* name, const char* about) {
    return {name, about, C::bytes_kind, true, nullptr, detail::read<C>};
}

inline const std::vector<method>& methods() {
    using namespace reckon;
    static const std::vector<method> all{
        of_either<platt, platt_options>("platt", "a logistic curve, two parameters"),
        of_either<temperature, temperature_options>("temperature", "log-odds times a factor"),
        of_either<beta_calibration, beta_calibration_options>("beta_calibration", "a logistic curve in two logarithms"),
        plain<gaussian_scaling>("gaussian_scaling", "scores of each class are normal", true),
        plain<gamma_scaling>("gamma_scaling", "scores of each class follow a gamma distribution; positive scores",
                             true),
        of_either<spline_logit, spline_logit_options>("spline_logit", "a logistic curve that bends"),
        of_either<piecewise_linear, piecewise_linear_options>("piecewise_linear", "lines in log-odds, never falling"),
        plain<isotonic>("isotonic", "any monotone map, from many rows", true),
        plain<venn_abers>("venn_abers", "two isotonic fits that bracket the truth", true),
        plain<spline_calibration>("spline_calibration", "the slope of smoothed cumulative labels", true),
        plain<sir>("sir", "isotonic rates of 100 bins, joined by lines"),
        plain<histogram_binning>("histogram_binning", "the rate of each of 15 bins"),
        {"scaling_binning", "a logistic curve in 15 steps", scaling_binning::bytes_kind, true,
         reckon_examples::detail::fit_scaling_binning, reckon_examples::detail::read<scaling_binning>},
        plain<bbq>("bbq", "an average of many histograms"),
        plain<global_ratio>("global_ratio", "one factor"),
        read_only<prior_shift>("prior_shift", "undoes the sampling of negatives"),
    };
    return all;
}

/// The names of all methods that `use` accepts.
template <class Use>
std::string method_names(Use&& use) {
    std::string names;
    for (const method& m : methods()) {
        if (use(m)) names += (names.empty() ? "" : ", ") + std::string(m.name);
    }
    return names;
}

inline const method& method_called(const std::string& name) {
    for (const method& m : methods()) {
        if (m.name == name && m.fit != nullptr) return m;
    }
    throw std::invalid_argument("--method must be one of " +
                                method_names([](const method& m) { return m.fit != nullptr; }) +
                                (name.empty() ? "" : ", not '" + name + "'"));
}

/// The model that a file holds, whatever its kind.
///
/// Throws    std::runtime_error when it holds none of methods().
inline std::unique_ptr<model> read_model(const std::vector<std::byte>& bytes) {
    const auto number = [&](std::size_t at) {
        return static_cast<std::uint32_t>(bytes[at]) | static_cast<std::uint32_t>(bytes[at + 1]) << 8 |
               static_cast<std::uint32_t>(bytes[at + 2]) << 16 | static_cast<std::uint32_t>(bytes[at + 3]) << 24;
    };
    if (bytes.size() < 8 || number(0) != reckon::four_letters("RKN1"))
        throw std::runtime_error("is not a model of reckon");
    const std::uint32_t kind = number(4);
    for (const method& m : methods()) {
        if (m.kind == kind) return m.read(bytes);
    }
    std::string letters;
    for (std::size_t k = 4; k < 8; ++k) {
        const auto c = static_cast<char>(bytes[k]);
        letters += c >= ' ' && c <= '~' ? c : '?';
    }
    throw std::runtime_error("holds a '" + letters + "', which is no calibrator that this program knows: " +
                             method_names([](const method&) { return true; }));
}

}  // namespace reckon_examples
