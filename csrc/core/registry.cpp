#include "core/registry.h"

#include <stdexcept>

namespace pyhooks {

namespace {

const char* type_of(const OptionValue& value) {
  static constexpr const char* names[] = {"None", "bool", "int", "float", "str"};
  return names[value.index()];
}

OptionValue checked(const CallbackInfo& info, const OptionSpec& spec, const OptionValue& value) {
  if (spec.type == type_of(value)) return value;
  if (spec.type == "float" && std::holds_alternative<std::int64_t>(value))
    return static_cast<double>(std::get<std::int64_t>(value));
  if (std::holds_alternative<std::monostate>(value) && std::holds_alternative<std::monostate>(spec.default_value))
    return value;
  throw std::invalid_argument(info.name + ": option '" + spec.name + "' was given a " + type_of(value) +
                              "; it takes a " + spec.type + " (" + spec.help + ")");
}

std::string option_names(const CallbackInfo& info) {
  std::string names;
  for (const OptionSpec& spec : info.options) names += (names.empty() ? "" : ", ") + spec.name;
  return names.empty() ? "none" : names;
}

}  // namespace

const CallbackInfo& find_callback(const std::string& name) {
  std::string known;
  for (const CallbackInfo& info : callback_infos()) {
    if (info.name == name) return info;
    known += (known.empty() ? "" : ", ") + info.name;
  }
  throw std::invalid_argument("no native callback '" + name + "'; there are: " + known);
}

std::shared_ptr<Callback> make_callback(const std::string& name, const std::map<std::string, OptionValue>& options) {
  const CallbackInfo& info = find_callback(name);
  std::map<std::string, OptionValue> values;
  for (const OptionSpec& spec : info.options) {
    auto given = options.find(spec.name);
    values[spec.name] = given == options.end() ? spec.default_value : checked(info, spec, given->second);
  }
  for (const auto& [key, value] : options)
    if (!values.contains(key))
      throw std::invalid_argument(name + " has no option '" + key + "'; its options: " + option_names(info));
  return info.make(Options(std::move(values)));
}

}  // namespace pyhooks
