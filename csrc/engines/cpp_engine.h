#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/interfaces.h"
#include "pyhooks/step.h"

namespace pyhooks {

/// A step written in C++: forward and loss are a function, backward is autograd's.
class CppEngine final : public StepEngine {
 public:
  struct Parts {
    StepFunction step;
    std::function<void(bool)> set_training;  ///< puts the model into training (true) or evaluation mode; may be empty
    std::vector<Metric> metrics;
    std::vector<at::Tensor> params;  ///< leaves that require gradients
    std::int64_t accumulate = 1;     ///< the backward pass divides the loss by it
  };

  explicit CppEngine(Parts parts) : parts_(std::move(parts)) {}

  std::string name() const override { return "cpp"; }
  bool draws_random() const override { return true; }  // nobody knows
  /// Between steps the model is in training mode. Throws std::invalid_argument for a loss that cannot be trained, for a
  /// metric that returns something else than two numbers, and for Mode::predict: a step function computes the loss.
  void step(Mode mode, const Batch& batch, StepResult& result) override;

 private:
  StepOutput forward(Mode mode, const Batch& batch);
  void measure(const std::vector<at::Tensor>& outputs, const Batch& batch, StepResult& result) const;
  void backward(const at::Tensor& loss, StepResult& result);

  Parts parts_;
};

}  // namespace pyhooks
