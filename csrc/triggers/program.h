#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pyhooks::triggers {

/// What an instruction does with the registers `a` and `b`; the result goes to the register `to`. Conditions are 1 or 0.
enum class Op : std::uint8_t {
  fetch,  ///< input number `a`, unless this batch has fetched it already
  copy,
  negate,
  add,
  subtract,
  multiply,
  divide,
  modulo,
  power,
  less,
  less_equal,
  greater,
  greater_equal,
  equal,
  not_equal,
  logical_not,
  absolute,
  square_root,
  logarithm,
  exponential,
  is_finite,
  is_nan,
  smaller,
  larger,
  every,          ///< whether `a` divides the number of the batch
  jump_if_false,  ///< if `a` is 0, leaves out the next `b` instructions
  jump_if_not_false,
};

using Register = std::uint16_t;

struct Instruction {
  Op op;
  Register to;
  Register a;
  Register b;
};

using Code = std::vector<Instruction>;

enum class WindowKind : std::uint8_t { ema, min, max, mean, std };

/// A value an expression gets from outside, by its name.
struct Input {
  std::string name;
  std::size_t position = 0;  ///< of its first appearance
  Register to = 0;
};

/// A statistic of an argument's earlier values.
struct WindowUse {
  WindowKind kind = WindowKind::ema;
  std::int64_t length = 0;
  std::string text;  ///< as "ema(loss, 100)"
  std::size_t position = 0;
  Code code;  ///< computes the argument
  Register argument = 0;
  Register to = 0;  ///< where the statistic is to be found
};

/// Something to show when the expression holds: an input, or a window.
struct Shown {
  std::string text;
  std::size_t position = 0;
  Register from = 0;
  int input = -1;  ///< its number, if it is one
};

/// A compiled expression. Registers are as many numbers, some of them constants; a value is computed into a register of its
/// own, so that no instruction overwrites what another needs.
struct Program {
  std::string text;
  Code code;
  Register result = 0;
  std::vector<double> registers;
  std::vector<Input> inputs;
  std::vector<WindowUse> windows;  ///< inner ones before those they are in
  std::vector<Shown> shown;        ///< in the order of the text
};

}  // namespace pyhooks::triggers
