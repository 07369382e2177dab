#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace pyhooks::triggers {

/// Something is wrong with a trigger's text. The message says what came and what was wanted; beneath it stand the line of
/// the text and a caret under the character.
class TriggerError : public std::invalid_argument {
 public:
  TriggerError(const std::string& message, std::string_view text, std::size_t position);
};

/// "; did you mean 'loss'? known names: loss, lr", or "; known names: loss, lr" where none is like the name.
std::string known(std::string_view name, std::string_view what, const std::vector<std::string>& candidates);

/// "a, b, c".
std::string joined(const std::vector<std::string>& words);

}  // namespace pyhooks::triggers
