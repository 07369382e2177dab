// pyhooks::get_rng and pyhooks::set_rng: reading and rewinding the default CPU generator as graph operations, which
// activation checkpointing needs to draw the same dropout masks in its recomputation.
#include <ATen/CPUGeneratorImpl.h>
#include <torch/library.h>

#include <mutex>

namespace pyhooks {

namespace {

at::Tensor get_rng() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

void set_rng(const at::Tensor& state) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
}

}  // namespace

TORCH_LIBRARY(pyhooks, library) {
  library.def("get_rng() -> Tensor");
  library.def("set_rng(Tensor state) -> ()");
}

// Not a plain def with a function: that would make it a composite, which can have no fake kernel.
TORCH_LIBRARY_IMPL(pyhooks, CompositeExplicitAutograd, library) { library.impl("get_rng", get_rng); }
TORCH_LIBRARY_IMPL(pyhooks, CPU, library) { library.impl("set_rng", set_rng); }

}  // namespace pyhooks
