// The skeleton of docs/adding-a-kernel.md compiles and runs.
#include "../../docs/skeleton/huber_bench.cpp"  // NOLINT(bugprone-suspicious-include)
