// The batches of a training epoch: the part of Loop that runs millions of times.
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cmath>

#include "core/loop.h"
#include "core/signals.h"
#include "pyhooks/clip.h"

namespace pyhooks {

namespace {

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::vector<at::Tensor> defined_only(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> defined;
  defined.reserve(tensors.size());
  for (const at::Tensor& tensor : tensors)
    if (tensor.defined()) defined.push_back(tensor);
  return defined;
}

// As autograd's AccumulateGrad does: the first gradient is taken over, later ones are added to it.
void accumulate(std::vector<at::Tensor>& sums, std::vector<at::Tensor>& grads) {
  sums.resize(grads.size());
  for (std::size_t i = 0; i < grads.size(); ++i) {
    if (!grads[i].defined()) continue;
    if (sums[i].defined())
      sums[i].add_(grads[i]);
    else
      sums[i] = std::move(grads[i]);
  }
}

}  // namespace

void Loop::train_epoch() {
  sums_.clear();
  epoch_steps_ = 0;
  write([&] { recorder_.begin_epoch(); });
  const std::int64_t batches = config.train->batches();
  const std::int64_t steps = batches < 0 ? -1 : (batches + config.accumulate - 1) / config.accumulate;
  schedule_.clear();
  if (config.hooks.begin_epoch) schedule_ = config.hooks.begin_epoch(steps);
  {
    at::NoGradGuard no_grad;
    apply_schedule();
  }
  const auto work = [&] {
    train_batches();
    start_part(Part::between, 0);
  };
  finally(work, [&] {
    if (config.hooks.end_batches) config.hooks.end_batches(epoch_steps_);
  });
}

// Does the work, then the end, whatever happens. What `end` throws never replaces what `work` has thrown.
template <class Work, class End>
void Loop::finally(Work&& work, End&& end) {
  try {
    work();
  } catch (...) {
    try {
      end();
    } catch (...) {
      report_secondary(std::current_exception());
    }
    throw;
  }
  end();
}

void Loop::train_batches() {
  at::NoGradGuard no_grad;
  config.train->begin_epoch();
  const auto work = [&] {
    start_part(Part::train, config.train->batches());
    while (!stopping() && next_batch()) {
      train_batch();
      check_outside();
    }
    if (grads_pending_) late_update();
  };
  finally(work, [&] { config.train->end_epoch(); });
}

bool Loop::next_batch() {
  const double start = clock();
  const bool more = config.train->next(batch_);
  times_ = {.data = clock() - start};
  return more;
}

// Zero unless somebody wants the times: reading the clock costs some 25 ns.
double Loop::clock() const { return timing_ ? now_seconds() : 0; }

template <Event event>
inline void Loop::fire() {
  const double start = clock();
  dispatcher_->fire<event>(batch_context_);
  times_.callbacks += clock() - start;
}

void Loop::validate_batches() {
  at::NoGradGuard no_grad;
  config.val->begin_epoch();
  const auto work = [&] {
    start_part(Part::validate, config.val->batches());
    while (config.val->next(batch_)) {
      validate_batch();
      check_outside();
    }
  };
  finally(work, [&] { config.val->end_epoch(); });
}

void Loop::validate_batch() {
  begin_batch();
  val_recorder_.begin_row();
  will_update_ = false;
  dispatcher_->fire<Event::on_val_batch_start>(batch_context_);
  config.engine->step(Mode::eval, batch_, result_);
  sums_.add(loss(), result_, batch_.samples);
  dispatcher_->fire<Event::on_val_batch_end>(batch_context_);
  publish(++progress_.batch);
}

// The batch is in hand; nothing is known of it yet.
void Loop::begin_batch() {
  progress_.samples = batch_.samples;
  loss_known_ = false;
  result_.loss.reset();
  result_.outputs.clear();
}

void Loop::train_batch() {
  const double start = clock();
  begin_batch();
  progress_.samples_seen += batch_.samples;
  skip_batch_ = false;
  write([&] { recorder_.begin_row(); });
  const std::int64_t number = progress_.batch + 1;
  will_update_ = number % config.accumulate == 0 || number == progress_.batches;
  fire<Event::on_train_batch_start>();
  config.engine->step(Mode::train, batch_, result_);
  static_cast<void>(loss());  // read before anything may change what it shares memory with
  record();
  backward_done();
  if (will_update_) end_group();
  if (!skip_batch_) sums_.add(loss_, result_, batch_.samples);
  fire<Event::on_train_batch_end>();
  publish(++progress_.batch);
  times_.step = clock() - start - times_.callbacks;
  step_times_ = times_;
  if (timing_) record_times();
}

// Into the batch's row, which is open until the next one's.
void Loop::record_times() {
  write([&] {
    recorder_.set("time/data", step_times_.data);
    recorder_.set("time/step", step_times_.step);
    recorder_.set("time/callbacks", step_times_.callbacks);
  });
}

void Loop::backward_done() {
  if (grads_pending_)
    accumulate(grads_, result_.grads);
  else
    grads_.swap(result_.grads);
  grads_pending_ = true;
  fire<Event::on_backward_end>();
}

// The group's gradients are complete: a step, unless a batch of it asked for none.
void Loop::end_group() {
  if (!skip_group_) update();
  fire<Event::on_before_zero_grad>();
  grads_.clear();
  grads_pending_ = false;
  skip_group_ = false;
}

void Loop::update() {
  if (config.clip_norm || config.clip_value) {
    const std::vector<at::Tensor> grads = defined_only(grads_);
    if (config.clip_norm) clip_grad_norm(grads, *config.clip_norm);
    if (config.clip_value) clip_grad_value(grads, *config.clip_value);
  }
  fire<Event::optimizer_step>();
  if (skip_group_) return;
  config.optimizer->step(grads_);
  ++progress_.global_step;
  ++epoch_steps_;
  apply_schedule();
  fire<Event::on_params_update>();
}

// The short last group of a stop, or of a source that could not tell its length: its last batch updates after all.
void Loop::late_update() {
  --progress_.batch;
  will_update_ = true;
  end_group();
  publish(++progress_.batch);
}

// Sets the hyper-parameters and tensors of the coming optimizer step; past the table's end the last ones stay.
void Loop::apply_schedule() {
  const std::size_t hypers = num_groups() * kHyperFields;
  const std::size_t row = hypers + config.scheduled.size();
  const std::size_t first = static_cast<std::size_t>(epoch_steps_) * row;
  if (first + row > schedule_.size()) return;
  for (std::size_t group = 0; group < num_groups(); ++group) set_hyper(group, &schedule_[first + group * kHyperFields]);
  for (std::size_t i = 0; i < config.scheduled.size(); ++i) {
    const double value = schedule_[first + hypers + i];
    if (!std::isnan(value)) config.scheduled[i].fill_(value);
  }
}

void Loop::set_hyper(std::size_t group, const double* fields) {
  Hyper& hyper = config.optimizer->hyper(group);
  const auto set = [](double& field, double value) {
    if (!std::isnan(value)) field = value;
  };
  set(hyper.lr, fields[0] * lr_factor_);
  set(hyper.momentum, fields[1]);
  set(hyper.beta1, fields[2]);
  set(hyper.beta2, fields[3]);
  set(hyper.weight_decay, fields[4]);
}

void Loop::record() {
  const double rate = lr(0);
  write([&] {
    recorder_.set("loss", loss_);
    recorder_.set("lr", rate);
  });
}

// What came from outside while the batch ran: other threads' votes, signals.
void Loop::check_outside() {
  check_outside_votes();
  if (!SignalWatch::pending()) [[likely]]
    return;
  SignalWatch::clear();
  if (config.hooks.check_signals) config.hooks.check_signals();
}

void Loop::start_part(Part part, std::int64_t batches) {
  part_ = part;
  progress_.batch = 0;
  progress_.batches = batches;
  part_start_ = now_seconds();
  publish(0);
}

void Loop::publish(std::int64_t done) {
  const double seconds = now_seconds() - part_start_;
  const std::int64_t training = part_ == Part::train ? 1 : part_ == Part::validate ? 0 : -1;
  peek_.store(
      {progress_.epoch, progress_.epochs, done, progress_.batches, progress_.global_step, loss_, seconds, training});
}

}  // namespace pyhooks
