#include "engines/cpp_engine.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/div.h>

#include <stdexcept>
#include <utility>

namespace pyhooks {

namespace {

std::string shape_of(const at::Tensor& tensor) {
  std::string text = "[";
  for (std::int64_t i = 0; i < tensor.dim(); ++i) text += (i ? ", " : "") + std::to_string(tensor.size(i));
  return text + "]";
}

void check_loss(const at::Tensor& loss, bool training) {
  const auto refuse = [](const std::string& came) {
    throw std::invalid_argument("the step must return the loss as a 0-d floating tensor, got " + came);
  };
  if (!loss.defined()) refuse("an undefined tensor");
  if (loss.dim() != 0) refuse("shape " + shape_of(loss) + ": reduce it with mean() or sum()");
  if (!loss.is_floating_point()) refuse(c10::toString(loss.scalar_type()));
  if (training && !loss.requires_grad())
    throw std::invalid_argument(
        "the loss depends on no trainable parameter: check that requires_grad is set and nothing on the way detaches");
}

}  // namespace

void CppEngine::step(Mode mode, const Batch& batch, StepResult& result) {
  if (mode == Mode::predict)
    throw std::invalid_argument("a step written in C++ computes the loss; to predict, call the model itself");
  const StepOutput out = forward(mode, batch);
  check_loss(out.loss, mode == Mode::train);
  result.loss = out.loss.detach();
  result.outputs.clear();
  for (const at::Tensor& output : out.outputs) result.outputs.push_back(output.detach());
  measure(result.outputs, batch, result);
  if (mode == Mode::train) backward(out.loss, result);
}

StepOutput CppEngine::forward(Mode mode, const Batch& batch) {
  const bool training = mode == Mode::train;
  at::AutoGradMode grad_mode(training);
  if (training || !parts_.set_training) return parts_.step(batch.tensors);
  struct Evaluating {  // callbacks between batches see the model in training mode
    explicit Evaluating(const std::function<void(bool)>& set_training) : set(set_training) { set(false); }
    ~Evaluating() { set(true); }
    const std::function<void(bool)>& set;
  } evaluating(parts_.set_training);
  return parts_.step(batch.tensors);
}

void CppEngine::measure(const std::vector<at::Tensor>& outputs, const Batch& batch, StepResult& result) const {
  at::NoGradGuard no_grad;
  result.stats.clear();
  for (const Metric& metric : parts_.metrics) {
    at::Tensor stats = metric.stats(outputs, batch.tensors);
    if (!stats.defined() || stats.dim() != 1 || stats.size(0) != 2)
      throw std::invalid_argument("metric '" + metric.name + "' must return a 1-D tensor of 2 numbers, got " +
                                  (stats.defined() ? "shape " + shape_of(stats) : "an undefined tensor"));
    result.stats.push_back(std::move(stats));
  }
}

void CppEngine::backward(const at::Tensor& loss, StepResult& result) {
  at::AutoGradMode grad_mode(true);
  for (at::Tensor& param : parts_.params) param.mutable_grad().reset();
  const at::Tensor root = parts_.accumulate > 1 ? at::div(loss, parts_.accumulate) : loss;
  root._backward({}, std::nullopt, std::nullopt, false);
  result.grads.clear();
  for (at::Tensor& param : parts_.params) result.grads.push_back(std::move(param.mutable_grad()));
}

}  // namespace pyhooks
