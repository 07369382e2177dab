#include "files/json.h"

#include <charconv>
#include <cmath>
#include <stdexcept>

namespace pyhooks {

Json::Json(const Json&) = default;
Json::Json(Json&&) noexcept = default;
Json& Json::operator=(const Json&) = default;
Json& Json::operator=(Json&&) noexcept = default;
Json::~Json() = default;

const char* Json::kind() const {
  static constexpr const char* names[] = {"null", "a bool", "an int", "a float", "a string", "a list", "an object"};
  return names[value_.index()];
}

void Json::wrong_kind(const char* wanted) const {
  throw std::invalid_argument(std::string("JSON: ") + kind() + " where " + wanted + " was wanted");
}

const Json* Json::find(std::string_view name) const {
  for (const auto& [key, value] : object())
    if (key == name) return &value;
  return nullptr;
}

const Json& Json::at(std::string_view name) const {
  if (const Json* found = find(name)) return *found;
  throw std::invalid_argument("JSON: no member '" + std::string(name) + "'");
}

bool is_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned first = byte(i);
    const std::size_t more = first < 0x80 ? 0 : first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    std::uint32_t code = more == 0 ? first : first & (0x3FU >> more);
    for (std::size_t k = 1; k <= more; ++k) {
      if ((byte(i + k) & 0xC0U) != 0x80U) return false;
      code = code << 6 | (byte(i + k) & 0x3FU);
    }
    static constexpr std::uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    const bool surrogate = code >= 0xD800 && code < 0xE000;
    if ((more > 0 && first < 0xC0) || first >= 0xF8 || code < smallest[more] || code > 0x10FFFF || surrogate)
      return false;
    i += more + 1;
  }
  return true;
}

namespace {

void write_string(const std::string& text, std::string& out) {
  if (!is_utf8(text)) throw std::invalid_argument("JSON: a string is not UTF-8");
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      static constexpr char digits[] = "0123456789abcdef";
      out += {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
    } else {
      out += c;
    }
  }
  out += '"';
}

void write_double(double value, std::string& out) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "Infinity" : "-Infinity";
  } else {
    char digits[32];  // the fewest that read back as the same number
    const char* end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    const std::string_view text(digits, static_cast<std::size_t>(end - digits));
    out += text;
    if (text.find_first_of(".e") == std::string_view::npos) out += ".0";  // else it would read as an int
  }
}

void write(const Json& json, std::string& out) {
  const char* separator = "";
  if (json.is_null()) {
    out += "null";
  } else if (json.is_bool()) {
    out += json.boolean() ? "true" : "false";
  } else if (json.is_integer()) {
    out += std::to_string(json.integer());
  } else if (json.is_float()) {
    write_double(json.number(), out);
  } else if (json.is_string()) {
    write_string(json.string(), out);
  } else if (json.is_array()) {
    out += '[';
    for (const Json& item : json.array()) {
      out += std::exchange(separator, ", ");
      write(item, out);
    }
    out += ']';
  } else {
    out += '{';
    for (const auto& [key, value] : json.object()) {
      out += std::exchange(separator, ", ");
      write_string(key, out);
      out += ": ";
      write(value, out);
    }
    out += '}';
  }
}

}  // namespace

std::string Json::dump() const {
  std::string out;
  write(*this, out);
  return out;
}

}  // namespace pyhooks
