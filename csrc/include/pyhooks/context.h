#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pyhooks/event.h"

namespace at {
class Tensor;  // include <ATen/core/Tensor.h> in a callback that looks into tensors
}

namespace pyhooks {

class Callback;

/// Where training stands; plain numbers, all counted from 0.
struct Progress {
  std::int64_t epoch = 0;         ///< the current epoch
  std::int64_t epochs = 0;        ///< how many the run will have
  std::int64_t global_step = 0;   ///< optimizer steps made since training began
  std::int64_t batch = 0;         ///< the current batch of this epoch (or of this validation)
  std::int64_t batches = 0;       ///< how many this epoch has; -1 where the source cannot tell
  std::int64_t samples = 0;       ///< rows of the current batch
  std::int64_t samples_seen = 0;  ///< rows of this run's training batches so far, the current one included
};

/// Where the time of a training batch went, in seconds.
struct StepTimes {
  double data = 0;       ///< waiting for the batch
  double step = 0;       ///< forward, backward, clipping, optimizer
  double callbacks = 0;  ///< callbacks of batch events
};

/// What the core answers to a context. Pure virtual: a plugin needs nothing to link against.
class Host {
 public:
  virtual const Progress& progress() const = 0;
  virtual double seconds() const = 0;
  virtual double loss() = 0;
  virtual bool will_update() const = 0;
  virtual void skip_step() = 0;
  virtual bool skipping() const = 0;
  virtual std::size_t num_groups() const = 0;
  virtual double lr(std::size_t group) const = 0;
  virtual void set_lr(double value, std::size_t group) = 0;
  virtual void scale_lr(double factor) = 0;
  virtual std::size_t num_params() const = 0;
  virtual std::string_view param_name(std::size_t i) const = 0;
  virtual at::Tensor& param(std::size_t i) = 0;
  virtual at::Tensor& grad(std::size_t i) = 0;
  virtual std::size_t num_buffers() const = 0;
  virtual std::string_view buffer_name(std::size_t i) const = 0;
  virtual at::Tensor& buffer(std::size_t i) = 0;
  virtual std::size_t num_optimizer_tensors() = 0;
  virtual at::Tensor& optimizer_tensor(std::size_t i) = 0;
  virtual std::size_t num_inputs() const = 0;
  virtual const at::Tensor& input(std::size_t i) const = 0;
  virtual std::size_t num_outputs() const = 0;
  virtual const at::Tensor& output(std::size_t i) const = 0;
  virtual void request_stop(std::string_view reason) = 0;
  virtual void request_save(std::string_view reason) = 0;
  virtual void snapshot(std::string_view reason) = 0;
  virtual void log(std::string_view name, double value) = 0;
  virtual bool logged(std::string_view name, double& value) const = 0;
  virtual bool metric(std::string_view name, double& value) const = 0;
  virtual std::vector<std::string> log_names() const = 0;
  virtual void time_steps(bool on) = 0;
  virtual const StepTimes& step_times() const = 0;
  virtual std::uint64_t add_callback(std::shared_ptr<Callback> callback, EventMask events, std::string_view label,
                                     std::int64_t priority) = 0;
  virtual bool remove_callback(std::uint64_t id) = 0;
  virtual std::uint64_t current_callback() const = 0;
  virtual bool may_act() = 0;

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
  /// Rows of this run's training batches so far, the current one included.
  std::int64_t samples_seen() const { return host_.progress().samples_seen; }
  /// Seconds since `fit` began.
  double seconds() const { return host_.seconds(); }

  /// Asks training to end. A vote, not a command: everybody else is still called, the current batch and the epoch's
  /// end still happen (see the table in callback.h). `reason` becomes part of `trainer.stop_reason`.
  void request_stop(std::string_view reason) { host_.request_stop(reason); }
  /// Asks for a checkpoint at the end of this epoch (in `on_fit_epoch_end`, phase save; several requests make one).
  void request_save(std::string_view reason) { host_.request_save(reason); }
  /// Copies parameters, buffers and optimizer state, as they are now, to memory: `trainer.snapshots` holds the last four.
  void snapshot(std::string_view reason) { host_.snapshot(reason); }

