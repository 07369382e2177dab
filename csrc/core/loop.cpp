#include "core/loop.h"

#include <cmath>
#include <stdexcept>
#include <utility>

namespace pyhooks {

Loop::Loop(std::shared_ptr<Dispatcher> dispatcher) : dispatcher_(std::move(dispatcher)) { publish(0); }

void Loop::run() {
  dispatcher_->reset_counts();
  progress_.epochs = config.epochs;
  progress_.epoch = config.start_epoch;
  progress_.global_step = config.start_step;
  lr_factor_ = config.start_lr_factor;
  run_start_ += seconds();
  try {
    dispatcher_->fire<Event::on_pretrain_routine_start>(context_);
    if (config.hooks.setup) config.hooks.setup();
    dispatcher_->fire<Event::on_pretrain_routine_end>(context_);
    if (config.start_epoch > 0) dispatcher_->fire<Event::on_resume>(context_);
    dispatcher_->fire<Event::on_train_start>(context_);
    if (config.hooks.started) config.hooks.started();
    run_epochs();
    if (stopping()) dispatcher_->fire<Event::on_early_stop>(context_);
    dispatcher_->fire<Event::on_train_end>(context_);
  } catch (...) {
    std::exception_ptr error = std::current_exception();
    fail(error);
    std::rethrow_exception(error);
  }
  std::vector<std::exception_ptr> errors = dispatcher_->fire_all<Event::teardown>(context_);
  remove_added();
  for (std::size_t i = 1; i < errors.size(); ++i) report_secondary(errors[i]);
  if (!errors.empty()) std::rethrow_exception(errors.front());
}

void Loop::release() {
  config = {};
  dispatcher_ = std::make_shared<Dispatcher>();
  batch_ = {};
  result_ = {};
  grads_.clear();
}

void Loop::fail(std::exception_ptr error) {
  const auto& hooks = config.hooks;
  if (hooks.on_error) hooks.on_error(error);
  dispatcher_->forget_current();
  part_ = Part::between;
  publish(progress_.batch);
  auto report = [&](const std::vector<std::exception_ptr>& errors) {
    for (const auto& secondary : errors) report_secondary(secondary);
  };
  if (hooks.is_interrupt && hooks.is_interrupt(error)) report(dispatcher_->fire_all<Event::on_interrupt>(context_));
  report(dispatcher_->fire_all<Event::on_exception>(context_));
  report(dispatcher_->fire_all<Event::teardown>(context_));
  remove_added();
}

void Loop::remove_added() {
  for (std::uint64_t id : added_) dispatcher_->remove(id);
}

std::string Loop::where() const {
  std::string text = "in epoch " + std::to_string(progress_.epoch);
  if (part_ != Part::between)
    text += ", batch " + std::to_string(progress_.batch) + (part_ == Part::validate ? " of validation" : "");
  if (const Registration* who = std::as_const(*dispatcher_).current())
    text += ", in callback " + who->label + " at " + std::string(info(dispatcher_->current_event()).name);
  return text;
}

void Loop::report_secondary(std::exception_ptr error) noexcept {
  try {
    if (config.hooks.on_secondary_error) config.hooks.on_secondary_error(error);
  } catch (...) {  // whoever is told throws too: the first exception is what counts
  }
}

void Loop::run_epochs() {
  progress_.epoch = config.start_epoch;
  while (!stopping() && progress_.epoch < config.epochs) {
    run_epoch();
    check_outside_votes();
    if (stopping() || progress_.epoch + 1 == config.epochs) break;  // epoch stays that of the last one run
    ++progress_.epoch;
  }
}

void Loop::run_epoch() {
  const double start = seconds();
  write([&] { metrics_.clear(); });
  progress_.batch = 0;
  dispatcher_->fire<Event::on_train_epoch_start>(context_);
  if (stopping()) {  // voted for before the first batch: this epoch does not happen
    if (!history_.empty()) write([&] { metrics_ = history_.back(); });
    return;
  }
  train_epoch();
  reduce("train/");
  for (std::size_t group = 0; group < num_groups(); ++group) note("lr/pg" + std::to_string(group), lr(group));
  reduce_logs(recorder_);
  dispatcher_->fire<Event::on_train_epoch_end>(context_);
  if (config.val) validate();
  end_of_epoch();
  epoch_seconds_ += seconds() - start;
}

void Loop::validate() {
  dispatcher_->fire<Event::on_val_start>(context_);
  sums_.clear();
  val_recorder_ = {};
  validate_batches();
  start_part(Part::between, 0);
  reduce("val/");
  reduce_logs(val_recorder_);
  dispatcher_->fire<Event::on_val_end>(context_);
}

void Loop::reduce(const std::string& prefix) {
  if (sums_.samples() > 0) {
    note(prefix + "loss", sums_.loss());
    for (std::size_t i = 0; i < config.metrics.size() && i < sums_.stats().size(); ++i)
      note(prefix + config.metrics[i].name, config.metrics[i].compute(sums_.stats()[i]));
  }
}

void Loop::note(std::string_view name, double value) {
  write([&] { set_metric(metrics_, name, value); });
}

void Loop::reduce_logs(const Recorder& recorder) {
  for (const auto& [name, mean] : recorder.means())
    if (name != "loss" && name != "lr") note(name, mean);
}

void Loop::end_of_epoch() {
  const bool lower_is_better = config.fitness.starts_with('-');
  const double* value = find_metric(metrics_, std::string_view(config.fitness).substr(lower_is_better ? 1 : 0));
  write([&] {
    fitness_.reset();
    if (value) fitness_ = lower_is_better ? -*value : *value;
    if (fitness_ && !std::isnan(*fitness_) && (!best_fitness_ || *fitness_ > *best_fitness_)) {
      best_fitness_ = fitness_;
      best_epoch_ = progress_.epoch;
    }
    history_.push_back(metrics_);
  });
  ++epochs_run_;
  dispatcher_->fire<Event::on_fit_epoch_end>(context_);  // vote, mutate, save, observe
  save_if_asked();                                       // asked for there, later than the save phase
  write([&] { history_.back() = metrics_; });            // with what was logged meanwhile
}

void Loop::save_if_asked() {
  if (save_requests_.empty()) return;
  const std::vector<std::string> reasons = std::exchange(save_requests_, {});
  if (config.hooks.save) config.hooks.save(reasons);
}

void Loop::vote(std::string who, std::string_view reason) {
  const std::int64_t batch = part_ == Part::between ? -1 : progress_.batch;
  write([&] { votes_.push_back({std::move(who), std::string(reason), progress_.epoch, batch}); });
}

void Loop::check_outside_votes() {
  if (!outside_vote_.load(std::memory_order_relaxed)) [[likely]]
    return;
  std::lock_guard lock(outside_mutex_);
  outside_vote_.store(false, std::memory_order_relaxed);
  vote("another thread", outside_reason_);
}

void Loop::vote_from_outside(std::string reason) {
  std::lock_guard lock(outside_mutex_);
  outside_reason_ = std::move(reason);
  outside_vote_.store(true, std::memory_order_relaxed);
}

void Loop::restore(std::optional<double> best_fitness, std::int64_t best_epoch, std::vector<Metrics> history) {
  write([&] {
    best_fitness_ = best_fitness;
    best_epoch_ = best_epoch;
    history_ = std::move(history);
  });
}

}  // namespace pyhooks
