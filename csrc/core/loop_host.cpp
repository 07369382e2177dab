// What contexts ask the loop for.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/clone.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
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

void check_index(std::size_t i, std::size_t count, const char* what, const char* owner, const char* things) {
  if (i < count) return;
  const auto number = static_cast<std::int64_t>(i);  // -1 is -1, as the caller wrote it
  throw std::out_of_range(std::string(what) + " " + std::to_string(number) + " asked for, but " + owner + " " +
                          std::to_string(count) + " " + things);
}

template <class Items>
auto& nth(Items& items, std::size_t i, const char* what, const char* owner, const char* things) {
  check_index(i, items.size(), what, owner, things);
  return items[i];
}

// As short as can be: -1, 1e-09, nan.
std::string shown(double value) {
  if (std::isnan(value)) return "nan";
  std::array<char, 32> digits;
  return {digits.data(), std::to_chars(digits.begin(), digits.end(), value).ptr};
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
  check_index(group, num_groups(), "learning rate of group", "the optimizer has", "groups");
  return std::as_const(*config.optimizer).hyper(group).lr;
}

void Loop::set_lr(double value, std::size_t group) {
  static_cast<void>(lr(group));  // checks the number
  if (!(value >= 0) || std::isinf(value))
    throw std::invalid_argument("set_lr was given " + shown(value) + "; a learning rate is a finite number, 0 or more");
  config.optimizer->hyper(group).lr = value;
}

void Loop::scale_lr(double factor) {
  if (!(factor > 0) || std::isinf(factor))
    throw std::invalid_argument("scale_lr was given " + shown(factor) + "; the factor is a finite number above 0");
  lr_factor_ *= factor;
  for (std::size_t group = 0; group < num_groups(); ++group) config.optimizer->hyper(group).lr *= factor;
}

std::size_t Loop::num_optimizer_tensors() {
  optimizer_tensors_ = config.optimizer->state_tensors();
  return optimizer_tensors_.size();
}

std::string_view Loop::param_name(std::size_t i) const {
  return nth(config.param_names, i, "parameter", "the model has", "trained parameters");
}

at::Tensor& Loop::param(std::size_t i) {
  return nth(config.params, i, "parameter", "the model has", "trained parameters");
}

at::Tensor& Loop::grad(std::size_t i) {
  check_index(i, config.params.size(), "gradient", "the model has", "trained parameters");
  if (i >= grads_.size()) grads_.resize(config.params.size());  // before backward: undefined tensors
  return grads_[i];
}

std::string_view Loop::buffer_name(std::size_t i) const {
  return nth(config.buffer_names, i, "buffer", "the model has", "buffers");
}

at::Tensor& Loop::buffer(std::size_t i) { return nth(config.buffers, i, "buffer", "the model has", "buffers"); }

at::Tensor& Loop::optimizer_tensor(std::size_t i) {
  if (i >= optimizer_tensors_.size()) num_optimizer_tensors();  // not asked for before, or made since
  return nth(optimizer_tensors_, i, "optimizer tensor", "the optimizer has", "state tensors");
}

const at::Tensor& Loop::input(std::size_t i) const {
  return nth(batch_.tensors, i, "input", "the batch has", "tensors");
}

const at::Tensor& Loop::output(std::size_t i) const {
  return nth(result_.outputs, i, "output", "the model has returned", "tensors");
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
