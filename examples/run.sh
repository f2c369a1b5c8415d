#!/bin/sh
# Installs what is missing, builds the examples, and runs the main one.
#
#   sh examples/run.sh [arguments for calibrate_ctr]
#
# Environment: BUILD_DIR (default build/examples), CXX, JOBS, RECKON_MARCH (default native).
set -eu
cd "$(dirname "$0")/.."
. cmake/setup.sh
build=${BUILD_DIR:-build/examples}

say "looking for what the examples need"
install_missing program:"${CXX:-g++}":"${CXX:-g++}" program:cmake:cmake program:ninja:ninja-build \
    header:xsimd/xsimd.hpp:libxsimd-dev header:eigen3/Eigen/Core:libeigen3-dev
find_cmake "$PWD/build/cmake"

say "configuring in $build"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DRECKON_MARCH="${RECKON_MARCH-native}" \
    -DRECKON_BUILD_TESTS=OFF -DRECKON_BUILD_EXAMPLES=ON -DRECKON_BUILD_BENCHMARKS=OFF -DRECKON_BUILD_DOCS=OFF

say "building"
cmake --build "$build" -j "${JOBS:-$(core_count)}"

say "running calibrate_ctr"
[ -x "$build/examples/calibrate_ctr" ] || fail "examples/calibrate_ctr.cpp is not in this tree"
exec "$build/examples/calibrate_ctr" "$@"
