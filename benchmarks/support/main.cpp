// The main program of every benchmark: puts the measured machine into the context, then runs.
#include <benchmark/benchmark.h>

#include <vector>

#include "machine.hpp"

namespace {

/// Google Benchmark prints every time-based counter with "/s" or "s" behind it, wrong for ns/item and for a fraction.
class reporter : public benchmark::ConsoleReporter {
  public:
    reporter() : ConsoleReporter(OO_Tabular) {}

    void ReportRuns(const std::vector<Run>& runs) override {
        std::vector<Run> plain = runs;
        for (Run& run : plain) {
            for (const char* name : {"ns/item", "limit"}) {
                const auto counter = run.counters.find(name);
                if (counter != run.counters.end()) counter->second.flags = benchmark::Counter::kDefaults;
            }
        }
        ConsoleReporter::ReportRuns(plain);
    }
};

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    benchmark::AddCustomContext("machine", reckon::bench::this_machine().line());
    reporter display;
    benchmark::RunSpecifiedBenchmarks(&display);
    benchmark::Shutdown();
    return 0;
}
