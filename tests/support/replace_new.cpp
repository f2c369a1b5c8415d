// Linked into every test program, so that its checks can count allocations and make them fail.
#define RECKON_TESTING_REPLACE_NEW
#include "reckon/testing/allocation.hpp"
