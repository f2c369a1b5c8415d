# Finds xsimd (needed) and Eigen (only for <reckon/eigen.hpp>). Shared by the source tree and the installed package.
#
# The targets are made from include directories. The packages' own CMake files are not used: that of xsimd 8.1 in
# Debian 12 links a library that does not exist.

find_path(RECKON_XSIMD_INCLUDE_DIR xsimd/xsimd.hpp DOC "Folder that holds xsimd/xsimd.hpp")
find_path(RECKON_EIGEN_INCLUDE_DIR Eigen/Core PATH_SUFFIXES eigen3 DOC "Folder that holds Eigen/Core")
mark_as_advanced(RECKON_XSIMD_INCLUDE_DIR RECKON_EIGEN_INCLUDE_DIR)

set(reckon_xsimd_message
    "reckon needs the headers of xsimd (8.1 or newer), but xsimd/xsimd.hpp is not in '${RECKON_XSIMD_INCLUDE_DIR}'. \
Install them (Debian and Ubuntu: libxsimd-dev) or set RECKON_XSIMD_INCLUDE_DIR to the folder that holds xsimd/xsimd.hpp.")

if(NOT TARGET reckon::xsimd AND EXISTS "${RECKON_XSIMD_INCLUDE_DIR}/xsimd/xsimd.hpp")
    add_library(reckon::xsimd INTERFACE IMPORTED ${reckon_dependency_scope})
    target_include_directories(reckon::xsimd INTERFACE "${RECKON_XSIMD_INCLUDE_DIR}")
endif()
if(NOT TARGET reckon::eigen_headers AND EXISTS "${RECKON_EIGEN_INCLUDE_DIR}/Eigen/Core")
    add_library(reckon::eigen_headers INTERFACE IMPORTED ${reckon_dependency_scope})
    target_include_directories(reckon::eigen_headers INTERFACE "${RECKON_EIGEN_INCLUDE_DIR}")
endif()
