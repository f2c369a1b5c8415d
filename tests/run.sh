#!/bin/sh
# Installs what is missing, builds the tests and the examples, and runs the tests.
#
#   sh tests/run.sh [arguments for ctest]
#
# Environment: BUILD_DIR (default build/tests), CXX, JOBS, RECKON_WERROR (default OFF), RECKON_MARCH (default native).
set -eu
cd "$(dirname "$0")/.."
. cmake/setup.sh
build=${BUILD_DIR:-build/tests}

say "looking for what the tests need"
install_missing program:"${CXX:-g++}":"${CXX:-g++}" program:cmake:cmake program:ninja:ninja-build \
    program:python3:python3 program:pkg-config:pkg-config program:objdump:binutils \
    header:xsimd/xsimd.hpp:libxsimd-dev header:eigen3/Eigen/Core:libeigen3-dev header:doctest/doctest.h:doctest-dev
find_cmake "$PWD/build/cmake"

say "configuring in $build"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DRECKON_MARCH="${RECKON_MARCH-native}" -DRECKON_WERROR="${RECKON_WERROR:-OFF}" \
    -DRECKON_BUILD_TESTS=ON -DRECKON_BUILD_EXAMPLES=ON -DRECKON_BUILD_BENCHMARKS=OFF

say "building"
cmake --build "$build" -j "${JOBS:-$(core_count)}"

say "testing"
ctest --test-dir "$build" --output-on-failure --no-tests=error -j "${JOBS:-$(core_count)}" "$@"
