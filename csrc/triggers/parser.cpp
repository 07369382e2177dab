#include "triggers/parser.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "triggers/builder.h"
#include "triggers/error.h"
#include "triggers/functions.h"
#include "triggers/lexer.h"

namespace pyhooks::triggers {

namespace {

constexpr std::size_t kLongest = 4096;      // characters; so registers and jumps fit into 16 bits
constexpr int kDeepest = 100;               // parentheses in parentheses; so the parser's own stack suffices
constexpr double kLongestWindow = 1000000;  // batches

constexpr std::array<std::string_view, 8> kForeign{"True", "False", "None", "is", "in", "if", "else", "lambda"};

/// A value that has been parsed.
struct Value {
  Register from;
  bool condition;
  std::size_t position;
};

using Operators = std::vector<std::pair<std::string_view, Op>>;

const Operators kComparisons{{"<", Op::less},           {"<=", Op::less_equal}, {">", Op::greater},
                             {">=", Op::greater_equal}, {"==", Op::equal},      {"!=", Op::not_equal}};
const Operators kSums{{"+", Op::add}, {"-", Op::subtract}};
const Operators kProducts{{"*", Op::multiply}, {"/", Op::divide}, {"%", Op::modulo}};

/// Recursive descent: a method a line of the grammar, which emits the code of what it reads.
class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text), tokens_(tokens_of(text)), builder_(text) {}

  Program whole() {
    if (here().kind == TokenKind::end) fail("expected a condition, as loss > 3; got nothing", here());
    const Value value = disjunction();
    if (here().kind != TokenKind::end) unexpected("an operator or the end");
    check_condition(value, "a trigger");
    return builder_.finish(value.from);
  }

 private:
  // --- the grammar, from what binds least to what binds most ---

  Value disjunction() {  // conjunction ("or" conjunction)*
    const Nested nested(*this);
    return connected("or", Op::jump_if_not_false, [&] { return conjunction(); });
  }

  Value conjunction() {  // negation ("and" negation)*
    return connected("and", Op::jump_if_false, [&] { return negation(); });
  }

  Value negation() {  // "not" negation | comparison
    if (!here().is("not")) return comparison();
    const Nested nested(*this);
    const std::size_t position = take().position;
    const Value value = negation();
    check_condition(value, "'not'");
    return {builder_.apply(Op::logical_not, value.from), true, position};
  }

  Value comparison() {  // sum (("<" | ...) sum)*, where a < b < c is a < b and b < c
    Value left = sum();
    if (!is_one_of(kComparisons)) return left;
    const std::size_t position = left.position;
    Value result = compare(left);
    while (is_one_of(kComparisons)) {
      const Builder::Branch branch = builder_.begin_branch(Op::jump_if_false, result.from);
      result.from = builder_.end_branch(branch, compare(left).from);
    }
    return {result.from, true, position};
  }

  Value compare(Value& left) {  // `left` becomes the right one, for the next in a chain
    const Op op = take_one_of(kComparisons);
    const Value right = sum();
    const Register from = builder_.apply(op, std::exchange(left, right).from, right.from);
    return {from, true, right.position};
  }

  Value sum() {  // product (("+" | "-") product)*
    return calculated(kSums, [&] { return product(); });
  }

  Value product() {  // signed (("*" | "/" | "%") signed)*
    return calculated(kProducts, [&] { return with_sign(); });
  }

  Value with_sign() {  // ("-" | "+") signed | power
    if (!is_one_of(kSums)) return power();
    const Nested nested(*this);
    const Token& sign = take();
    const Value value = with_sign();
    const Register from = sign.is("-") ? builder_.apply(Op::negate, value.from) : value.from;
    return {from, false, sign.position};
  }

  Value power() {  // atom ["**" signed]
    const Value base = atom();
    if (!here().is("**")) return base;
    const Nested nested(*this);
    take();
    const Value exponent = with_sign();
    return {builder_.apply(Op::power, base.from, exponent.from), false, base.position};
  }

  Value atom() {
    const Token& token = here();
    if (token.kind == TokenKind::number) return {builder_.constant(take().number), false, token.position};
    if (token.kind == TokenKind::quoted) return {builder_.input(take()), false, token.position};
    if (token.kind == TokenKind::name) return next().is("(") ? call() : name();
    if (!token.is("(")) unexpected("a number, a name, a function or '('");
    take();
    const Value value = disjunction();
    expect(")", "an operator or ')'");
    return value;
  }

  Value name() {
    const Token& token = here();
    if (find_function(token.text)) fail("'" + token.text + "' is a function: " + usage(token.text), token);
    if (std::find(kForeign.begin(), kForeign.end(), token.text) != kForeign.end())
      fail("'" + token.text + "' is not part of this language", token);
    return {builder_.input(take()), false, token.position};
  }

  // --- functions ---

  Value call() {
    const Token& called = here();
    const Function* function = find_function(called.text);
    if (!function)
      fail("there is no function '" + called.text + "'" + known(called.text, "the functions", function_names()),
           called);
    take();
    take();  // "("
    if (here().is(")")) fail(usage(called.text) + "; got nothing", here());
    if (function->one == Op::every) return every(called);
    return function->one ? of_one(*function, called) : of_several(*function, called);
  }

