#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace pyhooks {

/// What a step computed of a batch.
struct StepOutput {
  /// From a loss alone, so that a step may simply return it.
  StepOutput(at::Tensor loss, std::vector<at::Tensor> outputs = {})
      : loss(std::move(loss)), outputs(std::move(outputs)) {}

  at::Tensor loss;                  ///< 0-d and floating, with the autograd graph that leads to the parameters
  std::vector<at::Tensor> outputs;  ///< what the model returned: for metrics, and for callbacks' `ctx.output(i)`
};

/// Forward pass and loss of a batch: the tensors given to `fit`, of each some rows. Called with gradients on in training
/// and off in validation; whoever called backward is not its business.
///
///     [&](const std::vector<at::Tensor>& batch) -> pyhooks::StepOutput {
///       at::Tensor logits = net->forward(batch[0]);
///       return {torch::cross_entropy_loss(logits, batch[1]), {logits}};
///     }
using StepFunction = std::function<StepOutput(const std::vector<at::Tensor>& batch)>;

/// A number for each epoch, in training and validation: the quotient of two sums over its batches.
struct Metric {
  std::string name;  ///< "accuracy" becomes the metrics "train/accuracy" and "val/accuracy"
  /// Of a batch the two numbers to be added up, as a 1-D tensor [2]. Called without gradients, outputs detached.
  std::function<at::Tensor(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& batch)> stats;
};

/// Share of rows whose class is the highest output: the first output [N, C, ...] against the last tensor of the batch,
/// class numbers [N, ...]; -100 does not count. The same numbers as Python's pyhooks.metrics.accuracy.
Metric accuracy();

}  // namespace pyhooks
