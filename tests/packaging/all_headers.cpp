// Every header in one file.
#include "every_header.hpp"

int main() {
    return 0;
}
