#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include <vector>

#include "pyhooks/context.h"

namespace pyhooks {

/// The p-norm of each tensor, 1-D: at least one tensor, all on one device.
inline at::Tensor each_norm(const std::vector<at::Tensor>& tensors, double p) {
  return at::stack(at::_foreach_norm(tensors, p));
}

/// The p-norm of all tensors as one vector, 0-d: the operations of torch.nn.utils.get_total_norm, in its order.
inline at::Tensor total_norm(const std::vector<at::Tensor>& tensors, double p) {
  return at::linalg_vector_norm(each_norm(tensors, p), p);
}

/// Fills `grads` with the gradients that there are.
inline void defined_grads(BatchContext& ctx, std::vector<at::Tensor>& grads) {
  grads.clear();
  for (std::size_t i = 0; i < ctx.num_params(); ++i)
    if (ctx.grad(i).defined()) grads.push_back(ctx.grad(i));
}

}  // namespace pyhooks
