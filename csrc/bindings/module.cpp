#include <pybind11/pybind11.h>

#include "bindings/bindings.h"
#include "pyhooks/version.h"

PYBIND11_MODULE(_C, module) {
  module.doc() = "The compiled core of pyhooks.";
  module.attr("ABI_VERSION") = PYHOOKS_ABI_VERSION;
  bind_callbacks(module);
  bind_c_callback(module);
  bind_plugins(module);
  bind_taps(module);
  bind_plan(module);
  bind_engines(module);
  bind_optimizers(module);
  bind_data(module);
  bind_loop(module);
}
