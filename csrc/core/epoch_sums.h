#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "core/interfaces.h"

namespace pyhooks {

/// Reads a 0-d floating tensor; waits for its device.
double scalar_value(const at::Tensor& tensor);

/// What an epoch adds up, in float64: the loss weighted by rows, and each metric's statistics.
class EpochSums {
 public:
  void clear();
  void add(double loss, const StepResult& result, std::int64_t samples);

  std::int64_t samples() const { return samples_; }
  /// The mean loss over rows.
  double loss() const { return loss_ / static_cast<double>(samples_); }
  const std::vector<std::vector<double>>& stats() const { return stats_; }

 private:
  double loss_ = 0;
  std::int64_t samples_ = 0;
  std::vector<std::vector<double>> stats_;
};

}  // namespace pyhooks
