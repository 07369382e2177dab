#pragma once

// Training from C++, without Python. Unlike the other headers here this one wants to be linked: with the CMake target
// pyhooks::pyhooks, which brings torch's C++ API along.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "pyhooks/callback.h"
#include "pyhooks/errors.h"
#include "pyhooks/memory_snapshot.h"
#include "pyhooks/options.h"
#include "pyhooks/plugin_loader.h"
#include "pyhooks/step.h"

namespace pyhooks {

/// Tensors and their names, in order.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;
/// An epoch's metrics: "train/loss", "val/accuracy", "lr/pg0", ..., in the order in which they came.
using EpochMetrics = std::vector<std::pair<std::string, double>>;
/// Keyword options: `{{"max_norm", 1.0}}`.
using OptionValues = std::map<std::string, OptionValue>;

/// A group of parameters with options of its own.
struct OptimizerGroup {
  std::vector<std::string> params;  ///< their names
  OptionValues options;             ///< what differs from OptimizerOptions::options
};

/// One of torch.optim's optimizers, through ATen's fused kernels: the same bits as `fused=True`.
struct OptimizerOptions {
  std::string name = "adamw";  ///< "sgd", "adam", "adamw" or "adagrad"
  /// torch.optim's names and defaults, betas being "beta1" and "beta2": `{{"lr", 1e-3}, {"weight_decay", 0.0}}`.
  OptionValues options = {};
  std::vector<OptimizerGroup> groups = {};  ///< default: one group of all parameters
};

/// What a Trainer is made of. The arguments of Python's pyhooks.Trainer.
struct TrainerOptions {
  NamedTensors parameters;  ///< those that require gradients are trained, in place; the others are kept as they are
  NamedTensors buffers;     ///< what else the model holds
  StepFunction step;        ///< forward and loss
  /// Puts the model into training (true) or evaluation mode. Default: nothing is switched.
  std::function<void(bool training)> set_training = {};
  OptimizerOptions optimizer = {};
  std::vector<Metric> metrics = {};
  std::int64_t accumulate = 1;  ///< batches an optimizer step; each loss is divided by it
  std::optional<double> clip_norm = {};
  std::optional<double> clip_value = {};
  /// The metric that decides what is best, a leading '-' for lower is better. Default: "-val/loss", or "-train/loss".
  std::string fitness = {};
};

/// The options of a torch::nn module: its parameters and buffers by name, and how it is switched between its modes.
///
///     auto options = pyhooks::options_of(net);   // a module holder, or a std::shared_ptr to a module
///     options.step = [net](const auto& batch) mutable { return ...; };
template <class Module>
TrainerOptions options_of(const Module& module) {
  TrainerOptions options;
  for (const auto& item : module->named_parameters()) options.parameters.emplace_back(item.key(), item.value());
  for (const auto& item : module->named_buffers()) options.buffers.emplace_back(item.key(), item.value());
  options.set_training = [held = Module(module)](bool training) mutable { held->train(training); };
  return options;
}

/// What `fit` is asked for besides the training data.
struct FitOptions {
  std::vector<at::Tensor> val = {};  ///< tensors to validate with after each epoch; default: none
  std::int64_t epochs = 1;           ///< in all, those before a checkpoint included
  std::int64_t batch_size = 32;
  bool shuffle = true;
  bool drop_last = false;
  /// Seeds the default generator, and one of its own for the order of the batches; as `pyhooks.Trainer(seed=...)`. Default:
  /// the default generator as it is.
  std::optional<std::uint64_t> seed = {};
  /// A folder for last.safetensors and best.safetensors, written after each epoch, and for the checkpoints that callbacks
  /// ask for. Default: none.
  std::string save_dir = {};
  /// Told what does not end training: errors of callbacks with the policy "warn" or "disable", and those thrown while
  /// training ends with another one. Default: a line each on standard error.
  std::function<void(const std::string&)> warn = {};
};

/// How a callback is registered: the keyword arguments of Python's `add_callback`. It is called at the n-th occurrence of
/// an event in a `fit` (n from 1), if after < n < before and `every` divides n.
struct Rules {
  std::int64_t every = 1;
  bool once = false;  ///< removed after its first call
  std::int64_t after = 0;
  std::int64_t before = std::numeric_limits<std::int64_t>::max();
  double seconds = 0;              ///< at most one call in so many seconds; 0: no limit
  std::int64_t samples = 0;        ///< one call each time that many training rows have come; 0: no limit
  std::int64_t priority = 0;       ///< within a phase, higher ones are called first
  std::string on_error = "raise";  ///< "raise" ends training, "warn" goes on, "disable" goes on without it
  double budget = 0;               ///< the most it may cost at batch events, as a share of the time: 0.01; 0: no limit
  std::string id = {};  ///< names its state in checkpoints; default: its label, numbered where there are several
};

/// A callback ready to be added to a trainer.
struct NamedCallback {
  std::shared_ptr<Callback> callback;
  EventMask events = 0;  ///< those it overrides
  std::string label;
};

/// Makes a registered callback by its name: a built-in one, as "grad_clip", or a loaded plugin's, as "my_hooks/noise_scale".
/// Throws std::invalid_argument for an unknown name or option, naming those there are.
///
///     trainer.add(pyhooks::make("grad_clip", {{"max_norm", 1.0}}));
NamedCallback make(const std::string& name, const OptionValues& options = {});
/// Makes a callback of a plugin, by its class: `make(pyhooks::load_plugin("libmy_hooks.so"), "NoiseScale")`.
NamedCallback make(const Plugin& plugin, const std::string& class_name, const OptionValues& options = {});

/// What `fit` returns.
struct Result {
  EpochMetrics metrics;               ///< of the last epoch
  std::vector<EpochMetrics> history;  ///< of every epoch, those before a checkpoint included
  std::string stop_reason;            ///< who voted to stop, why and when; empty after the last epoch asked for
  std::int64_t epochs_run = 0;        ///< in this `fit`

