#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace at {
class Tensor;  // include <ATen/core/Tensor.h> in a callback that looks into tensors
}

namespace pyhooks {

/// Where training stands; plain numbers, all counted from 0.
struct Progress {
  std::int64_t epoch = 0;        ///< the current epoch
  std::int64_t epochs = 0;       ///< how many the run will have
  std::int64_t global_step = 0;  ///< optimizer steps made since training began
  std::int64_t batch = 0;        ///< the current batch of this epoch (or of this validation)
  std::int64_t batches = 0;      ///< how many this epoch has; -1 where the source cannot tell
  std::int64_t samples = 0;      ///< rows of the current batch
};

/// What the core answers to a context. Pure virtual: a plugin needs nothing to link against.
class Host {
 public:
  virtual const Progress& progress() const = 0;
  virtual double loss() = 0;
  virtual bool will_update() const = 0;
  virtual std::size_t num_groups() const = 0;
  virtual double lr(std::size_t group) const = 0;
  virtual void set_lr(double value, std::size_t group) = 0;
  virtual std::size_t num_params() const = 0;
  virtual std::string_view param_name(std::size_t i) const = 0;
  virtual at::Tensor& param(std::size_t i) = 0;
  virtual at::Tensor& grad(std::size_t i) = 0;
  virtual std::size_t num_inputs() const = 0;
  virtual const at::Tensor& input(std::size_t i) const = 0;
  virtual std::size_t num_outputs() const = 0;
  virtual const at::Tensor& output(std::size_t i) const = 0;
  virtual void request_stop(std::string_view reason) = 0;
  virtual void log(std::string_view name, double value) = 0;
  virtual bool metric(std::string_view name, double& value) const = 0;

 protected:
  ~Host() = default;
};

/// What a callback is handed at run and epoch events. Valid during the call only.
class Context {
 public:
  explicit Context(Host& host) : host_(host) {}

  std::int64_t epoch() const { return host_.progress().epoch; }
  std::int64_t epochs() const { return host_.progress().epochs; }
  std::int64_t global_step() const { return host_.progress().global_step; }

  /// Asks training to end. A vote, not a command: everybody else is still called, the current batch and the epoch's
  /// end still happen (see the table in callback.h). `reason` becomes part of `trainer.stop_reason`.
  void request_stop(std::string_view reason) { host_.request_stop(reason); }

  /// Notes a number. At a training batch event it lands in the batch's row of the history (column `name`), and the
  /// epoch's metrics hold the mean, as they do for what is logged at validation batch events; at an epoch event it
  /// becomes a metric of this epoch.
  void log(std::string_view name, double value) { host_.log(name, value); }

  /// Reads a metric of this epoch, as "val/loss". False, `value` untouched, if there is none (yet).
  bool metric(std::string_view name, double& value) const { return host_.metric(name, value); }

  /// Parameter groups of the optimizer and their learning rates.
  std::size_t num_groups() const { return host_.num_groups(); }
  double lr(std::size_t group = 0) const { return host_.lr(group); }
  /// Holds from the next optimizer step until a schedule or another callback sets it again.
  void set_lr(double value, std::size_t group = 0) { host_.set_lr(value, group); }

  /// The trainable parameters, in the order of `model.named_parameters()`.
  std::size_t num_params() const { return host_.num_params(); }
  std::string_view param_name(std::size_t i) const { return host_.param_name(i); }
  at::Tensor& param(std::size_t i) { return host_.param(i); }

 protected:
  Host& host_;
};

/// What a callback is handed at batch events. Values are lazy: `loss()` waits for the device, if there is one, only
/// when somebody asks.
class BatchContext : public Context {
 public:
  using Context::Context;

  std::int64_t batch() const { return host_.progress().batch; }
  std::int64_t batches() const { return host_.progress().batches; }
  std::int64_t samples() const { return host_.progress().samples; }

  /// The batch's loss as the user's function returned it (not divided by `accumulate`); NaN before the forward pass.
  double loss() { return host_.loss(); }

  /// Whether this batch ends with an optimizer step: false on the sub-steps of gradient accumulation.
  bool will_update() const { return host_.will_update(); }

  /// The gradient of parameter i, undefined where it has none. May be changed in place from `on_backward_end` to
  /// `optimizer_step`; during accumulation it is the sum so far.
  at::Tensor& grad(std::size_t i) { return host_.grad(i); }

  /// The batch's tensors (inputs, then targets), flattened.
  std::size_t num_inputs() const { return host_.num_inputs(); }
  const at::Tensor& input(std::size_t i) const { return host_.input(i); }

  /// What the model returned, flattened; none before the forward pass.
  std::size_t num_outputs() const { return host_.num_outputs(); }
  const at::Tensor& output(std::size_t i) const { return host_.output(i); }
};

}  // namespace pyhooks
