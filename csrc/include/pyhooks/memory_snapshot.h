#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pyhooks {

/// A copy of what is trained, as it was at some batch.
struct MemorySnapshot {
  std::string who;
  std::string reason;
  std::int64_t epoch = 0;
  std::int64_t batch = -1;  ///< -1 outside batches
  std::int64_t global_step = 0;
  std::vector<at::Tensor> params;
  std::vector<at::Tensor> buffers;
  std::vector<at::Tensor> optimizer;
};

}  // namespace pyhooks
