// Without exceptions and RTTI every header compiles, and a refused argument ends the program with a sentence.
#include <csignal>
#include <cstdlib>

#include "every_header.hpp"

int main() {
    std::signal(SIGABRT, [](int) { std::_Exit(0); });
    reckon::expects(false, "no_exceptions", "the value is ", 7);
    return 1;
}
