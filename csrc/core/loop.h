#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/dispatcher.h"
#include "core/epoch_sums.h"
#include "core/interfaces.h"
#include "core/recorder.h"
#include "core/snapshot.h"
#include "pyhooks/context.h"
#include "pyhooks/memory_snapshot.h"

namespace pyhooks {

/// A vote to stop: who, why and when.
struct StopVote {
  std::string who;
  std::string reason;
  std::int64_t epoch = 0;
  std::int64_t batch = -1;  ///< -1 outside batches
};

/// Turns an epoch's summed statistics of a metric into its value.
struct MetricSpec {
  std::string name;
  std::function<double(const std::vector<double>&)> compute;
};

/// What surrounds the loop; each may be empty. Called without the GIL.
struct LoopHooks {
  std::function<void()>
      setup;  ///< between on_pretrain_routine_start and _end: must leave engine, optimizer and train set
  std::function<std::vector<double>(std::int64_t)>
      begin_epoch;  ///< given the optimizer steps to come: the schedule's table, or empty. A row for each step: kHyperFields
                    ///< for each group, then one value for each of `LoopConfig::scheduled`; NaN leaves alone
  std::function<void(std::int64_t)>
      end_batches;  ///< given the optimizer steps made; also when the epoch is cut short by an exception
  std::function<void()> check_signals;                   ///< a signal came: throw to interrupt
  std::function<bool(std::exception_ptr)> is_interrupt;  ///< whether an exception is a Ctrl-C
  std::function<void()> started;  ///< after on_train_start: load what callbacks had in a checkpoint
  std::function<void(const std::vector<std::string>&)> save;  ///< somebody asked for a checkpoint, for these reasons
  std::function<void(std::exception_ptr)> on_error;           ///< the exception that ends training, before on_exception
  std::function<void(std::exception_ptr)> on_secondary_error;  ///< one thrown while the first was being handled
};

/// What a loop is made of; filled in by its owner, at the latest in `LoopHooks::setup`.
struct LoopConfig {
  std::int64_t epochs = 1;
  std::int64_t start_epoch = 0;  ///< above 0: on_resume fires
  std::int64_t start_step = 0;
  double start_lr_factor = 1;  ///< what `scale_lr` has come to in the run this one goes on from
  std::int64_t accumulate = 1;
  std::optional<double> clip_norm;
  std::optional<double> clip_value;
  std::string fitness;  ///< metric that says how good an epoch was; a leading '-': lower is better
  std::vector<std::string> param_names;
  std::vector<at::Tensor> params;
  std::vector<std::string> buffer_names;
  std::vector<at::Tensor> buffers;
  std::vector<at::Tensor> scheduled;  ///< what the schedule's table fills before each step: buffers the loss reads
  std::vector<MetricSpec> metrics;
  std::shared_ptr<StepEngine> engine;
  std::shared_ptr<Optimizer> optimizer;
  std::shared_ptr<BatchSource> train;
  std::shared_ptr<BatchSource> val;  ///< may be null
  LoopHooks hooks;
};

/// The training loop: runs epochs, fires events, keeps the books. No Python in it, and none under it but what hooks
/// and callbacks bring along.
class Loop final : public Host {
 public:
  explicit Loop(std::shared_ptr<Dispatcher> dispatcher);

  LoopConfig config;

  /// Trains; once in a loop's life. Throws what ended training, after on_exception and teardown.
  void run();

  /// After the run: keeps the books, lets go of model, data and callbacks.
  void release();

  /// Fires on_model_save: for the callback that hands a checkpoint to its writer.
  void model_saved() { dispatcher_->fire<Event::on_model_save>(context_); }
  /// Fires on_checkpoint_durable: for the callback whose checkpoint is on disk.
  void checkpoint_durable() { dispatcher_->fire<Event::on_checkpoint_durable>(context_); }
  /// A vote to stop from outside a callback, in the loop's own thread.
  void vote(std::string who, std::string_view reason);
  /// A vote to stop from any thread; counted after the current batch.
  void vote_from_outside(std::string reason);
  /// Continues the books of an earlier part of this run.
  void restore(std::optional<double> best_fitness, std::int64_t best_epoch, std::vector<Metrics> history);

  bool stopping() const { return !votes_.empty(); }
  /// Calls `read` while nothing writes to the books below: what threads other than the loop's use to copy them. `read`
  /// must not call Python.
  template <class Read>
  auto books(Read&& read) const {
    std::lock_guard lock(books_mutex_);
    return read(*this);
  }
  const std::vector<StopVote>& votes() const { return votes_; }
  const Metrics& metrics() const { return metrics_; }
  const std::vector<Metrics>& history() const { return history_; }
  const Recorder& recorder() const { return recorder_; }
  const std::deque<MemorySnapshot>& snapshots() const { return snapshots_; }
  /// Seconds spent in epochs so far; what callbacks took is part of it.
  double epoch_seconds() const { return epoch_seconds_; }
  /// "in epoch 3, batch 17, in callback GradClip at optimizer_step": for error messages.
  std::string where() const;
  std::optional<double> fitness() const { return fitness_; }
  std::optional<double> best_fitness() const { return best_fitness_; }
  std::int64_t best_epoch() const { return best_epoch_; }
  std::int64_t epochs_run() const { return epochs_run_; }
  /// What `scale_lr` has multiplied the learning rates of a schedule per batch by so far.
  double lr_factor() const { return lr_factor_; }
  Peek peek() const { return peek_.load(); }

