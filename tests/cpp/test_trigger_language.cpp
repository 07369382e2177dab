// The language of triggers: what expressions mean, and what is said where they mean nothing.
#include <cmath>
#include <limits>
#include <map>
#include <string>

#include "check.h"
#include "triggers/actions.h"
#include "triggers/error.h"
#include "triggers/machine.h"
#include "triggers/parser.h"

using namespace pyhooks;
using namespace pyhooks::triggers;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

/// Inputs from a table; notes what is fetched.
class Table {
 public:
  Table(const Program& program, std::map<std::string, double> values) : program_(program), values_(std::move(values)) {}

  std::string fetched;

  double fetch(std::size_t input) {
    const std::string& name = program_.inputs.at(input).name;
    fetched += name + " ";
    return values_.at(name);
  }

 private:
  const Program& program_;
  std::map<std::string, double> values_;
};

const std::map<std::string, double> kValues{{"a", 7}, {"b", -2}, {"c", 0.5}, {"nan", kNaN}, {"inf", kInf}, {"x/y", 3}};

bool holds(const std::string& text) {
  Machine machine(compile(text));
  Table table(machine.program(), kValues);
  return machine.holds(table);
}

/// Whether a number comes out as this, NaN as NaN.
bool is(const std::string& text, double wanted) {
  auto values = kValues;
  values["wanted"] = wanted;
  Machine machine(compile(std::isnan(wanted) ? "isnan(" + text + ")" : text + " == wanted"));
  Table table(machine.program(), values);
  return machine.holds(table);
}

std::string fetched(const std::string& text) {
  Machine machine(compile(text));
  Table table(machine.program(), kValues);
  machine.holds(table);
  return table.fetched;
}

template <class Act>
std::string error_of(Act&& act) {
  try {
    act();
  } catch (const TriggerError& error) {
    return error.what();
  }
  return "no error";
}

std::string refusal(const std::string& text) {
  return error_of([&] { compile(text); });
}

std::string action_refusal(const std::string& text) {
  return error_of([&] { parse_actions(text); });
}

}  // namespace

TEST(trigger_arithmetic_binds_as_in_python) {
  CHECK(is("1 + 2 * 3", 7));
  CHECK(is("(1 + 2) * 3", 9));
  CHECK(is("7 - 2 - 3", 2));
  CHECK(is("16 / 4 / 2", 2));
  CHECK(is("2 * 7 % 4", 2));
  CHECK(is("-2 ** 2", -4));
  CHECK(is("2 ** -1", 0.5));
  CHECK(is("2 ** 3 ** 2", 512));
  CHECK(is("-2 ** -2", -0.25));
  CHECK(is("--3", 3));
  CHECK(is("-+3 - -1", -2));
  CHECK(is("a - b * c", 8));
  CHECK(is("1_000 + .5 + 1e-3 + 2E+1", 1020.501));
}

TEST(trigger_modulo_has_the_divisors_sign) {
  CHECK(is("a % 3", 1));
  CHECK(is("-a % 3", 2));
  CHECK(is("a % -3", -2));
  CHECK(is("-6 % 3", 0));
  CHECK(is("-5 % inf", kInf));
  CHECK(is("a % 0", kNaN));
}

TEST(trigger_arithmetic_is_ieee) {
  CHECK(is("1 / 0", kInf));
  CHECK(is("b / 0", -kInf));
  CHECK(is("0 / 0", kNaN));
  CHECK(is("b ** 0.5", kNaN));
  CHECK(is("0 ** -1", kInf));
  CHECK(is("sqrt(b)", kNaN));
  CHECK(is("log(0)", -kInf));
  CHECK(is("log(b)", kNaN));
  CHECK(is("exp(1000)", kInf));
  CHECK(is("nan + 1", kNaN));
}

TEST(trigger_functions) {
  CHECK(is("abs(b)", 2));
  CHECK(is("sqrt(a + 2)", 3));
  CHECK(is("exp(0)", 1));
  CHECK(is("log(exp(0)) + 1", 1));
  CHECK(is("min(a, b)", -2));
  CHECK(is("max(a, b)", 7));
  CHECK(is("min(a, 3.0)", 3));
  CHECK(is("max(1, 2 + 0)", 2));
  CHECK(is("max(a, nan)", 7));  // as Python's: NaN is not larger
  CHECK(is("max(nan, a)", kNaN));
  CHECK(holds("isfinite(a) and not isfinite(inf) and not isfinite(nan)"));
  CHECK(holds("isnan(nan) and not isnan(inf)"));
}

TEST(trigger_comparisons_and_words_bind_as_in_python) {
  CHECK(holds("a > 6") && holds("a >= 7") && holds("b < 0") && holds("b <= -2") && holds("c == 0.5") &&
        holds("a != b"));
  CHECK(!holds("a > 7") && !holds("a < 7") && !holds("a != 7"));
  CHECK(!holds("nan > 1") && !holds("nan <= 1") && !holds("nan == nan") && holds("nan != nan") && holds("not nan > 1"));
  CHECK(holds("a > 9 and b > 0 or c > 0"));
  CHECK(!holds("a > 9 and (b > 0 or c > 0)"));
  CHECK(holds("c > 0 or a > 9 and b > 0"));
  CHECK(holds("not a > 9 and b < 0"));
  CHECK(holds("not a > 9 or b < 0"));
  CHECK(holds("not not a > 6"));
  CHECK(holds("1 + 1 < 3 and 2 * 2 >= 4"));
}

