#include "trainer/callback_states.h"

#include <algorithm>
#include <stdexcept>

namespace pyhooks {

namespace {

constexpr const char* kTensor = "__tensor__";  // stands in the JSON for a tensor of that name

std::string prefix_of(std::size_t i) { return "native." + std::to_string(i) + "."; }

Json to_json(const std::string& field, const StateValue& value) {
  if (std::holds_alternative<at::Tensor>(value)) return Json::Object{{kTensor, field}};
  if (const auto* list = std::get_if<std::vector<double>>(&value)) return Json::Array(list->begin(), list->end());
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return *integer;
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  return std::get<std::string>(value);
}

StateValue from_json(const Json& json, const std::string& prefix, const TensorMap& tensors) {
  if (json.is_object()) return tensors.at(prefix + json.at(kTensor).string());
  if (json.is_bool()) return json.boolean();
  if (json.is_integer()) return json.integer();
  if (json.is_float()) return json.number();
  if (json.is_string()) return json.string();
  std::vector<double> numbers;
  for (const Json& number : json.array()) numbers.push_back(number.number());
  return numbers;
}

void check_key(const std::string& key, const Dispatcher& dispatcher) {
  std::string ours;
  for (const auto& registration : dispatcher.registrations()) {
    if (registration->manner.key == key) return;
    ours += (ours.empty() ? "" : ", ") + registration->manner.key;
  }
  throw std::invalid_argument("the checkpoint keeps the state of the native callback '" + key +
                              "', this trainer has: " + (ours.empty() ? "none" : ours) +
                              "; add it before load_checkpoint (with the id '" + key +
                              "' if it is called otherwise here)");
}

}  // namespace

Json save_states(const Dispatcher& dispatcher, TensorMap& tensors) {
  Json::Array entries;
  for (const auto& registration : dispatcher.registrations()) {
    const StateMap state = save_state(*registration->callback);
    if (state.empty()) continue;
    Json::Object fields;
    for (const auto& [name, value] : state) {
      fields.emplace_back(name, to_json(name, value));
      if (const auto* tensor = std::get_if<at::Tensor>(&value)) tensors[prefix_of(entries.size()) + name] = *tensor;
    }
    entries.push_back(Json::Object{{"key", registration->manner.key}, {"state", std::move(fields)}});
  }
  return entries;
}

std::map<std::string, StateMap> states_in(const Checkpoint& checkpoint, const Dispatcher& dispatcher) {
  std::map<std::string, StateMap> states;
  const Json* entries = checkpoint.meta.find("native");
  if (!entries) return states;
  for (std::size_t i = 0; i < entries->array().size(); ++i) {
    const Json& entry = entries->array()[i];
    check_key(entry.at("key").string(), dispatcher);
    StateMap& state = states[entry.at("key").string()];
    for (const auto& [name, value] : entry.at("state").object())
      state.emplace_back(name, from_json(value, prefix_of(i), checkpoint.tensors));
  }
  return states;
}

}  // namespace pyhooks
