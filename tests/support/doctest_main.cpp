// The main function of every test program: runs doctest, prints what ran, and fails below a floor kept in the tree.
//
// A test that silently stops being compiled or run is as bad as a failing one. With --check-floor=<name> the numbers of
// test cases and assertions that ran must reach those in tests/floors.txt.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

namespace {

int cases_run = 0;
long assertions_run = 0;

struct counter : doctest::IReporter {
    explicit counter(const doctest::ContextOptions&) {}
    void test_run_end(const doctest::TestRunStats& stats) override {
        cases_run = static_cast<int>(stats.numTestCasesPassingFilters);
        assertions_run = stats.numAsserts;
    }
    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_case_start(const doctest::TestCaseData&) override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_end(const doctest::CurrentTestCaseStats&) override {}
    void test_case_exception(const doctest::TestCaseException&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData&) override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("counter", 1, counter);

bool reaches_floor(const std::string& name) {
    std::ifstream file(RECKON_TEST_FLOORS);
    for (std::string line; std::getline(file, line);) {
        std::istringstream fields(line);
        std::string key;
        int least_cases = 0;
        long least_assertions = 0;
        if (!(fields >> key) || key != name) continue;
        if (!(fields >> least_cases >> least_assertions)) break;
        std::printf("%s: %d test cases (floor %d), %ld assertions (floor %ld)\n", name.c_str(), cases_run, least_cases,
                    assertions_run, least_assertions);
        return cases_run >= least_cases && assertions_run >= least_assertions;
    }
    std::printf("%s: %d test cases, %ld assertions, and no line '%s <cases> <assertions>' in " RECKON_TEST_FLOORS "\n",
                name.c_str(), cases_run, assertions_run, name.c_str());
    return false;
}

}  // namespace

int main(int argc, char** argv) {
    const char* const option = "--check-floor=";
    std::string floor_name;
    for (int i = 1; i < argc; ++i) {
        if (std::strncmp(argv[i], option, std::strlen(option)) == 0) floor_name = argv[i] + std::strlen(option);
    }
    doctest::Context context(argc, argv);
    const int result = context.run();
    if (context.shouldExit() || result != 0 || floor_name.empty()) return result;
    if (reaches_floor(floor_name)) return 0;
    std::printf("%s: fewer checks ran than the floor allows\n", floor_name.c_str());
    return 1;
}
