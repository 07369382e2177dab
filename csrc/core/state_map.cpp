#include "core/state_map.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/clone.h>
#include <ATen/ops/copy.h>

#include <algorithm>
#include <stdexcept>

namespace pyhooks {

namespace {

const StateValue* find(const StateMap& map, std::string_view name) {
  const auto found = std::find_if(map.begin(), map.end(), [&](const auto& field) { return field.first == name; });
  return found == map.end() ? nullptr : &found->second;
}

class Writer final : public State {
 public:
  StateMap map;

  bool loading() const override { return false; }
  void field(std::string_view name, double& value) override { put(name, value); }
  void field(std::string_view name, std::int64_t& value) override { put(name, value); }
  void field(std::string_view name, bool& value) override { put(name, value); }
  void field(std::string_view name, std::string& value) override { put(name, value); }
  void field(std::string_view name, std::vector<double>& value) override { put(name, value); }
  void field(std::string_view name, at::Tensor& value) override {
    if (value.defined()) put(name, value.detach().clone());
  }

 private:
  void put(std::string_view name, StateValue value) {
    if (find(map, name)) throw std::invalid_argument("two fields of the state are called '" + std::string(name) + "'");
    map.emplace_back(name, std::move(value));
  }
};

class Reader final : public State {
 public:
  explicit Reader(const StateMap& map) : map_(map) {}

  bool loading() const override { return true; }
  void field(std::string_view name, double& value) override { value = get<double>(name); }
  void field(std::string_view name, std::int64_t& value) override { value = get<std::int64_t>(name); }
  void field(std::string_view name, bool& value) override { value = get<bool>(name); }
  void field(std::string_view name, std::string& value) override { value = get<std::string>(name); }
  void field(std::string_view name, std::vector<double>& value) override { value = get<std::vector<double>>(name); }
  void field(std::string_view name, at::Tensor& value) override {
    if (!find(map_, name)) {  // it was undefined
      value.reset();
      return;
    }
    const auto& saved = get<at::Tensor>(name);
    if (value.defined() && value.sizes() == saved.sizes() && value.scalar_type() == saved.scalar_type())
      value.copy_(saved);
    else
      value = saved.clone();
  }

 private:
  template <class T>
  const T& get(std::string_view name) const {
    const StateValue* value = find(map_, name);
    if (!value) throw std::invalid_argument("the saved state has no field '" + std::string(name) + "'");
    if (const T* typed = std::get_if<T>(value)) return *typed;
    throw std::invalid_argument("field '" + std::string(name) + "' of the saved state has another type");
  }

  const StateMap& map_;
};

}  // namespace

StateMap save_state(Callback& callback) {
  at::NoGradGuard no_grad;
  Writer writer;
  callback.state(writer);
  return std::move(writer.map);
}

void load_state(Callback& callback, const StateMap& saved) {
  at::NoGradGuard no_grad;
  Reader reader(saved);
  callback.state(reader);
}

}  // namespace pyhooks
