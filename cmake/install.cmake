# Install rules: headers, CMake package, pkg-config file.
if(NOT RECKON_INSTALL)
    return()
endif()
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/reckon")
set(pkgconfig_dir "${CMAKE_INSTALL_DATADIR}/pkgconfig")

install(TARGETS reckon EXPORT reckonTargets
    FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILE_SET device_headers DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT reckonTargets NAMESPACE reckon:: DESTINATION "${package_dir}")

configure_package_config_file(cmake/reckonConfig.cmake.in "${PROJECT_BINARY_DIR}/reckonConfig.cmake"
    INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/reckonConfigVersion.cmake"
    COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES
        "${PROJECT_BINARY_DIR}/reckonConfig.cmake"
        "${PROJECT_BINARY_DIR}/reckonConfigVersion.cmake"
        cmake/reckon-dependencies.cmake
    DESTINATION "${package_dir}")

# The prefix is written relative to the file, so that the installed tree can be moved.
file(RELATIVE_PATH up_to_prefix "/prefix/${pkgconfig_dir}" "/prefix")
string(REGEX REPLACE "/$" "" up_to_prefix "${up_to_prefix}")
set(RECKON_PC_PREFIX "\${pcfiledir}/${up_to_prefix}")
set(RECKON_PC_XSIMD "")
if(NOT RECKON_XSIMD_INCLUDE_DIR IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
    set(RECKON_PC_XSIMD " -I${RECKON_XSIMD_INCLUDE_DIR}")
endif()
configure_file(cmake/reckon.pc.in "${PROJECT_BINARY_DIR}/reckon.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/reckon.pc" DESTINATION "${pkgconfig_dir}")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
