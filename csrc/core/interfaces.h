#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace pyhooks {

/// A batch, flattened: inputs, then targets.
struct Batch {
  std::vector<at::Tensor> tensors;
  std::int64_t samples = 0;  ///< rows, the first dimension of the first tensor
};

enum class Mode : std::uint8_t { train, eval, predict };

constexpr const char* mode_name(Mode mode) {
  return mode == Mode::train ? "train" : mode == Mode::eval ? "eval" : "predict";
}

/// What a step computed. Tensors may alias the batch: valid until the next step.
struct StepResult {
  at::Tensor loss;                  ///< 0-d, not divided by the accumulation factor; undefined for predict
  std::vector<at::Tensor> stats;    ///< per metric its statistics, 1-D
  std::vector<at::Tensor> outputs;  ///< the model's outputs, flattened
  std::vector<at::Tensor> grads;    ///< train: per parameter, undefined where there is none; safe to change in place
};

/// How a step is computed. Called without the GIL.
class StepEngine {
 public:
  virtual ~StepEngine() = default;
  virtual std::string name() const = 0;
  /// Forward, loss, metrics; for Mode::train the gradients too.
  virtual void step(Mode mode, const Batch& batch, StepResult& result) = 0;
  /// Whether a training step may draw from the default generator. True while that is not known: a source may then not
  /// read ahead, because it might draw from the same generator.
  virtual bool draws_random() const = 0;
};

/// The hyper-parameters that may change from step to step; NaN where a group has no such thing.
struct Hyper {
  static constexpr double none = std::numeric_limits<double>::quiet_NaN();
  double lr = none;
  double momentum = none;
  double beta1 = none;
  double beta2 = none;
  double weight_decay = none;
};
/// The order of a schedule table's last dimension.
inline constexpr std::size_t kHyperFields = 5;

/// Updates parameters from gradients.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  virtual std::size_t groups() const = 0;
  virtual Hyper& hyper(std::size_t group) = 0;
  const Hyper& hyper(std::size_t group) const { return const_cast<Optimizer*>(this)->hyper(group); }
  /// One step; `grads` are in the order of the trained parameters, undefined ones are skipped.
  virtual void step(const std::vector<at::Tensor>& grads) = 0;
  /// The state tensors that exist by now, in a fixed order.
  virtual std::vector<at::Tensor> state_tensors() = 0;
};

/// Where batches come from.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  /// Batches of an epoch, or -1 if that cannot be known.
  virtual std::int64_t batches() const = 0;
  /// Starts an epoch: whatever order there is to draw is drawn here.
  virtual void begin_epoch() = 0;
  /// The next batch, or false at the epoch's end.
  virtual bool next(Batch& batch) = 0;
  /// Stops what runs in the background; the epoch is over, perhaps early.
  virtual void end_epoch() {}
};

}  // namespace pyhooks
