# Decides PYHOOKS_WITH_CUDA and enables the language, once there are CUDA sources. What counts is a compiler, never a
# GPU: wheels are built on machines without one.

set(PYHOOKS_WITH_CUDA OFF)
if(PYHOOKS_CUDA STREQUAL "AUTO")
  find_program(PYHOOKS_NVCC nvcc HINTS ENV CUDA_HOME PATH_SUFFIXES bin)
  set(wanted OFF)
  if(PYHOOKS_TORCH_CUDA AND (PYHOOKS_NVCC OR CMAKE_CUDA_COMPILER))
    set(wanted ON)
  endif()
else()
  set(wanted ${PYHOOKS_CUDA})
endif()

if(wanted AND NOT PYHOOKS_TORCH_CUDA)
  message(FATAL_ERROR
    "PYHOOKS_CUDA is on, but torch ${PYHOOKS_TORCH_VERSION} in ${PYHOOKS_TORCH_ROOT} is a CPU build. "
    "Install a CUDA build of torch, or build with PYHOOKS_CUDA=0.")
endif()

if(wanted AND PYHOOKS_CUDA_SOURCES)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES all-major)
  endif()
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION AND CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 12)
    # CMake 3.25.1, Debian 12's, does not know yet that nvcc has it.
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
  endif()
  find_package(CUDAToolkit REQUIRED)
  set(PYHOOKS_WITH_CUDA ON)
endif()
message(STATUS "CUDA: ${PYHOOKS_WITH_CUDA} (asked for: ${PYHOOKS_CUDA}; torch's: ${PYHOOKS_TORCH_CUDA})")
