// Freezes a fitted calibrator into a C++ header of its own, and writes its numbers as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/freeze_kinds.hpp"
#include "reckon/calibration/detail/freeze_text.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/version.hpp"

namespace reckon {

struct freeze_options {
    /// Name of the functions.
    std::string name = "calibrate";
    /// Namespace around them.
    std::string space = "frozen";
};

/// A fitted calibrator that freeze() and to_json() know.
template <class C>
concept freezable = calibrator<C> && requires(const C c) {
    { detail::describe(c) } -> std::same_as<detail::calibrator_notes>;
};

/// Source text of a C++17 header that maps scores as the calibrator does and needs nothing but the standard library.
///
///   namespace frozen {
///   float calibrate(float score);
///   double calibrate(double score);
///   void calibrate(const float* scores, float* out, std::size_t n);      // out may be the scores
///   void calibrate(const double* scores, double* out, std::size_t n);
///   }
///
/// Returns   the text. Constants are hexadecimal floats. Headers with different names go into one program.
/// Throws    std::invalid_argument when a name is no identifier of C++ (or may belong to the compiler). The functions
///           of the header propagate NaN and throw nothing.
/// Cost      a curve gives about 60 statements per type, a table 80 to 110 bytes of text a knot or bin.
/// Numerics  the same bits as c(score) and c.apply() of this build, for every float and double, on any compiler, target
///           and level of optimisation that keeps IEEE arithmetic (the header refuses -ffast-math). A NaN is a NaN, with
///           any payload. Where lanes of Isa fuse multiply and add, the header calls std::fma, which is slow on machines
///           without such an instruction; where they do not, it keeps the compiler from fusing.
template <freezable C, class Isa = isa::native>
std::string freeze(const C& c, const freeze_options& options = {}) {
    expects(detail::is_cpp_name(options.name), "freeze", "the name '", options.name, "' is no identifier of C++");
    expects(detail::is_cpp_name(options.space), "freeze", "the namespace '", options.space,
            "' is no identifier of C++");
    return detail::frozen_header<Isa>(c, options.name, options.space);
}

/// The numbers of a calibrator as JSON: its kind, what the fit saw, how to evaluate it in words, and its parameters.
///
/// Returns   an object with the keys kind, bytes_kind, version, library, seen (when there was a fit), evaluate and
///           parameters. Every number is the shortest decimal that reads back as the same double.
template <freezable C>
std::string to_json(const C& c) {
    return detail::json_text(c);
}

}  // namespace reckon
