#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_clamp_max.h>
#include <ATen/ops/_foreach_clamp_min.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/add.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/reciprocal.h>

#include <vector>

#include "pyhooks/norm.h"

namespace pyhooks {

/// Scales `grads` in place so that their total 2-norm is at most `max_norm`: the operations of
/// torch.nn.utils.clip_grad_norm_, in its order, so the result has the same bits. All on one device.
/// Returns the total norm before clipping, 0-d.
inline at::Tensor clip_grad_norm(const std::vector<at::Tensor>& grads, double max_norm) {
  at::Tensor total = total_norm(grads, 2.0);
  // Python's `max_norm / tensor` is reciprocal then multiply; a division would differ in the last bit.
  at::Tensor scale = at::clamp(at::mul(at::reciprocal(at::add(total, 1e-6)), max_norm), std::nullopt, 1.0);
  at::_foreach_mul_(grads, scale);
  return total;
}

/// Clamps `grads` in place to [-max_value, max_value]: torch.nn.utils.clip_grad_value_.
inline void clip_grad_value(const std::vector<at::Tensor>& grads, double max_value) {
  at::_foreach_clamp_min_(grads, -max_value);
  at::_foreach_clamp_max_(grads, max_value);
}

}  // namespace pyhooks
