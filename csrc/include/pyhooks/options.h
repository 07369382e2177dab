#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace pyhooks {

/// The value of an option. std::monostate, written {}, is Python's None: "not set".
using OptionValue = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

namespace detail {

/// A type of option: its name, and the one it is read as in C++. In the order of OptionValue's alternatives.
struct OptionType {
  const char* name;
  const char* cpp;
};
inline constexpr OptionType kOptionTypes[] = {
    {"None", ""}, {"bool", "bool"}, {"int", "std::int64_t"}, {"float", "double"}, {"str", "std::string"}};

/// "an int", "a float", "None".
inline std::string with_article(const std::string& type) {
  return type == "None" ? type : (type == "int" ? "an " : "a ") + type;
}

}  // namespace detail

/// One keyword option of a registered class, as `{"beta", "float", 0.9, "decay of the mean"}`.
struct OptionSpec {
  std::string name;           ///< a Python identifier
  std::string type;           ///< "bool", "int", "float" or "str"
  OptionValue default_value;  ///< of that type; {}: the option may be left unset
  std::string help;
};

/// The options an object is made with: defaults filled in, names and types already checked.
class Options {
 public:
  explicit Options(std::map<std::string, OptionValue> values) : values_(std::move(values)) {}

  /// Whether the option has a value (is not None).
  bool has(const std::string& name) const { return !std::holds_alternative<std::monostate>(at(name)); }

  /// The option's value: get<bool>, get<std::int64_t>, get<double>, get<std::string>; or another integer or floating type
  /// than these, converted. Throws std::invalid_argument where the option is not declared, unset, of another type, or too
  /// large for T.
  template <class T>
  T get(const std::string& name) const {
    const OptionValue& found = at(name);
    const auto* value = std::get_if<Stored<T>>(&found);
    if (!value) refuse(name, found.index(), OptionValue(Stored<T>{}).index());
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
      if (!std::in_range<T>(*value))
        throw std::invalid_argument("option '" + name + "' is " + std::to_string(*value) + "; it must be from " +
                                    std::to_string(std::numeric_limits<T>::min()) + " to " +
                                    std::to_string(std::numeric_limits<T>::max()));
    return static_cast<T>(*value);
  }

 private:
  /// As what a T is kept.
  template <class T>
  using Stored = std::conditional_t<std::is_same_v<T, bool>, bool,
                                    std::conditional_t<std::is_integral_v<T>, std::int64_t,
                                                       std::conditional_t<std::is_floating_point_v<T>, double, T>>>;

  const OptionValue& at(const std::string& name) const {
    auto found = values_.find(name);
    if (found != values_.end()) return found->second;
    std::string declared;
    for (const auto& [other, value] : values_) declared += (declared.empty() ? "" : ", ") + other;
    throw std::invalid_argument(
        "no option '" + name + "' is declared; declared are: " + (declared.empty() ? "none" : declared) +
        ". Declare it in the registration macro, as {\"" + name + "\", \"float\", 0.5, \"what it is\"}");
  }

  /// Throws: the option is of one type, as its index among kOptionTypes, and was asked for as another.
  [[noreturn]] static void refuse(const std::string& name, std::size_t held, std::size_t asked) {
    const std::string option = "option '" + name + "' is ";
    if (held == 0) throw std::invalid_argument(option + "not set (None): ask options.has(\"" + name + "\") first");
    throw std::invalid_argument(option + detail::with_article(detail::kOptionTypes[held].name) + ", asked for as " +
                                detail::with_article(detail::kOptionTypes[asked].name) + ": write options.get<" +
                                detail::kOptionTypes[held].cpp + ">(\"" + name + "\"), or declare it of another type");
  }

  std::map<std::string, OptionValue> values_;
};

}  // namespace pyhooks
