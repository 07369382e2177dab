#include "trainer/resume.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>

#include <mutex>
#include <stdexcept>

#include "optim/options.h"
#include "trainer/callback_states.h"

namespace pyhooks {

namespace {

at::Tensor default_rng_state() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  return generator.get_state();
}

void set_default_rng_state(const at::Tensor& state) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  generator.set_state(state);
}

// --- writing ---------------------------------------------------------------------------------------------------------

Json to_json(const OptionValue& value) {
  return std::visit(
      [](const auto& plain) -> Json {
        if constexpr (std::is_same_v<decltype(plain), const std::monostate&>)
          return {};
        else
          return plain;
      },
      value);
}

Json to_json(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

Json to_json(const Metrics& metrics) {
  Json::Object object;
  for (const auto& [name, value] : metrics) object.emplace_back(name, value);
  return object;
}

Json history_of(const Loop& loop) {
  Json::Array epochs;
  for (const Metrics& metrics : loop.history()) epochs.push_back(to_json(metrics));
  const auto last = static_cast<std::int64_t>(epochs.size()) - 1;
  if (loop.progress().epoch == last) epochs.back() = to_json(loop.metrics());  // with what was logged at this event
  return epochs;
}

Json group_to_json(const ClassInfo& info, const ParamGroup& group) {
  Json::Object object;
  for (const auto& [name, value] : other_options(info, group)) object.emplace_back(name, to_json(value));
  const Hyper& hyper = group.hyper;
  object.emplace_back("hyper", Json::Array{hyper.lr, hyper.momentum, hyper.beta1, hyper.beta2, hyper.weight_decay});
  return object;
}

Json optimizer_of(const TrainerParts& parts) {
  Json::Array groups;
  for (std::size_t i = 0; i < parts.optimizer->groups(); ++i)
    groups.push_back(group_to_json(optimizer_info(parts.optimizer_name), parts.optimizer->group(i)));
  return groups;
}

// The trained parameters in the order of torch.optim's groups, by which a checkpoint numbers them.
std::vector<std::size_t> order_of(FusedOptimizer& optimizer) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < optimizer.groups(); ++i)
    order.insert(order.end(), optimizer.group(i).params.begin(), optimizer.group(i).params.end());
  return order;
}

// What must be the same to go on from a checkpoint, in words. Python callbacks are not among it: there are none here.
Json kinds_of(const TrainerParts& parts) {
  Json::Array groups;
  for (std::size_t i = 0; i < parts.optimizer->groups(); ++i)
    groups.push_back(std::to_string(parts.optimizer->group(i).params.size()) + " tensors");
  return Json::Object{
      {"optimizer", parts.optimizer_class}, {"parameter groups", std::move(groups)}, {"scheduler", Json()}};
}

TensorMap tensors_of(const TrainerParts& parts) {
  TensorMap tensors{{"rng.default", default_rng_state()}};
  for (const auto& [name, tensor] : parts.state) tensors[name] = tensor;
  if (const at::Tensor state = parts.batches->generator_state(); state.defined()) tensors["rng.sampler"] = state;
  const std::vector<std::size_t> order = order_of(*parts.optimizer);
  for (std::size_t i = 0; i < order.size(); ++i)
    for (const auto& [key, tensor] : parts.optimizer->states()[order[i]])
      tensors["optimizer." + std::to_string(i) + "." + key] = tensor;
  return tensors;
}

// --- reading ---------------------------------------------------------------------------------------------------------

std::string shape_of(const at::Tensor& tensor) { return c10::str(tensor.sizes()); }

[[noreturn]] void misfit(const std::string& name, const std::string& theirs, const std::string& ours) {
  throw std::invalid_argument("the checkpoint does not fit the model: " + name + " is " + theirs +
                              " in the checkpoint and " + ours + " here");
}

void check_state(const TrainerParts& parts, const Checkpoint& checkpoint) {
  std::map<std::string, std::string> ours;
  for (const auto& [name, tensor] : parts.state) ours[name] = shape_of(tensor);
  for (const auto& [name, shape] : ours) {
    const auto found = checkpoint.tensors.find(name);
    if (found == checkpoint.tensors.end()) misfit(name, "none", shape);
    if (shape_of(found->second) != shape) misfit(name, shape_of(found->second), shape);
  }
  for (const auto& [name, tensor] : checkpoint.tensors)
    if ((name.starts_with("model.") || name.starts_with("loss.")) && !ours.contains(name))
      misfit(name, shape_of(tensor), "none");
  if (const Json* extra = checkpoint.meta.find("extra"))
    for (const auto& [name, value] : extra->object()) misfit(name, "extra state", "none");
}

void check_kinds(const TrainerParts& parts, const Checkpoint& checkpoint) {
  const Json ours = kinds_of(parts);
  for (const auto& [word, theirs] : checkpoint.meta.at("kinds").object()) {
    if (word == "callbacks" || theirs == ours.at(word)) continue;
    throw std::invalid_argument("the checkpoint was made with the " + word + " " + theirs.dump() +
                                ", this trainer has " + ours.at(word).dump());
  }
  for (const Json& group : checkpoint.meta.at("optimizer").array())
    if (const Json* flag = group.find("decoupled_weight_decay"))
      if (flag->is_bool() && flag->boolean() != (parts.optimizer_name == "adamw"))
        throw std::invalid_argument("the checkpoint's Adam and this trainer's differ in decoupled_weight_decay");
}

