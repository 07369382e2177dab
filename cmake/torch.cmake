# The torch package as imported targets: torch::c10, torch::cpu (ATen and autograd), torch::python, and torch::cuda when
# it is a CUDA build. find_package(Torch) is no help: for a CUDA build of torch it insists on a CUDA toolkit.
#
# In:   PYHOOKS_TORCH_ROOT   folder of the torch package
# Also shipped, for pyhooksConfig.cmake.

function(pyhooks_torch_library name file)
  if(TARGET torch::${name} OR NOT EXISTS "${PYHOOKS_TORCH_ROOT}/lib/${file}")
    return()
  endif()
  add_library(torch::${name} SHARED IMPORTED)
  set_target_properties(torch::${name} PROPERTIES
    IMPORTED_LOCATION "${PYHOOKS_TORCH_ROOT}/lib/${file}"
    IMPORTED_NO_SONAME OFF)
  # Headers of an imported target count as system headers: their warnings are not ours.
  target_include_directories(torch::${name} INTERFACE
    "${PYHOOKS_TORCH_ROOT}/include"
    "${PYHOOKS_TORCH_ROOT}/include/torch/csrc/api/include")
  target_compile_features(torch::${name} INTERFACE cxx_std_20)  # what torch itself is compiled with
  target_link_libraries(torch::${name} INTERFACE ${ARGN})
endfunction()

pyhooks_torch_library(c10 libc10.so)
pyhooks_torch_library(cpu libtorch_cpu.so torch::c10)
pyhooks_torch_library(torch libtorch.so torch::cpu)
pyhooks_torch_library(python libtorch_python.so torch::torch)
pyhooks_torch_library(c10_cuda libc10_cuda.so torch::c10)
pyhooks_torch_library(cuda libtorch_cuda.so torch::c10_cuda torch::cpu)
