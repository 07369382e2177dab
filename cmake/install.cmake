# Where things go, below the Python package's own folder (the prefix): lib/, include/, share/cmake/pyhooks/, and _C
# beside the Python files.

set(near_torch "$ORIGIN/../../torch/lib")  # from site-packages/pyhooks/lib
set(near_torch_module "$ORIGIN/../torch/lib")  # from site-packages/pyhooks
set(PYHOOKS_CONFIG_TORCH_ROOT "")
if(PYHOOKS_EDITABLE)
  list(APPEND near_torch "${PYHOOKS_TORCH_ROOT}/lib")
  list(APPEND near_torch_module "${PYHOOKS_TORCH_ROOT}/lib")
  set(PYHOOKS_CONFIG_TORCH_ROOT "${PYHOOKS_TORCH_ROOT}")
endif()

set_target_properties(pyhooks PROPERTIES INSTALL_RPATH "$ORIGIN;${near_torch}")
install(TARGETS pyhooks pyhooks_headers EXPORT pyhooksTargets LIBRARY DESTINATION lib INCLUDES DESTINATION include)
install(DIRECTORY csrc/include/pyhooks DESTINATION include FILES_MATCHING PATTERN "*.h" PATTERN "*.def")

set(config_dir share/cmake/pyhooks)
install(EXPORT pyhooksTargets NAMESPACE pyhooks:: DESTINATION ${config_dir})
include(CMakePackageConfigHelpers)
configure_package_config_file(cmake/pyhooksConfig.cmake.in "${PROJECT_BINARY_DIR}/pyhooksConfig.cmake"
  INSTALL_DESTINATION ${config_dir} NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/pyhooksConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/pyhooksConfig.cmake"
  "${PROJECT_BINARY_DIR}/pyhooksConfigVersion.cmake"
  cmake/add_plugin.cmake
  cmake/torch.cmake
  DESTINATION ${config_dir})

if(PYHOOKS_BUILD_PYTHON)
  set_target_properties(_C PROPERTIES INSTALL_RPATH "$ORIGIN/lib;${near_torch_module}")
  install(TARGETS _C LIBRARY DESTINATION .)
  install(FILES "${PROJECT_BINARY_DIR}/_build_info.py" DESTINATION .)
endif()
