# reckon_own: what tests, examples and benchmarks of this tree compile with. Never exported.
add_library(reckon_own INTERFACE)
target_link_libraries(reckon_own INTERFACE reckon::reckon)
if(TARGET reckon::eigen)
    target_link_libraries(reckon_own INTERFACE reckon::eigen)
endif()

set(reckon_warnings -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 sees overlapping copies in the concatenation of strings (GCC bug 105651).
    list(APPEND reckon_warnings -Wno-restrict)
endif()
if(RECKON_WERROR)
    list(APPEND reckon_warnings -Werror)
endif()
target_compile_options(reckon_own INTERFACE ${reckon_warnings})

if(RECKON_MARCH)
    target_compile_options(reckon_own INTERFACE "-march=${RECKON_MARCH}")
endif()
if(RECKON_SANITIZE)
    list(JOIN RECKON_SANITIZE "," sanitizers)
    target_compile_options(reckon_own INTERFACE
        "-fsanitize=${sanitizers}" -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(reckon_own INTERFACE "-fsanitize=${sanitizers}")
    target_compile_definitions(reckon_own INTERFACE _GLIBCXX_ASSERTIONS)
endif()

find_package(Threads REQUIRED)
target_link_libraries(reckon_own INTERFACE Threads::Threads)

# Programs find data by these macros; a folder may be absent.
target_compile_definitions(reckon_own INTERFACE
    "RECKON_FIXTURE_DIR=\"${PROJECT_SOURCE_DIR}/tests/fixtures\""
    "RECKON_DATA_DIR=\"${RECKON_DATA_DIR}\"")
