#include "optim/options.h"

#include <stdexcept>
#include <variant>

#include "core/registry.h"

namespace pyhooks {

namespace {

const OptionSpec kMomentum{"momentum", "float", 0.0, "share of the last step that is taken again"};
const OptionSpec kDampening{"dampening", "float", 0.0, "share of the gradient that momentum does not take up"};
const OptionSpec kNesterov{"nesterov", "bool", false, "look ahead along the momentum"};
const OptionSpec kBeta1{"beta1", "float", 0.9, "decay of the gradients' mean"};
const OptionSpec kBeta2{"beta2", "float", 0.999, "decay of the squared gradients' mean"};
const OptionSpec kAmsgrad{"amsgrad", "bool", false, "divide by the largest mean of squares so far"};
const OptionSpec kLrDecay{"lr_decay", "float", 0.0, "decay of the learning rate, per step"};
const OptionSpec kMaximize{"maximize", "bool", false, "go uphill"};

OptionSpec lr(double value) { return {"lr", "float", value, "learning rate"}; }
OptionSpec weight_decay(double value) { return {"weight_decay", "float", value, "decay of the weights"}; }
OptionSpec eps(double value) { return {"eps", "float", value, "added to what is divided by"}; }

ClassInfo described(std::string name, std::string class_name, std::vector<OptionSpec> options) {
  return {"optimizer", std::move(name), class_name, "torch.optim." + class_name, std::move(options), 0, nullptr};
}

const std::vector<ClassInfo>& infos() {
  static const std::vector<ClassInfo> all{
      described("sgd", "SGD", {lr(1e-3), kMomentum, kDampening, weight_decay(0), kNesterov, kMaximize}),
      described("adam", "Adam", {lr(1e-3), kBeta1, kBeta2, eps(1e-8), weight_decay(0), kAmsgrad, kMaximize}),
      described("adamw", "AdamW", {lr(1e-3), kBeta1, kBeta2, eps(1e-8), weight_decay(1e-2), kAmsgrad, kMaximize}),
      described("adagrad", "Adagrad", {lr(1e-2), kLrDecay, weight_decay(0), eps(1e-10), kMaximize}),
  };
  return all;
}

/// Where a group keeps an option.
struct Field {
  const char* name;
  std::variant<double Hyper::*, double ParamGroup::*, bool ParamGroup::*> member;
};

constexpr Field kFields[] = {
    {"lr", &Hyper::lr},
    {"momentum", &Hyper::momentum},
    {"beta1", &Hyper::beta1},
    {"beta2", &Hyper::beta2},
    {"weight_decay", &Hyper::weight_decay},
    {"eps", &ParamGroup::eps},
    {"dampening", &ParamGroup::dampening},
    {"lr_decay", &ParamGroup::lr_decay},
    {"nesterov", &ParamGroup::nesterov},
    {"maximize", &ParamGroup::maximize},
    {"amsgrad", &ParamGroup::amsgrad},
};

const Field* field(const std::string& name) {
  for (const Field& known : kFields)
    if (name == known.name) return &known;
  return nullptr;
}

double to_double(const OptionValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? 1 : 0;
  const auto* integer = std::get_if<std::int64_t>(&value);
  return integer ? static_cast<double>(*integer) : std::get<double>(value);
}

}  // namespace

const ClassInfo& optimizer_info(const std::string& name) {
  std::string known;
  for (const ClassInfo& info : infos()) {
    if (info.name == name) return info;
    known += (known.empty() ? "" : ", ") + info.name;
  }
  throw std::invalid_argument("no optimizer '" + name + "'; there are: " + known);
}

bool set_option(ParamGroup& group, const std::string& name, const OptionValue& value) {
  const Field* found = field(name);
  if (!found) return false;
  if (const auto* hyper = std::get_if<double Hyper::*>(&found->member))
    group.hyper.*(*hyper) = to_double(value);
  else if (const auto* number = std::get_if<double ParamGroup::*>(&found->member))
    group.*(*number) = to_double(value);
  else
    group.*std::get<bool ParamGroup::*>(found->member) = to_double(value) != 0;
  return true;
}

ParamGroup make_group(const ClassInfo& info, std::vector<std::size_t> params,
                      const std::map<std::string, OptionValue>& options) {
  const Options checked = checked_options(info, options);
  ParamGroup group;
  group.params = std::move(params);
  for (const OptionSpec& spec : info.options) {
    const bool flag = spec.type == "bool";
    set_option(group, spec.name,
               flag ? OptionValue(checked.get<bool>(spec.name)) : OptionValue(checked.get<double>(spec.name)));
  }
  return group;
}

std::map<std::string, OptionValue> other_options(const ClassInfo& info, const ParamGroup& group) {
  std::map<std::string, OptionValue> options;
  for (const OptionSpec& spec : info.options) {
    const auto& member = field(spec.name)->member;
    if (const auto* number = std::get_if<double ParamGroup::*>(&member)) options[spec.name] = group.*(*number);
    if (const auto* flag = std::get_if<bool ParamGroup::*>(&member)) options[spec.name] = group.*(*flag);
  }
  return options;
}

}  // namespace pyhooks
