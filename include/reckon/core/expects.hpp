// The one way to refuse an argument or a byte string: a plain sentence with the value that was seen.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "reckon/core/config.hpp"

namespace reckon {

namespace detail {

// These are static: code built for different instruction sets must not meet in the linker (see RECKON_INLINE).

static inline void append_part(std::string& text, const char* part) {
    text += part;
}
static inline void append_part(std::string& text, const std::string& part) {
    text += part;
}
template <class Number>
    requires std::is_arithmetic_v<Number>
static void append_part(std::string& text, Number value) {
    if constexpr (std::is_same_v<Number, bool>) {
        text += value ? "true" : "false";
    } else if constexpr (std::is_integral_v<Number>) {
        text += std::to_string(value);
    } else {
        char digits[40];
        std::snprintf(digits, sizeof digits, "%.9g", static_cast<double>(value));
        text += digits;
    }
}

template <class... Parts>
static std::string sentence(const char* kernel, const Parts&... parts) {
    std::string text = kernel;
    text += ": ";
    (append_part(text, parts), ...);
    return text;
}

template <class Error>
[[noreturn]] static RECKON_NOINLINE void raise(const std::string& text) {
#if RECKON_HAS_EXCEPTIONS
    throw Error(text);
#else
    std::fputs(text.c_str(), stderr);
    std::fputc('\n', stderr);
    std::abort();
#endif
}

}  // namespace detail

/// Checks an O(1) precondition of a kernel.
///
/// Throws    std::invalid_argument "kernel: parts..." when `ok` is false. Without exceptions the sentence goes to
///           stderr and the program aborts.
template <class... Parts>
RECKON_INLINE void expects(bool ok, const char* kernel, const Parts&... parts) {
    if (!ok) [[unlikely]] {
        detail::raise<std::invalid_argument>(detail::sentence(kernel, parts...));
    }
}

/// Checks bytes that come from outside.
///
/// Throws    std::runtime_error "what: parts..." when `ok` is false. Without exceptions as in expects().
template <class... Parts>
RECKON_INLINE void expects_bytes(bool ok, const char* what, const Parts&... parts) {
    if (!ok) [[unlikely]] {
        detail::raise<std::runtime_error>(detail::sentence(what, parts...));
    }
}

}  // namespace reckon
