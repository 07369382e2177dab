// pyhooks::see and pyhooks::replace: a tensor on its way to a tensor hook, as graph operations.
//
// Both have kernels of their own for tensors without numbers (Meta), by which a trace learns their results, and so are
// never run while a step is captured. The gradient of `replace` is in pyhooks/taps.py: only eager code asks for it.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include "core/tap.h"

namespace pyhooks {

namespace {

void see(const at::Tensor& x, std::int64_t site) { see_at(site, x); }
void see_nothing(const at::Tensor&, std::int64_t) {}

at::Tensor replace(const at::Tensor& x, std::int64_t site, bool again) { return replace_at(site, x, again); }
at::Tensor replace_nothing(const at::Tensor& x, std::int64_t, bool) { return at::empty_like(x); }

}  // namespace

TORCH_LIBRARY_FRAGMENT(pyhooks, library) {
  library.def("see(Tensor x, int site) -> ()");
  // The tag: the hook may draw from the default generator.
  library.def("replace(Tensor x, int site, bool again) -> Tensor", {at::Tag::nondeterministic_seeded});
}

TORCH_LIBRARY_IMPL(pyhooks, CompositeExplicitAutograd, library) {
  library.impl("see", see);
  library.impl("replace", replace);
}

TORCH_LIBRARY_IMPL(pyhooks, Meta, library) {
  library.impl("see", see_nothing);
  library.impl("replace", replace_nothing);
}

// Looking has no gradient.
TORCH_LIBRARY_IMPL(pyhooks, Autograd, library) { library.impl("see", torch::CppFunction::makeFallthrough()); }

}  // namespace pyhooks
