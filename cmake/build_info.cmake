# Writes _build_info.py: what this build was made with, for pyhooks/_build_check.py and bug reports.

set(commit None)
find_package(Git QUIET)
if(Git_FOUND)
  execute_process(
    COMMAND "${GIT_EXECUTABLE}" -C "${PROJECT_SOURCE_DIR}" describe --always --dirty --abbrev=12 --exclude=*
    OUTPUT_VARIABLE described RESULT_VARIABLE failed OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT failed)
    set(commit "\"${described}\"")
  endif()
endif()

set(cuda None)
if(PYHOOKS_WITH_CUDA)
  set(cuda "\"${CMAKE_CUDA_COMPILER_VERSION}\"")
endif()

configure_file("${CMAKE_CURRENT_LIST_DIR}/_build_info.py.in" "${PROJECT_BINARY_DIR}/_build_info.py" @ONLY)
