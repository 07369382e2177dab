# pyhooks_add_plugin(<name> [TORCH] <source>...): a target that builds lib<name>.so, to be loaded with
# pyhooks.load_plugin. It links against nothing of pyhooks.
#
#   TORCH   the sources include torch's headers: compile and link with the torch that pyhooks was built for
#
# Shipped, for pyhooksConfig.cmake.

function(pyhooks_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 plugin "TORCH" "" "")
  add_library(${name} MODULE ${plugin_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE pyhooks::headers)
  set_target_properties(${name} PROPERTIES
    PREFIX lib
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden  # two plugins' classes of one name must not meet
    VISIBILITY_INLINES_HIDDEN ON)
  if(plugin_TORCH)
    if(NOT EXISTS "${PYHOOKS_TORCH_ROOT}/lib/libtorch_cpu.so")
      message(FATAL_ERROR "pyhooks_add_plugin(${name} TORCH ...): no torch found. Set PYHOOKS_TORCH_ROOT to torch's folder.")
    endif()
    target_link_libraries(${name} PRIVATE torch::cpu torch::c10)
  endif()
endfunction()
