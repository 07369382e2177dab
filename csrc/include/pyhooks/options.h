#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pyhooks {

/// The value of an option. std::monostate is Python's None: "not set".
using OptionValue = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

/// One keyword option of a callback. The type of `default_value` is the option's type (an unset default says `type`).
struct OptionSpec {
  std::string name;
  std::string type;  ///< "bool", "int", "float" or "str"
  OptionValue default_value;
  std::string help;
};

/// The options a callback is made with: defaults filled in, names and types already checked.
class Options {
 public:
  explicit Options(std::map<std::string, OptionValue> values) : values_(std::move(values)) {}

  /// Whether the option has a value (is not None).
  bool has(const std::string& name) const { return !std::holds_alternative<std::monostate>(at(name)); }

  /// The option's value. Throws std::invalid_argument where it is unset or of another type.
  template <class T>
  T get(const std::string& name) const {
    if (const T* value = std::get_if<T>(&at(name))) return *value;
    throw std::invalid_argument("option '" + name + "' is not set, or is asked for as another type than declared");
  }

 private:
  const OptionValue& at(const std::string& name) const {
    auto found = values_.find(name);
    if (found == values_.end()) throw std::invalid_argument("no option '" + name + "' is declared");
    return found->second;
  }

  std::map<std::string, OptionValue> values_;
};

}  // namespace pyhooks