  Value every(const Token& called) {
    const Register length = builder_.constant(batches(called, 1e15));
    close(called);
    return {builder_.apply(Op::every, length), true, called.position};
  }

  Value of_one(const Function& function, const Token& called) {
    const Value value = disjunction();
    close(called);
    return {builder_.apply(*function.one, value.from), function.condition, called.position};
  }

  // The first argument's code is set aside until it is known whether a window will need it.
  Value of_several(const Function& function, const Token& called) {
    Code outer = builder_.begin_section();
    const Value first = disjunction();
    Code code = builder_.end_section(std::move(outer));
    if (!here().is(","))
      fail("expected an operator, or ',' and a second argument; got " + described(here()) + ": " + usage(called.text),
           here());
    take();
    if (function.window && (!function.two || (here().whole() && next().is(")"))))
      return window(*function.window, called, std::move(code), first.from);
    builder_.append(code);
    const Value second = disjunction();
    close(called);
    return {builder_.apply(*function.two, first.from, second.from), false, called.position};
  }

  Value window(WindowKind kind, const Token& called, Code code, Register argument) {
    const double length = batches(called, kind == WindowKind::ema ? 1e15 : kLongestWindow);
    const std::size_t past = here().past;
    close(called);
    WindowUse use{.kind = kind,
                  .length = static_cast<std::int64_t>(length),
                  .text = written(called.position, past),
                  .position = called.position,
                  .code = std::move(code),
                  .argument = argument};
    return {builder_.window(std::move(use)), false, called.position};
  }

  double batches(const Token& called, double most) {
    const Token& token = here();
    if (!token.whole())
      fail("expected a whole number of batches, got " + described(token) + ": " + usage(called.text), token);
    if (token.number < 1 || token.number > most)
      fail("expected a number of batches from 1 to " + std::to_string(static_cast<std::int64_t>(most)) + ", got " +
               token.text +
               (find_function(called.text)->two ? "; for the number itself write " + token.text + ".0" : ""),
           token);
    return take().number;
  }

  void close(const Token& called) {
    if (here().is(")"))
      take();
    else if (here().is(","))
      fail("too many arguments: " + usage(called.text), here());
    else
      unexpected("an operator or ')'");
  }

  // --- what the lines of the grammar share ---

  template <class Operand>
  Value connected(std::string_view word, Op jump, Operand&& operand) {
    Value left = operand();
    while (here().is(word)) {
      const std::string who = described(here());
      check_condition(left, who);
      take();
      const Builder::Branch branch = builder_.begin_branch(jump, left.from);
      const Value right = operand();
      check_condition(right, who);
      left.from = builder_.end_branch(branch, right.from);
    }
    return left;
  }

  template <class Operand>
  Value calculated(const Operators& operators, Operand&& operand) {
    Value left = operand();
    while (is_one_of(operators)) {
      const Op op = take_one_of(operators);
      const Value right = operand();
      left = {builder_.apply(op, left.from, right.from), false, left.position};
    }
    return left;
  }

  bool is_one_of(const Operators& operators) const {
    return std::any_of(operators.begin(), operators.end(), [&](const auto& entry) { return here().is(entry.first); });
  }

  Op take_one_of(const Operators& operators) {
    const Token& token = take();
    return std::find_if(operators.begin(), operators.end(), [&](const auto& entry) { return token.is(entry.first); })
        ->second;
  }

  void check_condition(const Value& value, const std::string& who) const {
    if (!value.condition)
      throw TriggerError(who + " wants a condition, as loss > 3; this is a number", text_, value.position);
  }

  // As the user wrote it, on one line.
  std::string written(std::size_t begin, std::size_t end) const {
    std::string result;
    for (const char c : text_.substr(begin, end - begin)) {
      const bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
      if (!blank || result.back() != ' ') result += blank ? ' ' : c;
    }
    return result;
  }

  const Token& here() const { return tokens_[position_]; }
  const Token& next() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }
  const Token& take() { return tokens_[position_++]; }  // never the end, which is no operator and no argument
  void expect(std::string_view symbol, const std::string& wanted) {
    if (!here().is(symbol)) unexpected(wanted);
    take();
  }

  [[noreturn]] void unexpected(const std::string& wanted) const {
    fail("expected " + wanted + ", got " + described(here()), here());
  }
  [[noreturn]] void fail(const std::string& message, const Token& token) const {
    throw TriggerError(message, text_, token.position);
  }

  struct Nested {  // counts how deep the parser is in itself
    explicit Nested(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > kDeepest)
        parser_.fail("more than " + std::to_string(kDeepest) + " levels in each other", parser_.here());
    }
    ~Nested() { --parser_.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;
    Parser& parser_;
  };

  std::string text_;
  std::vector<Token> tokens_;
  Builder builder_;
  std::size_t position_ = 0;
  int depth_ = 0;
};

}  // namespace

Program compile(const std::string& text) {
  if (text.size() > kLongest)
    throw TriggerError(
        "the expression has " + std::to_string(text.size()) + " characters; the most is " + std::to_string(kLongest),
        text.substr(0, 40) + "...", 0);
  return Parser(text).whole();
}

}  // namespace pyhooks::triggers
