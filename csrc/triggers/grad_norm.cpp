#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/item.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include "triggers/names.h"

namespace pyhooks::triggers {

double grad_norm(BatchContext& context) {
  std::vector<at::Tensor> grads;
  for (std::size_t i = 0; i < context.num_params(); ++i)
    if (context.grad(i).defined()) grads.push_back(context.grad(i));
  if (grads.empty()) return 0;
  return at::linalg_vector_norm(at::stack(at::_foreach_norm(grads, 2.0)), 2.0).item().toDouble();
}

}  // namespace pyhooks::triggers
