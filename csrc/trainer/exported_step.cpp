// Steps that pyhooks/export.py has written: a checkpoint file whose metadata holds the captured programs.
#include <ATen/ops/empty_strided.h>

#include <stdexcept>

#include "engines/graph_engine.h"
#include "engines/program_json.h"
#include "files/checkpoint_file.h"
#include "optim/options.h"
#include "trainer/parts.h"

namespace pyhooks {

namespace {

constexpr std::int64_t kFormat = 1;

std::vector<std::int64_t> integers(const Json& json) {
  std::vector<std::int64_t> numbers;
  for (const Json& number : json.array()) numbers.push_back(number.integer());
  return numbers;
}

/// A batch's tensor as the plan for it was captured.
struct BatchTensor {
  std::string dtype;
  std::vector<std::int64_t> shape;

  bool operator==(const BatchTensor&) const = default;
};
using BatchKind = std::vector<BatchTensor>;

BatchKind kind_of(const Batch& batch) {
  BatchKind kind;
  for (const at::Tensor& tensor : batch.tensors)
    kind.push_back({std::string(c10::getDtypeNames(tensor.scalar_type()).first), tensor.sizes().vec()});
  return kind;
}

BatchKind kind_of(const Json& batch) {
  BatchKind kind;
  for (const Json& tensor : batch.array()) kind.push_back({tensor.at("dtype").string(), integers(tensor.at("shape"))});
  return kind;
}

std::string describe(const BatchKind& kind) {
  std::string text;
  for (const BatchTensor& tensor : kind)
    text += (text.empty() ? "" : ", ") + tensor.dtype + c10::str(c10::IntArrayRef(tensor.shape));
  return "(" + text + ")";
}

/// Plans from a file.
class ExportedPlans final : public PlanProvider {
 public:
  struct Exported {
    std::string mode;
    BatchKind batch;
    std::shared_ptr<CapturedStep> step;
  };

  explicit ExportedPlans(std::vector<Exported> plans) : plans_(std::move(plans)) {}

  std::variant<std::shared_ptr<CapturedStep>, std::shared_ptr<StepEngine>> capture(Mode mode,
                                                                                   const Batch& batch) override {
    const BatchKind kind = kind_of(batch);
    std::string known;
    for (const Exported& plan : plans_) {
      if (plan.mode != mode_name(mode)) continue;
      if (plan.batch == kind) return plan.step;
      known += (known.empty() ? "" : ", ") + describe(plan.batch);
    }
    throw std::invalid_argument("the exported step has no plan to " + std::string(mode_name(mode)) + " on a batch of " +
                                describe(kind) + "; it has: " + (known.empty() ? "none" : known) +
                                ". Export it with data and a batch_size that make such batches");
  }

  // Nothing is here to compare with; Python has verified the plans before it wrote them.
  std::shared_ptr<StepEngine> verify(Mode, const CapturedStep&, const Batch&, StepResult&,
                                     const std::function<void()>& run) override {
    run();
    return nullptr;
  }

