// What contexts ask the loop for.
#include <stdexcept>

#include "core/loop.h"

namespace pyhooks {

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
