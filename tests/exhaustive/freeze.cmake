# Freezes calibrators, compiles the headers alone with several compilers and flags, and compares their results with the
# library's. The first compiler also compiles without optimisation.
#
#   cmake -DPROGRAM=... -DFOLDER=... "-DCOMPILERS=g++;clang++" [-DARGS=--full] -P freeze.cmake
file(REMOVE_RECURSE "${FOLDER}")
file(MAKE_DIRECTORY "${FOLDER}")
execute_process(COMMAND "${PROGRAM}" --write "${FOLDER}" COMMAND_ERROR_IS_FATAL ANY)

set(slow_flags -O0)
set(plain_flags -O2)
set(fused_flags -O3 -march=native -ffp-contract=fast)
foreach(compiler IN LISTS COMPILERS)
    get_filename_component(name "${compiler}" NAME)
    set(kinds plain fused)
    if(NOT slow)
        list(PREPEND kinds slow)
    endif()
    foreach(kind IN LISTS kinds)
        set(library "${FOLDER}/${name}-${kind}.so")
        execute_process(
            COMMAND "${compiler}" -std=c++17 ${${kind}_flags} -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
                -shared -fPIC "${FOLDER}/all.cpp" -o "${library}"
            COMMAND_ERROR_IS_FATAL ANY)
        list(APPEND ${kind} "${library}")
    endforeach()
endforeach()

separate_arguments(ARGS)
execute_process(COMMAND "${PROGRAM}" --compare ${fused} ${ARGS} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
# Without the instruction std::fma is a call of some 50 ns.
execute_process(COMMAND "${PROGRAM}" --compare ${slow} ${plain} --part 64 COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
