#!/bin/sh
# Installs what is missing, builds the examples, fetches public data, and runs the main example on it.
#
#   sh examples/run.sh [arguments for calibrate_ctr]
#
# With arguments nothing is fetched. Without a network the example works on simulated clicks, and says so.
#
# Environment: BUILD_DIR (default build/examples), RECKON_DATA_DIR (a folder with data; none is fetched then), CXX, JOBS, RECKON_MARCH (default native).
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

if [ $# -eq 0 ]; then
    if [ -z "${RECKON_DATA_DIR:-}" ]; then
        say "fetching public data into ./data"
        if sh examples/get_data.sh --quiet >"$build/get_data.log" 2>&1; then
            echo "done"
        else
            echo "not possible, $build/get_data.log says why"
        fi
    fi
    set -- --dataset any --blind --out "$build/pictures"
fi

say "running calibrate_ctr $*"
exec "$build/examples/calibrate_ctr" "$@"
