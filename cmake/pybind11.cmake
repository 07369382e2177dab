# The target pyhooks_pybind11: pybind11's headers, of the same "internals" version as those torch was compiled with. Two
# modules see each other's Python types (torch's Generator, dtype, ...) only if these agree. pip's pybind11 is taken if
# it agrees (3.0 does with torch 2.13); else the copy that torch ships (torch 2.14 has a newer one).

function(pyhooks_internals_version include result)
  set(line_start "^# *define PYBIND11_INTERNALS_VERSION ")
  file(STRINGS "${include}/pybind11/detail/internals.h" line REGEX "${line_start}[0-9]+")
  string(REGEX REPLACE "${line_start}([0-9]+).*" "\\1" version "${line}")
  set(${result} "${version}" PARENT_SCOPE)
endfunction()

set(bundled "${PYHOOKS_TORCH_ROOT}/include")
pyhooks_internals_version("${bundled}" torch_internals)
if(NOT torch_internals)
  message(FATAL_ERROR "torch ${PYHOOKS_TORCH_VERSION} in ${PYHOOKS_TORCH_ROOT} has no pybind11 headers: pyhooks needs an "
    "official wheel of torch.")
endif()

execute_process(
  COMMAND "${Python_EXECUTABLE}" -c "import pybind11; print(pybind11.get_include(), end='')"
  OUTPUT_VARIABLE from_pip RESULT_VARIABLE missing ERROR_QUIET)
if(NOT missing)
  pyhooks_internals_version("${from_pip}" pip_internals)
endif()

add_library(pyhooks_pybind11 INTERFACE)
if(NOT missing AND pip_internals STREQUAL torch_internals)
  set(chosen "${from_pip}")
else()
  set(chosen "${bundled}")
endif()
target_include_directories(pyhooks_pybind11 SYSTEM INTERFACE "${chosen}")
message(STATUS "pybind11 (internals version ${torch_internals}) in ${chosen}")