void load_group(ParamGroup& group, const Json& saved) {
  for (const auto& [name, value] : saved.object()) {  // those that only torch.optim has say how, not what, it computes
    if (value.is_bool()) set_option(group, name, value.boolean());
    if (value.is_integer() || value.is_float()) set_option(group, name, value.number());
  }
  const Json::Array& hyper = saved.at("hyper").array();
  group.hyper = {hyper.at(0).number(), hyper.at(1).number(), hyper.at(2).number(), hyper.at(3).number(),
                 hyper.at(4).number()};
}

// A state tensor with its parameter's strides: a file keeps none, and the fused kernels go through both in step.
at::Tensor laid_out_as(const at::Tensor& param, const at::Tensor& value) {
  if (value.sizes() != param.sizes()) return value.clone();
  return at::empty_like(param, param.options().dtype(value.scalar_type())).copy_(value);
}

void load_optimizer(TrainerParts& parts, const Checkpoint& checkpoint) {
  std::vector<ParamGroup> groups;
  for (std::size_t i = 0; i < parts.optimizer->groups(); ++i) {
    groups.push_back(parts.optimizer->group(i));
    load_group(groups.back(), checkpoint.meta.at("optimizer").array().at(i));
  }
  std::vector<ParamState> states(parts.parameters.size());
  const std::vector<std::size_t> order = order_of(*parts.optimizer);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::string prefix = "optimizer." + std::to_string(i) + ".";
    for (auto found = checkpoint.tensors.lower_bound(prefix);
         found != checkpoint.tensors.end() && found->first.starts_with(prefix); ++found)
      states[order[i]][found->first.substr(prefix.size())] =
          laid_out_as(parts.parameters[order[i]].second, found->second);
  }
  std::vector<at::Tensor> params;
  for (const auto& [name, tensor] : parts.parameters) params.push_back(tensor);
  parts.optimizer = make_fused_optimizer(parts.optimizer_name, std::move(params), std::move(groups), std::move(states));
}

std::vector<std::string> python_callbacks(const Json& meta) {
  std::vector<std::string> kinds;
  if (const Json* callbacks = meta.find("callbacks"))
    for (const Json& callback : callbacks->array()) kinds.push_back(callback.at("kind").string());
  return kinds;
}

std::optional<double> number_or_none(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional(json.number());
}

}  // namespace

Checkpoint take_checkpoint(const TrainerParts& parts, const std::vector<std::string>& asked_for) {
  if (!parts.loop)
    throw std::logic_error("a checkpoint was asked for before fit(): there is nothing to save but the model itself");
  const Loop& loop = *parts.loop;
  TensorMap tensors = tensors_of(parts);
  Json native = save_states(*parts.dispatcher, tensors);
  Json history = history_of(loop);
  const auto epochs_done = static_cast<std::int64_t>(history.array().size());
  Json::Object meta{{"epochs_done", epochs_done},
                    {"global_step", loop.progress().global_step},
                    {"best_fitness", to_json(loop.best_fitness())},
                    {"best_epoch", loop.best_fitness() ? Json(loop.best_epoch()) : Json()},
                    {"history", std::move(history)},
                    {"optimizer", optimizer_of(parts)},
                    {"kinds", kinds_of(parts)},
                    {"scheduler", Json()},
                    {"native", std::move(native)},
                    {"extra", Json::Object()}};
  if (!asked_for.empty()) meta.emplace_back("asked_for", Json::Array(asked_for.begin(), asked_for.end()));
  return {std::move(tensors), std::move(meta)};
}

std::vector<std::string> load_checkpoint(TrainerParts& parts, Checkpoint checkpoint) {
  check_kinds(parts, checkpoint);
  check_state(parts, checkpoint);
  std::map<std::string, StateMap> states = states_in(checkpoint, *parts.dispatcher);
  at::NoGradGuard no_grad;
  load_optimizer(parts, checkpoint);
  parts.callback_states = std::move(states);
  for (auto& [name, tensor] : parts.state) tensor.copy_(checkpoint.tensors.at(name));
  std::vector<std::string> left = python_callbacks(checkpoint.meta);
  parts.resumes_from = std::move(checkpoint);
  return left;
}

void resume(TrainerParts& parts) {
  const Json& meta = parts.resumes_from->meta;
  const TensorMap& tensors = parts.resumes_from->tensors;
  LoopConfig& config = parts.loop->config;
  const std::int64_t done = meta.at("epochs_done").integer();
  if (done >= config.epochs)
    throw std::invalid_argument("the checkpoint was made after epoch " + std::to_string(done) +
                                ", and fit was asked for " + std::to_string(config.epochs) +
                                " epochs in all: ask for more epochs to go on");
  config.start_epoch = done;
  config.start_step = meta.at("global_step").integer();
  std::vector<Metrics> history;
  for (const Json& epoch : meta.at("history").array()) {
    history.emplace_back();
    for (const auto& [name, value] : epoch.object()) history.back().emplace_back(name, value.number());
  }
  const Json& best_epoch = meta.at("best_epoch");
  parts.loop->restore(number_or_none(meta.at("best_fitness")), best_epoch.is_null() ? -1 : best_epoch.integer(),
                      std::move(history));
  set_default_rng_state(tensors.at("rng.default"));
  if (tensors.contains("rng.sampler") && parts.batches->generator_state().defined())
    parts.batches->set_generator_state(tensors.at("rng.sampler"));
  parts.resumes_from.reset();
}

}  // namespace pyhooks
