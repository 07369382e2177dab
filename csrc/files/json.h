#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace pyhooks {

/// A JSON value, as Python's json module has them: ints and floats are told apart, and NaN, Infinity and -Infinity are
/// floats.
///
/// Reading and asking throw std::invalid_argument saying where, and what was wanted.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;  // in the order written

  Json() = default;  ///< null
  Json(bool value) : value_(value) {}
  Json(std::int64_t value) : value_(value) {}
  Json(double value) : value_(value) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}
  // Not inline: GCC 12 warns of a variant's members that are not there.
  Json(const Json&);
  Json(Json&&) noexcept;
  Json& operator=(const Json&);
  Json& operator=(Json&&) noexcept;
  ~Json();

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(value_); }
  bool is_float() const { return std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  bool boolean() const { return get<bool>(); }
  std::int64_t integer() const { return get<std::int64_t>(); }
  double number() const { return is_integer() ? static_cast<double>(integer()) : get<double>(); }
  const std::string& string() const { return get<std::string>(); }
  const Array& array() const { return get<Array>(); }
  const Object& object() const { return get<Object>(); }

  /// An object's member; null if there is none of that name.
  const Json* find(std::string_view name) const;
  /// An object's member, which must be there.
  const Json& at(std::string_view name) const;

  bool operator==(const Json&) const = default;

  /// Writes it on one line. Strings must be UTF-8.
  std::string dump() const;
  /// Reads a document of at most 500 levels. Of members of one name the last counts, as in Python. Ints beyond 64 bits
  /// and floats beyond double are refused.
  static Json parse(std::string_view text);

 private:
  template <class T>
  const T& get() const {
    if (const T* value = std::get_if<T>(&value_)) return *value;
    wrong_kind(Json(T()).kind());
  }
  const char* kind() const;
  [[noreturn]] void wrong_kind(const char* wanted) const;

  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

/// Whether the text is UTF-8: no surrogates, no overlong forms.
bool is_utf8(std::string_view text);

}  // namespace pyhooks
