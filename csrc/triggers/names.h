#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyhooks/context.h"

namespace pyhooks::triggers {

/// The names that mean something without anybody logging them.
enum class BuiltIn : std::uint8_t {
  loss,
  lr,
  grad_norm,
  step,
  epoch,
  epochs,
  batch,
  batches,
  samples,
  samples_seen,
  seconds,
};

std::optional<BuiltIn> find_built_in(std::string_view name);
std::vector<std::string> built_in_names();

/// A name's value at on_backward_end.
double read(BuiltIn name, BatchContext& context);

/// The total 2-norm of the gradients that there are, as torch.nn.utils.clip_grad_norm_ computes it; 0 if there are none.
double grad_norm(BatchContext& context);

}  // namespace pyhooks::triggers
