// How far resident memory rises above its level, as Linux counts it.
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <limits>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace reckon_examples {

/// Resident memory at its highest since the object was made, less what was resident then. Memory that is mapped but was
/// never touched does not count, so touch inputs and outputs first.
///
///     const peak_memory peak;
///     work();
///     std::printf("%.1f MiB\n", peak.mebibytes());  // NaN where the system does not tell
class peak_memory {
  public:
    /// Sanitizers keep memory of their own, in proportion to the program's.
    static constexpr bool sanitized =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
        true;
#else
        false;
#endif
#else
        false;
#endif

    peak_memory() {
#if defined(__GLIBC__)
        malloc_trim(0);  // what the allocator keeps would be used again without being seen
#endif
        // The highest level so far becomes the present one. Where that is refused the figure is too high, not too low.
        if (std::FILE* reset = std::fopen("/proc/self/clear_refs", "w")) {
            std::fputs("5", reset);
            std::fclose(reset);
        }
        before_ = kibibytes("VmRSS:");
    }

    double mebibytes() const {
        return (kibibytes("VmHWM:") - before_) / 1024;
    }

  private:
    static double kibibytes(const char* key) {
        double value = std::numeric_limits<double>::quiet_NaN();
        std::FILE* status = std::fopen("/proc/self/status", "r");
        if (!status) return value;
        char line[256];
        while (std::fgets(line, sizeof line, status)) {
            if (std::strncmp(line, key, std::strlen(key)) == 0) std::sscanf(line + std::strlen(key), "%lf", &value);
        }
        std::fclose(status);
        return value;
    }

    double before_;
};

}  // namespace reckon_examples