  // Host: what contexts ask for (loop_host.cpp).
  const Progress& progress() const override { return progress_; }
  double seconds() const override;
  double loss() override;
  bool will_update() const override { return will_update_; }
  void skip_step() override;
  bool skipping() const override { return skip_group_; }
  std::size_t num_groups() const override;
  double lr(std::size_t group) const override;
  void set_lr(double value, std::size_t group) override;
  void scale_lr(double factor) override;
  std::size_t num_params() const override { return config.params.size(); }
  std::string_view param_name(std::size_t i) const override;
  at::Tensor& param(std::size_t i) override;
  at::Tensor& grad(std::size_t i) override;
  std::size_t num_buffers() const override { return config.buffers.size(); }
  std::string_view buffer_name(std::size_t i) const override;
  at::Tensor& buffer(std::size_t i) override;
  std::size_t num_optimizer_tensors() override;
  at::Tensor& optimizer_tensor(std::size_t i) override;
  std::size_t num_inputs() const override { return batch_.tensors.size(); }
  const at::Tensor& input(std::size_t i) const override;
  std::size_t num_outputs() const override { return result_.outputs.size(); }
  const at::Tensor& output(std::size_t i) const override;
  void request_stop(std::string_view reason) override;
  void request_save(std::string_view reason) override;
  void snapshot(std::string_view reason) override;
  void log(std::string_view name, double value) override;
  bool logged(std::string_view name, double& value) const override;
  bool metric(std::string_view name, double& value) const override;
  std::vector<std::string> log_names() const override;
  void time_steps(bool on) override { timing_ = on; }
  const StepTimes& step_times() const override { return step_times_; }
  std::uint64_t add_callback(std::shared_ptr<Callback> callback, EventMask events, std::string_view label,
                             std::int64_t priority) override;
  bool remove_callback(std::uint64_t id) override { return dispatcher_->remove(id); }
  std::uint64_t current_callback() const override;
  bool may_act() override { return dispatcher_->may_act(context_); }

 private:
  enum class Part : std::int8_t { between, train, validate };
  /// How many `snapshot`s are kept; the oldest makes room.
  static constexpr std::size_t kMostSnapshots = 4;

  // loop.cpp: the run and its epochs
  void run_epochs();
  void run_epoch();
  void validate();
  void end_of_epoch();
  void reduce(const std::string& prefix);
  void reduce_logs(const Recorder& recorder);
  void note(std::string_view name, double value);
  void fail(std::exception_ptr error);
  void save_if_asked();
  void remove_added();
  void report_secondary(std::exception_ptr error) noexcept;

  // batch_loop.cpp: an epoch's batches
  void train_epoch();
  void train_batches();
  bool next_batch();
  void train_batch();
  void begin_batch();
  void backward_done();
  void update();
  void end_group();
  void late_update();
  template <Event event>
  void fire();
  double clock() const;
  void validate_batches();
  void validate_batch();
  void apply_schedule();
  void set_hyper(std::size_t group, const double* fields);
  void record();
  void record_times();
  void check_outside();
  void check_outside_votes();
  void start_part(Part part, std::int64_t batches);
  void publish(std::int64_t done);
  template <class Work, class End>
  void finally(Work&& work, End&& end);

  std::shared_ptr<Dispatcher> dispatcher_;
  Context context_{*this};
  BatchContext batch_context_{*this};

  Progress progress_;
  Batch batch_;
  StepResult result_;
  std::vector<at::Tensor> grads_;  // summed over an accumulation group
  bool grads_pending_ = false;     // a group has been begun and not stepped
  bool will_update_ = false;
  bool skip_batch_ = false;  // this batch asked for its step to be left out
  bool skip_group_ = false;  // some batch of the group did
  double lr_factor_ = 1;     // of `scale_lr`, for the rest of the run
  double loss_ = 0;
  bool loss_known_ = false;
  Part part_ = Part::between;
  std::vector<double> schedule_;  // this epoch's table
  std::int64_t epoch_steps_ = 0;  // optimizer steps made in this epoch
  double part_start_ = 0;
  double run_start_ = 0;
  double epoch_seconds_ = 0;
  bool timing_ = false;
  StepTimes times_;       // of the batch in hand
  StepTimes step_times_;  // of the last finished one
  std::vector<at::Tensor> optimizer_tensors_;
  std::vector<std::string> save_requests_;
  bool saver_added_ = false;
  std::vector<std::uint64_t> added_;  // callbacks added by native ones: gone when the run ends

  /// Changes the books; `change` must not call Python.
  template <class Change>
  void write(Change&& change) {
    std::lock_guard lock(books_mutex_);
    change();
  }

  EpochSums sums_;
  mutable std::mutex books_mutex_;  // of what follows, down to best_epoch_
  Recorder recorder_;
  Recorder val_recorder_;  // what is logged at validation batches; only its means are kept
  Metrics metrics_;
  std::vector<Metrics> history_;
  std::vector<StopVote> votes_;
  std::deque<MemorySnapshot> snapshots_;
  std::atomic<bool> outside_vote_{false};
  std::mutex outside_mutex_;
  std::string outside_reason_;
  std::optional<double> fitness_;
  std::optional<double> best_fitness_;
  std::int64_t best_epoch_ = -1;
  std::int64_t epochs_run_ = 0;
  Seqlock<Peek> peek_;
};

}  // namespace pyhooks
