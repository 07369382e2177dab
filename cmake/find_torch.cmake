# Which torch to build against: PYHOOKS_TORCH_ROOT if given, else the one of ${Python_EXECUTABLE}'s environment.
#
# Out:  PYHOOKS_TORCH_ROOT, PYHOOKS_TORCH_VERSION, PYHOOKS_TORCH_CUDA ("" for a CPU build)

execute_process(
  COMMAND "${Python_EXECUTABLE}" "${CMAKE_CURRENT_LIST_DIR}/locate_torch.py" ${PYHOOKS_TORCH_ROOT}
  OUTPUT_VARIABLE pyhooks_torch ERROR_VARIABLE pyhooks_torch_error RESULT_VARIABLE pyhooks_torch_failed)
if(pyhooks_torch_failed)
  message(FATAL_ERROR "${pyhooks_torch_error}")
endif()
list(GET pyhooks_torch 0 PYHOOKS_TORCH_ROOT)
list(GET pyhooks_torch 1 PYHOOKS_TORCH_VERSION)
list(GET pyhooks_torch 2 PYHOOKS_TORCH_CUDA)
message(STATUS "torch ${PYHOOKS_TORCH_VERSION} in ${PYHOOKS_TORCH_ROOT}")