  /// A metric of the last epoch. Throws std::out_of_range naming those there are.
  double metric(std::string_view name) const;
};

struct TrainerParts;

/// Trains a model in the native loop: what pyhooks.Trainer is in Python. With the same model, data and seed both make the
/// same bits.
///
/// Ctrl-C ends `fit` after the batch in hand with pyhooks::Interrupted, unless the program handles SIGINT itself; a second
/// one ends the program at once.
///
/// Example:
///
///     auto options = pyhooks::options_of(net);
///     options.step = [&](const auto& batch) { return torch::mse_loss(net->forward(batch[0]), batch[1]); };
///     options.optimizer = {"sgd", {{"lr", 0.1}}};
///     pyhooks::Trainer trainer(options);
///     trainer.add(pyhooks::make("nan_guard"));
///     const auto result = trainer.fit({x, y}, {.epochs = 3, .batch_size = 64, .seed = 0});
///     trainer.save("last.safetensors");
class Trainer {
 public:
  /// Throws std::invalid_argument for options that do not fit together.
  explicit Trainer(TrainerOptions options);
  explicit Trainer(std::unique_ptr<TrainerParts> parts);
  Trainer(Trainer&&) noexcept;
  Trainer& operator=(Trainer&&) noexcept;
  ~Trainer();

  /// Trains on rows of these tensors (their first dimension), which the step gets in this order. Throws
  /// std::invalid_argument for data that does not fit, TrainingError for what is thrown while training, Interrupted after
  /// Ctrl-C; model and optimizer are then as they were at that moment, and can be saved.
  Result fit(const std::vector<at::Tensor>& train, const FitOptions& options);

  /// Adds a callback for all events it overrides; returns a number to remove it by. Throws std::invalid_argument for rules
  /// that are out of range.
  std::uint64_t add(const NamedCallback& callback, const Rules& rules = {});
  /// The same for a plugin's: `trainer.add(pyhooks::load_plugin("libmy_hooks.so"), "NoiseScale", {{"beta", 0.9}})`.
  std::uint64_t add(const Plugin& plugin, const std::string& class_name, const OptionValues& options = {},
                    const Rules& rules = {}) {
    return add(make(plugin, class_name, options), rules);
  }
  /// The same for a callback of the program's own.
  template <class T>
    requires std::is_base_of_v<Callback, T>
  std::uint64_t add(std::shared_ptr<T> callback, std::string label = "callback", const Rules& rules = {}) {
    return add(NamedCallback{std::move(callback), overridden_events<T>(), std::move(label)}, rules);
  }
  /// False if there is no such registration (any more).
  bool remove(std::uint64_t registration);

  /// Votes to stop after the current batch; from any thread, while `fit` runs.
  void request_stop(const std::string& reason);

  /// Writes all that is needed to go on, for `load_checkpoint` here or in Python; whole or not at all. After, or by a
  /// callback at on_fit_epoch_end within, a `fit`. Throws CheckpointError or std::system_error.
  void save(const std::string& path) const;

  /// Loads what `save`, or Python's Checkpoint callback, wrote; the next `fit` goes on from there. Native callbacks whose
  /// state it holds must have been added. A schedule is refused, since there is none here. Returns the kinds of the Python
  /// callbacks whose states stay in the file.
  /// Throws CheckpointError for a damaged file, std::invalid_argument for one of another model or optimizer; nothing is
  /// changed then.
  std::vector<std::string> load_checkpoint(const std::string& path);

  /// The trained parameters.
  const NamedTensors& parameters() const;
  /// Everything of the model that a checkpoint holds: parameters and buffers.
  const NamedTensors& state() const;
  /// A column of the last fit's per-batch history: "loss", "lr", or what callbacks logged.
  std::vector<double> column(std::string_view name) const;
  /// What callbacks have copied with `ctx.snapshot(reason)` in the last fit: the last four, oldest first.
  std::vector<MemorySnapshot> snapshots() const;

 private:
  std::unique_ptr<TrainerParts> parts_;
};

/// A trainer for a step that Python has exported with `trainer.export_step(path, ...)`: the captured model, loss, metrics
/// and optimizer, with all weights. Throws CheckpointError for a damaged file, std::invalid_argument for one that needs an
/// operator that this torch does not have.
Trainer load_step(const std::string& path);

/// Reads a safetensors file, tensors onto the CPU. Throws CheckpointError if it is missing or not whole.
std::map<std::string, at::Tensor> load_tensors(const std::string& path);

/// Writes tensors as a safetensors file, whole or not at all; other programs read it with any safetensors library.
/// Throws CheckpointError for a tensor that is not dense, or of a type that the format does not have.
void save_tensors(const std::string& path, const std::map<std::string, at::Tensor>& tensors);

}  // namespace pyhooks
