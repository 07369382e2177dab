#include "core/registry.h"

#include <stdexcept>

namespace pyhooks {

namespace {

const char* type_of(const OptionValue& value) {
  static constexpr const char* names[] = {"None", "bool", "int", "float", "str"};
  return names[value.index()];
}

OptionValue checked(const std::string& name, const OptionSpec& spec, const OptionValue& value) {
  if (spec.type == type_of(value)) return value;
  if (spec.type == "float" && std::holds_alternative<std::int64_t>(value))
    return static_cast<double>(std::get<std::int64_t>(value));
  if (std::holds_alternative<std::monostate>(value) && std::holds_alternative<std::monostate>(spec.default_value))
    return value;
  throw std::invalid_argument(name + ": option '" + spec.name + "' was given a " + type_of(value) +
                              "; it takes a " + spec.type + " (" + spec.help + ")");
}

std::string option_names(const std::vector<OptionSpec>& specs) {
  std::string names;
  for (const OptionSpec& spec : specs) names += (names.empty() ? "" : ", ") + spec.name;
  return names.empty() ? "none" : names;
}

template <class Info>
const Info& find_registered(const std::vector<Info>& infos, const std::string& what, const std::string& name) {
  std::string known;
  for (const Info& info : infos) {
    if (info.name == name) return info;
    known += (known.empty() ? "" : ", ") + info.name;
  }
  throw std::invalid_argument("no " + what + " '" + name + "'; there are: " + known);
}

}  // namespace

Options checked_options(const std::string& name, const std::vector<OptionSpec>& specs,
                        const std::map<std::string, OptionValue>& options) {
  std::map<std::string, OptionValue> values;
  for (const OptionSpec& spec : specs) {
    auto given = options.find(spec.name);
    values[spec.name] = given == options.end() ? spec.default_value : checked(name, spec, given->second);
  }
  for (const auto& [key, value] : options)
    if (!values.contains(key))
      throw std::invalid_argument(name + " has no option '" + key + "'; its options: " + option_names(specs));
  return Options(std::move(values));
}

const CallbackInfo& find_callback(const std::string& name) {
  return find_registered(callback_infos(), "native callback", name);
}

std::shared_ptr<Callback> make_callback(const std::string& name, const std::map<std::string, OptionValue>& options) {
  const CallbackInfo& info = find_callback(name);
  return info.make(checked_options(name, info.options, options));
}

const TensorHookInfo& find_tensor_hook(const std::string& name) {
  return find_registered(tensor_hook_infos(), "tensor hook", name);
}

std::shared_ptr<TensorHook> make_tensor_hook(const std::string& name,
                                             const std::map<std::string, OptionValue>& options) {
  const TensorHookInfo& info = find_tensor_hook(name);
  return info.make(checked_options(name, info.options, options));
}

}  // namespace pyhooks
