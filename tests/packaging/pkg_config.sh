#!/bin/sh
# Builds and runs consumer.cpp with a plain compiler line: pkg_config.sh <c++> <prefix> <source> <program>
set -eu
flags=$(PKG_CONFIG_PATH="$2/share/pkgconfig" pkg-config --cflags 'reckon >= 0.1')
# shellcheck disable=SC2086
"$1" -std=c++20 $flags "$3" -o "$4"
"$4"
