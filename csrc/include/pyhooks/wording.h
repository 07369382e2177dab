#pragma once

#include <string>

#include "pyhooks/context.h"

namespace pyhooks {

/// "at batch 17 of epoch 2 (step 217)": for messages about a batch.
inline std::string at_batch(const BatchContext& ctx) {
  return "at batch " + std::to_string(ctx.batch()) + " of epoch " + std::to_string(ctx.epoch()) + " (step " +
         std::to_string(ctx.global_step()) + ")";
}

}  // namespace pyhooks
