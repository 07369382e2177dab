#include <charconv>
#include <cmath>
#include <stdexcept>

#include "files/json.h"

namespace pyhooks {

namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Json document() {
    if (!is_utf8(text_)) throw std::invalid_argument("JSON: the text is not UTF-8");
    Json value = any(0);
    space();
    if (position_ < text_.size()) fail("the end");
    return value;
  }

 private:
  static constexpr int kDeepest = 500;

  Json any(int depth) {
    if (depth > kDeepest) fail("fewer levels");
    space();
    if (take("{")) return object(depth);
    if (take("[")) return array(depth);
    if (take("\"")) return string();
    if (take("null")) return {};
    if (take("true")) return true;
    if (take("false")) return false;
    if (take("NaN")) return std::nan("");
    if (take("Infinity")) return HUGE_VAL;
    if (take("-Infinity")) return -HUGE_VAL;
    return number();
  }

  Json object(int depth) {
    Json::Object members;
    space();
    if (take("}")) return members;
    do {
      space();
      want("\"");
      std::string name = string();
      space();
      want(":");
      put(members, std::move(name), any(depth + 1));
      space();
    } while (take(","));
    want("}");
    return members;
  }

  static void put(Json::Object& members, std::string name, Json value) {
    for (auto& [key, old] : members)
      if (key == name) {
        old = std::move(value);
        return;
      }
    members.emplace_back(std::move(name), std::move(value));
  }

  Json array(int depth) {
    Json::Array items;
    space();
    if (take("]")) return items;
    do {
      items.push_back(any(depth + 1));
      space();
    } while (take(","));
    want("]");
    return items;
  }

  std::string string() {
    std::string value;
    while (!take("\"")) {
      if (position_ == text_.size() || static_cast<unsigned char>(text_[position_]) < 0x20) fail("the string's end");
      const char c = text_[position_++];
      if (c == '\\')
        escape(value);
      else
        value += c;
    }
    return value;
  }

  void escape(std::string& value) {
    static constexpr std::string_view names = "\"\\/bfnrt";
    static constexpr std::string_view meant = "\"\\/\b\f\n\r\t";
    if (take("u")) return append_utf8(code_point(), value);
    const std::size_t which = position_ < text_.size() ? names.find(text_[position_]) : std::string_view::npos;
    if (which == std::string_view::npos) fail("an escape");
    ++position_;
    value += meant[which];
  }

  // What follows \u; a pair of surrogates is one character.
  std::uint32_t code_point() {
    const std::uint32_t first = four_digits();
    if (first < 0xD800 || first >= 0xE000) return first;
    if (first >= 0xDC00 || !take("\\u")) fail("a pair of surrogates");
    const std::uint32_t second = four_digits();
    if (second < 0xDC00 || second >= 0xE000) fail("a pair of surrogates");
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
  }

  std::uint32_t four_digits() {
    std::uint32_t value = 0;
    const std::string_view digits = text_.substr(position_, 4);
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() < 4 || read.ptr != digits.data() + 4) fail("four hexadecimal digits");
    position_ += 4;
    return value;
  }

  static void append_utf8(std::uint32_t code, std::string& value) {
    if (code < 0x80) {
      value += static_cast<char>(code);
      return;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    value += static_cast<char>((0xFF00U >> (more + 1)) | (code >> (6 * more)));
    for (int i = more - 1; i >= 0; --i) value += static_cast<char>(0x80U | ((code >> (6 * i)) & 0x3FU));
  }

  Json number() {
    const std::size_t start = position_;
    take("-");
    if (!take("0") && !digits()) {
      position_ = start;
      fail("a value");
    }
    bool integral = true;
    if (take(".")) {
      integral = false;
      if (!digits()) fail("digits");
    }
    if (take("e") || take("E")) {
      integral = false;
      if (!take("+")) take("-");
      if (!digits()) fail("digits");
    }
    const std::string_view text = text_.substr(start, position_ - start);
    return integral ? converted<std::int64_t>(text) : converted<double>(text);
  }

  template <class T>
  static Json converted(std::string_view text) {
    T value{};
    if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc())
      throw std::invalid_argument("JSON: the number " + std::string(text) + " does not fit into 64 bits");
    return value;
  }

  bool digits() {
    const std::size_t start = position_;
    while (position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9') ++position_;
    return position_ > start;
  }

  void space() {
    while (position_ < text_.size() && std::string_view(" \t\n\r").find(text_[position_]) != std::string_view::npos)
      ++position_;
  }

  bool take(std::string_view token) {
    if (!text_.substr(position_).starts_with(token)) return false;
    position_ += token.size();
    return true;
  }

  void want(std::string_view token) {
    if (!take(token)) fail(token);
  }

  [[noreturn]] void fail(std::string_view wanted) const {
    throw std::invalid_argument("JSON: wanted " + std::string(wanted) + " at byte " + std::to_string(position_));
  }

  std::string_view text_;
  std::size_t position_ = 0;
};

}  // namespace

Json Json::parse(std::string_view text) { return Reader(text).document(); }

}  // namespace pyhooks
