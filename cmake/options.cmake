# Options of the build. None of them changes what reckon::reckon asks of its users.
option(RECKON_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(RECKON_BUILD_EXAMPLES "Build the examples" ${PROJECT_IS_TOP_LEVEL})
option(RECKON_BUILD_BENCHMARKS "Build the benchmarks" ${PROJECT_IS_TOP_LEVEL})
option(RECKON_BUILD_DOCS "Add the target `docs` (needs Doxygen)" ${PROJECT_IS_TOP_LEVEL})
option(RECKON_INSTALL "Add the install rules" ${PROJECT_IS_TOP_LEVEL})
# Hides that a test does not include what it uses of these.
option(RECKON_PRECOMPILE "Precompile the standard library, doctest and xsimd for the tests" OFF)
option(RECKON_WERROR "Treat warnings in our own programs as errors" OFF)

set(RECKON_MARCH "" CACHE STRING "Instruction set of our own programs: native, x86-64-v3, ... (empty: compiler's default)")
set(RECKON_SANITIZE "" CACHE STRING "Sanitizers of our own programs: address;undefined or thread")
set(RECKON_DATA_DIR "${PROJECT_SOURCE_DIR}/../shared/data" CACHE PATH "Folder of the real data sets that examples and tests may read")

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