 private:
  std::vector<Exported> plans_;
};

ExportedPlans::Exported plan_from(const Json& json, const TensorMap& tensors) {
  auto step = std::make_shared<CapturedStep>();
  step->plan = std::make_shared<Plan>(program_from(json.at("program"), tensors));
  for (const Json& name : json.at("fixed").array()) step->fixed.push_back(tensors.at(name.string()));
  step->n_stats = static_cast<std::size_t>(json.at("n_stats").integer());
  step->n_outputs = static_cast<std::size_t>(json.at("n_outputs").integer());
  step->draws_random = json.at("draws_random").boolean();
  return {json.at("mode").string(), kind_of(json.at("batch")), std::move(step)};
}

std::shared_ptr<StepEngine> engine_from(const Json& meta, const TensorMap& tensors) {
  std::vector<ExportedPlans::Exported> plans;
  for (const Json& plan : meta.at("plans").array()) plans.push_back(plan_from(plan, tensors));
  return std::make_shared<GraphEngine>(std::make_shared<ExportedPlans>(std::move(plans)));
}

// A file keeps tensors contiguous; kernels may compute other bits on other strides.
void restore_strides(const Json& strides, TensorMap& tensors) {
  for (const auto& [name, numbers] : strides.object()) {
    at::Tensor& tensor = tensors.at(name);
    tensor = at::empty_strided(tensor.sizes(), integers(numbers), tensor.options()).copy_(tensor);
  }
}

ParamGroup group_from(const Json& json) {
  ParamGroup group;
  for (const Json& index : json.at("params").array()) group.params.push_back(static_cast<std::size_t>(index.integer()));
  for (const auto& [name, value] : json.at("options").object()) {
    if (value.is_null()) continue;
    if (!set_option(group, name, value.is_bool() ? OptionValue(value.boolean()) : OptionValue(value.number())))
      throw std::invalid_argument("its optimizer has the option '" + name + "', which this pyhooks does not know");
  }
  return group;
}

std::shared_ptr<FusedOptimizer> optimizer_from(const Json& json, const NamedTensors& parameters,
                                               const TensorMap& tensors) {
  std::vector<ParamGroup> groups;
  for (const Json& group : json.at("groups").array()) groups.push_back(group_from(group));
  std::vector<at::Tensor> params;
  std::vector<ParamState> states;
  for (const auto& [name, tensor] : parameters) {
    params.push_back(tensor);
    states.emplace_back();
    const std::string prefix = "optimizer." + std::to_string(states.size() - 1) + ".";
    for (const auto& [key, state] : tensors)
      if (key.starts_with(prefix)) states.back()[key.substr(prefix.size())] = state;
  }
  return make_fused_optimizer(json.at("name").string(), std::move(params), std::move(groups), std::move(states));
}

std::optional<double> number_or_none(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional(json.number());
}

NamedTensors named(const Json& names, const TensorMap& tensors) {
  NamedTensors found;
  for (const auto& [name, tensor] : names.object()) found.emplace_back(name, tensors.at(tensor.string()));
  return found;
}

std::unique_ptr<TrainerParts> parts_from(const Json& meta, TensorMap& tensors) {
  restore_strides(meta.at("strides"), tensors);
  auto parts = std::make_unique<TrainerParts>();
  parts->parameters = named(meta.at("parameters"), tensors);
  parts->buffers = named(meta.at("buffers"), tensors);
  parts->state = named(meta.at("state"), tensors);
  parts->engine = engine_from(meta, tensors);
  for (const Json& name : meta.at("metrics").array()) parts->metrics.push_back(name.string());
  parts->accumulate = meta.at("accumulate").integer();
  parts->clip_norm = number_or_none(meta.at("clip_norm"));
  parts->clip_value = number_or_none(meta.at("clip_value"));
  if (const Json& fitness = meta.at("fitness"); !fitness.is_null()) parts->fitness = fitness.string();
  const Json& optimizer = meta.at("optimizer");
  parts->optimizer_name = optimizer.at("name").string();
  parts->optimizer_class = optimizer.at("class").string();
  parts->optimizer = optimizer_from(optimizer, parts->parameters, tensors);
  return parts;
}

}  // namespace

Trainer load_step(const std::string& path) {
  Checkpoint file = read_checkpoint(path);
  const Json* format = file.meta.find("step_format");
  if (!format) throw CheckpointError(path + " is a checkpoint, not a step that trainer.export_step wrote");
  if (format->integer() > kFormat)
    throw CheckpointError(path + " has step format " + std::to_string(format->integer()) +
                          ", this pyhooks reads up to " + std::to_string(kFormat) + "; upgrade pyhooks");
  try {
    return Trainer(parts_from(file.meta, file.tensors));
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument("the step in " + path + ", exported with torch " + file.meta.at("torch").string() +
                                ", cannot be used here: " + error.what());
  }
}

}  // namespace pyhooks
