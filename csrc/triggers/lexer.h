#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pyhooks::triggers {

enum class TokenKind : std::uint8_t { number, name, quoted, symbol, end };

/// A word of an expression.
struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;  ///< of a quoted name what is between the quotes; of a number its digits, without underscores
  std::size_t position = 0;
  std::size_t past = 0;  ///< where the next character is
  double number = 0;

  bool is(std::string_view symbol) const {  // `and`, `or` and `not` are symbols
    return kind == TokenKind::symbol && text == symbol;
  }
  /// A number written without point and exponent.
  bool whole() const { return kind == TokenKind::number && text.find_first_not_of("0123456789") == std::string::npos; }
};

/// The words of an expression, and an `end`. Throws TriggerError at what is none.
std::vector<Token> tokens_of(std::string_view text);

/// For messages: "the number 3", "the name 'loss'", "')'", "the end".
std::string described(const Token& token);

}  // namespace pyhooks::triggers
