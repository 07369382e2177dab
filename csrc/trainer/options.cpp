#include "trainer/options.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "engines/cpp_engine.h"
#include "optim/options.h"

namespace pyhooks {

namespace {

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument("Trainer: " + why); }

void check_parameter(const std::string& name, const at::Tensor& tensor) {
  if (!tensor.requires_grad()) return;
  if (!tensor.is_leaf() || tensor.layout() != at::kStrided || !tensor.is_floating_point())
    refuse("parameter '" + name + "' must be a leaf, dense and floating");
}

void check_above_zero(const char* name, const std::optional<double>& value) {
  if (value && !(*value > 0)) refuse(std::string(name) + " is " + std::to_string(*value) + "; it must be above 0");
}

void check(const TrainerOptions& options) {
  if (!options.step) refuse("no step is given; it computes the loss of a batch");
  std::set<std::string> names;
  for (const NamedTensors* list : {&options.parameters, &options.buffers})
    for (const auto& [name, tensor] : *list) {
      if (!names.insert(name).second) refuse("two tensors are called '" + name + "'");
      if (!tensor.defined()) refuse("tensor '" + name + "' is undefined");
    }
  for (const auto& [name, tensor] : options.parameters) check_parameter(name, tensor);
  std::set<std::string> metrics{"loss"};
  for (const Metric& metric : options.metrics)
    if (!metric.stats || !metrics.insert(metric.name).second)
      refuse("metric '" + metric.name + "' has no function, or a name that is taken");
  if (options.accumulate < 1) refuse("accumulate is " + std::to_string(options.accumulate) + "; it must be at least 1");
  check_above_zero("clip_norm", options.clip_norm);
  check_above_zero("clip_value", options.clip_value);
}

// A tensor that has two names is trained once, under the first.
NamedTensors each_once(const NamedTensors& tensors) {
  NamedTensors found;
  for (const auto& named : tensors)
    if (std::none_of(found.begin(), found.end(), [&](const auto& other) { return other.second.is_same(named.second); }))
      found.push_back(named);
  return found;
}

NamedTensors trained(const NamedTensors& parameters) {
  NamedTensors found;
  for (const auto& named : each_once(parameters))
    if (named.second.requires_grad()) found.push_back(named);
  if (found.empty()) refuse("no parameter requires gradients; there is nothing to train");
  return found;
}

std::vector<at::Tensor> tensors_of(const NamedTensors& named) {
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : named) tensors.push_back(tensor);
  return tensors;
}

std::size_t index_of(const std::string& name, const NamedTensors& parameters) {
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (parameters[i].first == name) return i;
  refuse("the optimizer's groups name '" + name + "', which is no parameter");
}

std::vector<ParamGroup> groups_of(const OptimizerOptions& options, const ClassInfo& info,
                                  const NamedTensors& parameters) {
  std::vector<OptimizerGroup> wanted = options.groups;
  if (wanted.empty()) {
    wanted.emplace_back();
    for (const auto& [name, tensor] : parameters) wanted[0].params.push_back(name);
  }
  std::vector<ParamGroup> groups;
  std::set<std::size_t> placed;
  for (OptimizerGroup& group : wanted) {
    std::vector<std::size_t> indices;
    for (const std::string& name : group.params) {
      indices.push_back(index_of(name, parameters));
      if (!placed.insert(indices.back()).second) refuse("the optimizer's groups name '" + name + "' twice");
    }
    group.options.insert(options.options.begin(), options.options.end());
    groups.push_back(make_group(info, std::move(indices), group.options));
  }
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (!placed.contains(i)) refuse("the optimizer's groups lack parameter '" + parameters[i].first + "'");
  return groups;
}

}  // namespace

std::unique_ptr<TrainerParts> make_parts(TrainerOptions options) {
  check(options);
  const ClassInfo& info = optimizer_info(options.optimizer.name);
  auto parts = std::make_unique<TrainerParts>();
  parts->parameters = trained(options.parameters);
  parts->buffers = each_once(options.buffers);
  for (const NamedTensors* list : {&options.parameters, &options.buffers})
    for (const auto& [name, tensor] : *list) parts->state.emplace_back("model." + name, tensor);
  const std::vector<at::Tensor> params = tensors_of(parts->parameters);
  parts->optimizer = make_fused_optimizer(info.name, params, groups_of(options.optimizer, info, parts->parameters), {});
  parts->optimizer_name = info.name;
  parts->optimizer_class = info.class_name;
  for (const Metric& metric : options.metrics) parts->metrics.push_back(metric.name);
  parts->accumulate = options.accumulate;
  parts->clip_norm = options.clip_norm;
  parts->clip_value = options.clip_value;
  parts->fitness = std::move(options.fitness);
  parts->set_training = options.set_training;
  parts->engine = std::make_shared<CppEngine>(CppEngine::Parts{.step = std::move(options.step),
                                                               .set_training = std::move(options.set_training),
                                                               .metrics = std::move(options.metrics),
                                                               .params = params,
                                                               .accumulate = options.accumulate});
  return parts;
}

}  // namespace pyhooks
