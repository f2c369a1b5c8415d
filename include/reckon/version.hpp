// The one place where the version of reckon is written; CMake reads it from here.
#pragma once

#define RECKON_VERSION_MAJOR 0
#define RECKON_VERSION_MINOR 1
#define RECKON_VERSION_PATCH 0

/// Version of the library as one comparable number: major * 10000 + minor * 100 + patch.
#define RECKON_VERSION (RECKON_VERSION_MAJOR * 10000 + RECKON_VERSION_MINOR * 100 + RECKON_VERSION_PATCH)
