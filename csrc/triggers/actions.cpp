#include "triggers/actions.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "triggers/error.h"
#include "triggers/lexer.h"

namespace pyhooks::triggers {

namespace {

constexpr std::array<std::pair<std::string_view, ActionKind>, 7> kActions{{
    {"stop", ActionKind::stop},
    {"skip_step", ActionKind::skip_step},
    {"save", ActionKind::save},
    {"snapshot", ActionKind::snapshot},
    {"scale_lr", ActionKind::scale_lr},
    {"log", ActionKind::log},
    {"call", ActionKind::call},
}};

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text), tokens_(tokens_of(text)) {}

  std::vector<Action> all() {
    std::vector<Action> actions{action()};
    while (take_if(",")) actions.push_back(action());
    if (here().kind != TokenKind::end) fail("expected ',' or the end, got " + described(here()));
    return actions;
  }

 private:
  Action action() {
    const auto* found = std::find_if(kActions.begin(), kActions.end(), [&](const auto& entry) {
      return here().kind == TokenKind::name && here().text == entry.first;
    });
    if (found == kActions.end()) unknown();
    ++position_;
    Action action{.kind = found->second};
    if (action.kind == ActionKind::scale_lr)
      argument(action, "scale_lr wants its factor, as scale_lr(0.5)");
    else if (here().is("(") && action.kind == ActionKind::log)
      argument(action, "log wants the name of a column, as log(spikes) or log('train/spikes')");
    else if (here().is("("))
      fail("'" + std::string(found->first) + "' takes no argument");
    return action;
  }

  void argument(Action& action, const std::string& wanted) {
    if (!take_if("(")) fail(wanted);
    const Token& token = here();
    const bool number = action.kind == ActionKind::scale_lr;
    const bool fits =
        number ? token.kind == TokenKind::number : token.kind == TokenKind::name || token.kind == TokenKind::quoted;
    if (!fits) fail(wanted + "; got " + described(token));
    if (number && !(token.number > 0 && std::isfinite(token.number))) fail("the factor must be above 0");
    action.factor = number ? token.number : 1;
    action.column = number ? "" : token.text;
    ++position_;
    if (!take_if(")")) fail("expected ')', got " + described(here()));
  }

  [[noreturn]] void unknown() const {
    std::vector<std::string> names;
    for (const auto& [name, kind] : kActions)
      if (kind != ActionKind::call) names.emplace_back(name);  // which wants a function: not in a text
    const bool named = here().kind == TokenKind::name;
    fail(named ? "there is no action '" + here().text + "'" + known(here().text, "the actions", names)
               : "expected an action, got " + described(here()) + "; the actions: " + joined(names));
  }

  const Token& here() const { return tokens_[position_]; }
  bool take_if(std::string_view symbol) {
    const bool is = here().is(symbol);
    position_ += is;
    return is;
  }
  [[noreturn]] void fail(const std::string& message) const { throw TriggerError(message, text_, here().position); }

  std::string text_;
  std::vector<Token> tokens_;
  std::size_t position_ = 0;
};

}  // namespace

std::vector<Action> parse_actions(const std::string& text) { return Parser(text).all(); }

}  // namespace pyhooks::triggers
