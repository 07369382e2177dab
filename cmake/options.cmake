# What a builder may choose, and the flags of all our own sources (target pyhooks_flags).

option(PYHOOKS_BUILD_PYTHON "Build the Python module pyhooks._C" ON)
option(PYHOOKS_BUILD_TESTS "Build the C++ tests" OFF)
option(PYHOOKS_BUILD_BENCHMARKS "Build the benchmarks' C++ parts (target pyhooks_bench); needs PYHOOKS_BUILD_PYTHON" OFF)
option(PYHOOKS_EDITABLE "Build for use from this source tree: libraries also remember where torch is" OFF)
option(PYHOOKS_WERROR "Treat our own warnings as errors" OFF)
set(PYHOOKS_SANITIZE "" CACHE STRING "Sanitizers for everything of ours: address,undefined or thread")
set(PYHOOKS_CUDA AUTO CACHE STRING "CUDA kernels: ON, OFF, or AUTO (if torch is a CUDA build and nvcc is there)")
set_property(CACHE PYHOOKS_CUDA PROPERTY STRINGS AUTO ON OFF)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)  # -O3 -DNDEBUG
endif()

find_program(PYHOOKS_CCACHE ccache)
if(PYHOOKS_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${PYHOOKS_CCACHE}")
endif()

add_library(pyhooks_flags INTERFACE)
target_compile_options(pyhooks_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 sees an overflow in the atomic counter of torch's intrusive_ptr where there is none.
  target_compile_options(pyhooks_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-stringop-overflow>)
endif()
if(PYHOOKS_WERROR)
  target_compile_options(pyhooks_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(PYHOOKS_SANITIZE)
  set(sanitize -fsanitize=${PYHOOKS_SANITIZE} -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Instrumented, an empty std::optional looks uninitialized to GCC. And ThreadSanitizer does not model fences, of
    # which GCC warns; snapshot.h's need no model, since all that it reads and writes is atomic.
    list(APPEND sanitize -Wno-maybe-uninitialized -Wno-tsan)
  endif()
  target_compile_options(pyhooks_flags INTERFACE ${sanitize} -fno-sanitize-recover=all -O1 -g)
  target_link_options(pyhooks_flags INTERFACE ${sanitize})
else()
  target_link_options(pyhooks_flags INTERFACE -Wl,--as-needed)
endif()