TEST(trigger_chains_compare_neighbours) {
  CHECK(holds("b < c < a"));
  CHECK(!holds("b < a < c"));
  CHECK(!holds("a < b < 100"));
  CHECK(holds("b < c < a < 8 != 9"));
  CHECK(holds("1 < 3 > 2 == 2"));
  CHECK(!holds("3 > 2 > 1 > 1"));
}

TEST(trigger_conditions_count_as_one_or_zero) {
  CHECK(is("(a > 1) + (b > 1) * 10", 1));
  CHECK(is("-(a > 1)", -1));
  CHECK(holds("(a > 1) == (c > 0)"));
  CHECK(is("abs(a > 1 and b > 1)", 0));
}

TEST(trigger_looks_only_at_what_it_must_and_once) {
  CHECK(fetched("a > 9 and b > 0") == "a ");
  CHECK(fetched("a > 1 and b > 0") == "a b ");
  CHECK(fetched("a > 1 or b > 0") == "a ");
  CHECK(fetched("a > 9 or b > 0 or c > 0") == "a b c ");
  CHECK(fetched("a < b < c") == "a b ");
  CHECK(fetched("a + a * a > a or b > 0") == "a ");
  CHECK(fetched("'x/y' > 2 and a > 9") == "x/y a ");
}

TEST(trigger_every_counts_batches) {
  Machine machine(compile("every(3)"));
  Table table(machine.program(), {});
  std::string seen;
  for (int batch = 0; batch < 10; ++batch) {
    seen += machine.holds(table) ? '1' : '0';
    machine.advance(table);
  }
  CHECK(seen == "0010010010");
  machine.reset();
  CHECK(!machine.holds(table));
}

TEST(trigger_shows_names_and_windows_in_the_order_of_the_text) {
  Machine machine(compile("b > 9 and a > 3 * ema( a +\n c,  10 ) or a > 1"));
  Table table(machine.program(), kValues);
  CHECK(machine.holds(table));
  CHECK(table.fetched == "b a ");
  const std::vector<double> values = machine.values(table);
  std::string texts;
  for (const Shown& shown : machine.program().shown) texts += shown.text + "; ";
  CHECK(texts == "b; a; ema( a + c, 10 ); c; ");
  CHECK(values.size() == 4 && values[0] == -2 && values[1] == 7 && std::isnan(values[2]) && values[3] == 0.5);
  CHECK(table.fetched == "b a c ");
}

TEST(trigger_errors_point_at_the_character) {
  CHECK(refusal("loss > 3 * ema(loss 100)") ==
        "expected an operator, or ',' and a second argument; got the number 100: write ema(loss, 100) for the last 100 "
        "batches\n    loss > 3 * ema(loss 100)\n                        ^");
  CHECK(refusal("loss >") == "expected a number, a name, a function or '(', got the end\n    loss >\n          ^");
  CHECK(refusal("(a > 3") == "expected an operator or ')', got the end\n    (a > 3\n          ^");
  CHECK(refusal("a > 3 b") == "expected an operator or the end, got the name 'b'\n    a > 3 b\n          ^");
  CHECK(refusal("a > and") == "expected a number, a name, a function or '(', got 'and'\n    a > and\n        ^");
  CHECK(refusal("a = 3") == "'=' cannot be part of an expression; write == to compare\n    a = 3\n      ^");
  CHECK(refusal("a > 3 && b > 2") == "'&' cannot be part of an expression; write and\n    a > 3 && b > 2\n          ^");
  CHECK(refusal("") == "expected a condition, as loss > 3; got nothing\n    \n    ^");
  CHECK(refusal("a > 1.2.3") == "'1.2.3' is no number\n    a > 1.2.3\n        ^");
  CHECK(refusal("a > 3x") == "'3x' is no number\n    a > 3x\n        ^");
  CHECK(refusal("a > 'x") == "this quote is not closed\n    a > 'x\n        ^");
  CHECK(refusal("a > ''") == "expected a name between the quotes\n    a > ''\n        ^");
}

TEST(trigger_errors_show_the_line_they_are_on) {
  CHECK(refusal("a > 1 and\n\tb >> 2 or\nc > 1") ==
        "expected a number, a name, a function or '(', got '>'\n    \tb >> 2 or\n    \t   ^");
  CHECK(refusal("'\xc3\xa9' > 1 1") ==  // a letter of two bytes is one wide
        "expected an operator or the end, got the number 1\n    '\xc3\xa9' > 1 1\n            ^");
  CHECK(refusal("\xc3\xa9 > 1") == "'\xc3\xa9' cannot be part of an expression\n    \xc3\xa9 > 1\n    ^");
}

