#include "triggers/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>

#include "triggers/error.h"

namespace pyhooks::triggers {

namespace {

// Longer ones first.
constexpr std::array<std::string_view, 15> kSymbols{"**", "<=", ">=", "==", "!=", "<", ">", "+",
                                                    "-",  "*",  "/",  "%",  "(",  ")", ","};
constexpr std::array<std::string_view, 3> kWords{"and", "or", "not"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// What people write for what is written otherwise here.
std::string remedy(char c) {
  switch (c) {
    case '=':
      return "; write == to compare";
    case '&':
      return "; write and";
    case '|':
      return "; write or";
    case '!':
      return "; write not, or != to compare";
    case '^':
      return "; write ** for a power";
    default:
      return "";
  }
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> all() {
    std::vector<Token> tokens;
    do {
      while (position_ < text_.size() && is_blank(text_[position_])) ++position_;
      const std::size_t begin = position_;
      Token token = next();
      token.position = begin;
      token.past = position_;
      tokens.push_back(std::move(token));
    } while (tokens.back().kind != TokenKind::end);
    return tokens;
  }

 private:
  char peek(std::size_t ahead = 0) const { return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0'; }

  template <class Belongs>
  std::string take_while(Belongs&& belongs) {
    const std::size_t begin = position_;
    while (position_ < text_.size() && belongs(text_[position_])) ++position_;
    return std::string(text_.substr(begin, position_ - begin));
  }

  Token next() {
    if (position_ == text_.size()) return {};
    const char c = peek();
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
    if (is_letter(c)) return word();
    if (c == '\'' || c == '"') return quoted();
    return symbol();
  }

  Token word() {
    const std::string text = take_while([](char c) { return is_letter(c) || is_digit(c); });
    const bool symbol = std::find(kWords.begin(), kWords.end(), text) != kWords.end();
    return {.kind = symbol ? TokenKind::symbol : TokenKind::name, .text = text};
  }

  Token symbol() {
    for (const std::string_view symbol : kSymbols)
      if (text_.substr(position_).starts_with(symbol)) {
        position_ += symbol.size();
        return {.kind = TokenKind::symbol, .text = std::string(symbol)};
      }
    const std::size_t width = std::min(text_.find_first_of(" \t\r\n()", position_ + 1), text_.size()) - position_;
    const bool ascii = static_cast<unsigned char>(peek()) < 0x80;
    throw TriggerError("'" + std::string(text_.substr(position_, ascii ? 1 : width)) +
                           "' cannot be part of an expression" + remedy(peek()),
                       text_, position_);
  }

  Token quoted() {
    const std::size_t end = text_.find(peek(), position_ + 1);
    if (end == std::string_view::npos) throw TriggerError("this quote is not closed", text_, position_);
    const std::string name(text_.substr(position_ + 1, end - position_ - 1));
    if (name.empty()) throw TriggerError("expected a name between the quotes", text_, position_);
    position_ = end + 1;
    return {.kind = TokenKind::quoted, .text = name};
  }

  Token number() {
    const std::size_t begin = position_;
    std::string digits = take_while([](char c) { return is_digit(c) || c == '.' || c == '_'; });
    if ((peek() == 'e' || peek() == 'E') && (is_digit(peek(1)) || peek(1) == '-' || peek(1) == '+')) {
      digits += text_.substr(position_, 2);
      position_ += 2;
      digits += take_while(is_digit);
    }
    const std::string rest = take_while([](char c) { return is_letter(c) || is_digit(c); });
    const std::string written = digits + rest;
    std::erase(digits, '_');
    Token token{.kind = TokenKind::number, .text = digits};
    const auto [past, error] = std::from_chars(digits.data(), digits.data() + digits.size(), token.number);
    if (!rest.empty() || error != std::errc() || past != digits.data() + digits.size())
      throw TriggerError("'" + written + "' is no number", text_, begin);
    return token;
  }

  std::string_view text_;
  std::size_t position_ = 0;
};

}  // namespace

std::vector<Token> tokens_of(std::string_view text) { return Lexer(text).all(); }

std::string described(const Token& token) {
  switch (token.kind) {
    case TokenKind::end:
      return "the end";
    case TokenKind::number:
      return "the number " + token.text;
    case TokenKind::symbol:
      return "'" + token.text + "'";
    default:
      return "the name '" + token.text + "'";
  }
}

}  // namespace pyhooks::triggers