  /// Notes a number. At a training batch event it lands in the batch's row of the history (column `name`), and the
  /// epoch's metrics hold the mean, as they do for what is logged at validation batch events; at an epoch event it
  /// becomes a metric of this epoch.
  void log(std::string_view name, double value) { host_.log(name, value); }
  /// Reads what has been logged for the current training batch ("loss" and "lr" too). False, `value` untouched, if
  /// nothing has.
  bool logged(std::string_view name, double& value) const { return host_.logged(name, value); }
  /// Reads a metric of this epoch, as "val/loss". False, `value` untouched, if there is none (yet).
  bool metric(std::string_view name, double& value) const { return host_.metric(name, value); }
  /// The names that native callbacks say they log, and those that have been logged at training batches.
  std::vector<std::string> log_names() const { return host_.log_names(); }

  /// Parameter groups of the optimizer and their learning rates.
  std::size_t num_groups() const { return host_.num_groups(); }
  double lr(std::size_t group = 0) const { return host_.lr(group); }
  /// Holds from the next optimizer step until a schedule or another callback sets it again.
  void set_lr(double value, std::size_t group = 0) { host_.set_lr(value, group); }
  /// Multiplies all groups' learning rates for the rest of the run, those that a schedule per batch will set included.
  void scale_lr(double factor) { host_.scale_lr(factor); }

  /// The trainable parameters, in the order of `model.named_parameters()`.
  std::size_t num_params() const { return host_.num_params(); }
  std::string_view param_name(std::size_t i) const { return host_.param_name(i); }
  at::Tensor& param(std::size_t i) { return host_.param(i); }
  /// The model's buffers, in the order of `model.named_buffers()`. Change them in place.
  std::size_t num_buffers() const { return host_.num_buffers(); }
  std::string_view buffer_name(std::size_t i) const { return host_.buffer_name(i); }
  at::Tensor& buffer(std::size_t i) { return host_.buffer(i); }
  /// The optimizer's state tensors (momenta, step counts) that exist by now, in a fixed order; those made later come
  /// after them for no parameter in particular: ask again each time. Change them in place.
  std::size_t num_optimizer_tensors() { return host_.num_optimizer_tensors(); }
  at::Tensor& optimizer_tensor(std::size_t i) { return host_.optimizer_tensor(i); }

  /// Adds a callback, from the next event on; returns its number. `add_callback` in callback.h fills in `events`.
  /// `priority`: within a phase, higher ones are called first.
  std::uint64_t add(std::shared_ptr<Callback> callback, EventMask events, std::string_view label,
                    std::int64_t priority = 0) {
    return host_.add_callback(std::move(callback), events, label, priority);
  }
  /// Removes a callback by its number: it is not called any more, in this event either. False if it is gone already.
  bool remove(std::uint64_t id) { return host_.remove_callback(id); }
  /// The number of the callback that is being called.
  std::uint64_t self() const { return host_.current_callback(); }
  /// For a callback that `filters_itself()`: whether its filters let it act at this occurrence. A yes counts as its call.
  bool may_act() { return host_.may_act(); }

  /// Asks for `step_times()` from the next batch on (some 0.3 us a batch), and in each row as time/data, time/step, ...
  void time_steps(bool on) { host_.time_steps(on); }

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

  /// Whether this batch ends with an optimizer step: false on the sub-steps of gradient accumulation, and after
  /// `skip_step()`.
  bool will_update() const { return host_.will_update() && !host_.skipping(); }
  /// Leaves out the coming optimizer step: its gradients are dropped, the whole accumulation group's with them, and
  /// neither step count nor schedule goes on. A batch that calls this does not count in the epoch's means either; its row
  /// in the history stays. From `on_train_batch_start` to `optimizer_step`; throws std::logic_error where the step has
  /// been made already.
  void skip_step() { host_.skip_step(); }
  /// Whether somebody has called `skip_step()` for the coming step.
  bool skipping() const { return host_.skipping(); }

  /// The gradient of parameter i, undefined where it has none. May be changed in place from `on_backward_end` to
  /// `optimizer_step`; during accumulation it is the sum so far.
  at::Tensor& grad(std::size_t i) { return host_.grad(i); }

  /// The batch's tensors (inputs, then targets), flattened.
  std::size_t num_inputs() const { return host_.num_inputs(); }
  const at::Tensor& input(std::size_t i) const { return host_.input(i); }

  /// What the model returned, flattened; none before the forward pass.
  std::size_t num_outputs() const { return host_.num_outputs(); }
  const at::Tensor& output(std::size_t i) const { return host_.output(i); }

  /// The last finished training batch's times; zeros unless `time_steps(true)` was asked for.
  const StepTimes& step_times() const { return host_.step_times(); }
};

}  // namespace pyhooks