TEST(trigger_errors_of_kinds) {
  CHECK(refusal("loss") == "a trigger wants a condition, as loss > 3; this is a number\n    loss\n    ^");
  CHECK(refusal("a > 1 and b") ==
        "'and' wants a condition, as loss > 3; this is a number\n    a > 1 and b\n              ^");
  CHECK(refusal("a or b > 1") == "'or' wants a condition, as loss > 3; this is a number\n    a or b > 1\n    ^");
  CHECK(refusal("not a") == "'not' wants a condition, as loss > 3; this is a number\n    not a\n        ^");
  CHECK(refusal("-(a > 1)").find("this is a number") != std::string::npos);
}

TEST(trigger_errors_of_calls) {
  CHECK(refusal("avg(a) > 1") ==
        "there is no function 'avg'; the functions: abs, sqrt, log, exp, isfinite, isnan, every, min, max, mean, std, "
        "ema\n    avg(a) > 1\n    ^");
  CHECK(refusal("meen(a, 3) > 1").starts_with("there is no function 'meen'; did you mean 'mean'? the functions: abs"));
  CHECK(refusal("abs(a, b) > 1") == "too many arguments: write abs(loss)\n    abs(a, b) > 1\n         ^");
  CHECK(refusal("abs() > 1") == "write abs(loss); got nothing\n    abs() > 1\n        ^");
  CHECK(refusal("mean(a, b) > 1") ==
        "expected a whole number of batches, got the name 'b': write mean(loss, 100) for the last 100 batches\n"
        "    mean(a, b) > 1\n            ^");
  CHECK(refusal("ema(a, 2.5) > 1").starts_with("expected a whole number of batches, got the number 2.5"));
  CHECK(refusal("std(a, 0) > 1").starts_with("expected a number of batches from 1 to 1000000, got 0\n"));
  CHECK(refusal("max(a, 0) > 1")
            .starts_with("expected a number of batches from 1 to 1000000, got 0; for the number "
                         "itself write 0.0\n"));
  CHECK(refusal("mean(a, 1000001) > 1").starts_with("expected a number of batches from 1 to 1000000, got 1000001"));
  CHECK(refusal("min(a, 3, 4) > 1")
            .starts_with("too many arguments: write min(loss, 100) for the last 100 batches, or "
                         "min(loss, 3.0) for two values"));
  CHECK(refusal("every(a)").starts_with("expected a whole number of batches, got the name 'a': write every(100)"));
  CHECK(refusal("ema > 1").starts_with("'ema' is a function: write ema(loss, 100)"));
  CHECK(refusal("a > 1 or True").starts_with("'True' is not part of this language"));
}

TEST(trigger_refuses_what_is_too_long_or_too_deep) {
  CHECK(refusal(std::string(3000, '(')).starts_with("more than 100 levels in each other"));
  CHECK(refusal(std::string(3000, '-') + "1 > 0").starts_with("more than 100 levels in each other"));
  CHECK(refusal("a" + std::string(4096, ' ')).starts_with("the expression has 4097 characters; the most is 4096"));
  std::string powers = "a > 2";
  for (int i = 0; i < 1000; ++i) powers += "**2";
  CHECK(refusal(powers).starts_with("more than 100 levels in each other"));
  std::string sum = "a > 1";
  while (sum.size() < 4000) sum += "+a";
  CHECK(!holds(sum));
}

TEST(trigger_actions) {
  const std::vector<Action> actions = parse_actions("skip_step, scale_lr(0.5),log, log(spikes), log('a, b'), call");
  CHECK(actions.size() == 6);
  CHECK(actions[0].kind == ActionKind::skip_step);
  CHECK(actions[1].kind == ActionKind::scale_lr && actions[1].factor == 0.5);
  CHECK(actions[2].kind == ActionKind::log && actions[2].column.empty());
  CHECK(actions[3].column == "spikes" && actions[4].column == "a, b");
  CHECK(actions[5].kind == ActionKind::call);
}

TEST(trigger_actions_that_are_none) {
  CHECK(action_refusal("stopp") ==
        "there is no action 'stopp'; did you mean 'stop'? the actions: stop, skip_step, save, snapshot, scale_lr, log\n"
        "    stopp\n    ^");
  CHECK(action_refusal("stop,") ==
        "expected an action, got the end; the actions: stop, skip_step, save, snapshot, scale_lr, log\n"
        "    stop,\n         ^");
  CHECK(action_refusal("stop save") == "expected ',' or the end, got the name 'save'\n    stop save\n         ^");
  CHECK(action_refusal("save(3)") == "'save' takes no argument\n    save(3)\n        ^");
  CHECK(action_refusal("scale_lr") == "scale_lr wants its factor, as scale_lr(0.5)\n    scale_lr\n            ^");
  CHECK(action_refusal("scale_lr(0)") == "the factor must be above 0\n    scale_lr(0)\n             ^");
  CHECK(action_refusal("scale_lr(x)").starts_with("scale_lr wants its factor, as scale_lr(0.5); got the name 'x'"));
  CHECK(action_refusal("log(3)").starts_with("log wants the name of a column"));
  CHECK(action_refusal("log(a").starts_with("expected ')', got the end"));
}
