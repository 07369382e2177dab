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

/// The total 2-norm of the gradients that there are, as torch.nn.utils.clip_grad_norm_ computes it; 0 if there are none.
double grad_norm(BatchContext& context);
/// The same, taken over from whoever has logged "grad_norm" for this batch, if somebody has.
double logged_or_computed_grad_norm(BatchContext& context);

/// A name's value at on_backward_end. Inline: this runs every batch.
inline double read(BuiltIn name, BatchContext& context) {
  switch (name) {
    case BuiltIn::loss:
      return context.loss();
    case BuiltIn::lr:
      return context.lr();
    case BuiltIn::grad_norm:
      return logged_or_computed_grad_norm(context);
    case BuiltIn::seconds:
      return context.seconds();
    case BuiltIn::step:
      return static_cast<double>(context.global_step());
    case BuiltIn::epoch:
      return static_cast<double>(context.epoch());
    case BuiltIn::epochs:
      return static_cast<double>(context.epochs());
    case BuiltIn::batch:
      return static_cast<double>(context.batch());
    case BuiltIn::batches:
      return static_cast<double>(context.batches());
    case BuiltIn::samples:
      return static_cast<double>(context.samples());
    case BuiltIn::samples_seen:
      return static_cast<double>(context.samples_seen());
  }
  return 0;
}

}  // namespace pyhooks::triggers
