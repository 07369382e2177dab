// What contexts ask the loop for.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/clone.h>

#include <chrono>
#include <stdexcept>

#include "core/loop.h"

namespace pyhooks {

namespace {

/// Writes the checkpoint that was asked for, after the votes and before anybody looks.
class Saver final : public Callback {
 public:
  explicit Saver(std::function<void()> save) : save_(std::move(save)) {}
  Phase phase() const override { return Phase::save; }
  void on_fit_epoch_end(Context&) override { save_(); }

 private:
  std::function<void()> save_;
};

std::vector<at::Tensor> copies(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> result;
  for (const at::Tensor& tensor : tensors) result.push_back(tensor.detach().clone());
  return result;
}

}  // namespace

double Loop::seconds() const {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count() - run_start_;
}

void Loop::skip_step() {
  const Event event = dispatcher_->current_event();
  const bool made = event == Event::on_params_update || event == Event::on_before_zero_grad;
  if (part_ != Part::train || made || (!grads_pending_ && event != Event::on_train_batch_start))
    throw std::logic_error("skip_step() was called at " + std::string(info(event).name) +
                           ", where no step is to come; call it from on_train_batch_start to optimizer_step");
  skip_batch_ = skip_group_ = true;
}

double Loop::loss() {
  if (!loss_known_) {
    loss_ = result_.loss.defined() ? scalar_value(result_.loss) : Hyper::none;
    loss_known_ = result_.loss.defined();
  }
  return loss_;
}

std::size_t Loop::num_groups() const { return config.optimizer ? config.optimizer->groups() : 0; }

double Loop::lr(std::size_t group) const {
  if (group >= num_groups())
    throw std::out_of_range("learning rate of group " + std::to_string(group) + " asked for, but the optimizer has " +
                            std::to_string(num_groups()) + " groups");
  return std::as_const(*config.optimizer).hyper(group).lr;
}

void Loop::set_lr(double value, std::size_t group) {
  static_cast<void>(lr(group));  // checks the number
  config.optimizer->hyper(group).lr = value;
}

void Loop::scale_lr(double factor) {
  if (!(factor > 0))
    throw std::invalid_argument("scale_lr was given " + std::to_string(factor) + "; the factor must be above 0");
  lr_factor_ *= factor;
  for (std::size_t group = 0; group < num_groups(); ++group) config.optimizer->hyper(group).lr *= factor;
}

std::size_t Loop::num_optimizer_tensors() {
  optimizer_tensors_ = config.optimizer->state_tensors();
  return optimizer_tensors_.size();
}

at::Tensor& Loop::grad(std::size_t i) {
  if (i >= config.params.size())
    throw std::out_of_range("gradient " + std::to_string(i) + " asked for, but " +
                            std::to_string(config.params.size()) + " parameters are trained");
  if (i >= grads_.size()) grads_.resize(config.params.size());  // before backward: undefined tensors
  return grads_[i];
}

void Loop::request_stop(std::string_view reason) {
  Registration* who = dispatcher_->current();
  if (who) ++who->stats.stops;
  vote(who ? who->label : "trainer", reason);
}

void Loop::request_save(std::string_view reason) {
  const Registration* who = dispatcher_->current();
  save_requests_.push_back((who ? who->label : "trainer") + ": " + std::string(reason));
  if (std::exchange(saver_added_, true)) return;
  add_callback(std::make_shared<Saver>([this] { save_if_asked(); }), overridden_events<Saver>(), "requested checkpoint",
               0);
}

void Loop::snapshot(std::string_view reason) {
  at::NoGradGuard no_grad;
  const Registration* who = dispatcher_->current();
  MemorySnapshot taken{who ? who->label : "trainer",
                       std::string(reason),
                       progress_.epoch,
                       part_ == Part::between ? -1 : progress_.batch,
                       progress_.global_step,
                       copies(config.params),
                       copies(config.buffers),
                       copies(config.optimizer->state_tensors())};
  write([&] {
    if (snapshots_.size() == kMostSnapshots) snapshots_.pop_front();
    snapshots_.push_back(std::move(taken));
  });
}

std::uint64_t Loop::add_callback(std::shared_ptr<Callback> callback, EventMask events, std::string_view label,
                                 std::int64_t priority) {
  added_.push_back(dispatcher_->add(std::move(callback), events, {}, std::string(label), true, {.priority = priority}));
  return added_.back();
}

std::uint64_t Loop::current_callback() const {
  const Registration* who = std::as_const(*dispatcher_).current();
  return who ? who->id : 0;
}

std::vector<std::string> Loop::log_names() const {
  std::vector<std::string> names = recorder_.names();
  for (const auto& registration : dispatcher_->registrations())
    if (registration->native)  // Python logs to epochs
      for (std::string& name : registration->callback->logs()) names.push_back(std::move(name));
  return names;
}

bool Loop::logged(std::string_view name, double& value) const {
  const double* found = part_ == Part::train ? recorder_.open_value(name) : nullptr;
  if (found) value = *found;
  return found != nullptr;
}

void Loop::log(std::string_view name, double value) {
  if (part_ == Part::train)
    write([&] { recorder_.set(name, value); });
  else if (part_ == Part::validate)
    val_recorder_.set(name, value);
  else
    note(name, value);
}

bool Loop::metric(std::string_view name, double& value) const {
  const double* found = find_metric(metrics_, name);
  if (found) value = *found;
  return found != nullptr;
}

}  // namespace pyhooks
