// The skeleton of docs/adding-a-kernel.md compiles and passes its own tests.
#include "docs/skeleton/huber_test.cpp"  // NOLINT(bugprone-suspicious-include)
