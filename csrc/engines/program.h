#pragma once

#include <ATen/core/ivalue.h>

#include <string>
#include <utility>
#include <vector>

namespace pyhooks {

/// An argument of an operation: a register, a constant, or a list of these.
struct Arg {
  enum class Kind : std::uint8_t { reg, constant, list };
  Kind kind = Kind::constant;
  int reg = -1;
  c10::IValue value;
  std::vector<Arg> items;
};

/// One call of an ATen operator, by its schema's names.
struct Op {
  std::string name;      ///< "aten::addmm"
  std::string overload;  ///< "" for the default one
  std::vector<Arg> args;
  std::vector<std::pair<std::string, Arg>> kwargs;
  std::vector<int> outs;  ///< a register for each result (each element, where the result is a list), -1 to drop it
  std::string source;     ///< the user's line it comes from, for error messages
};

/// A captured step, flat: registers 0..n_inputs-1 hold parameters, constants and batch; operations fill the others.
struct Program {
  int n_inputs = 0;
  int n_registers = 0;
  std::vector<std::pair<int, at::Tensor>> constants;  ///< registers that hold tensors known at capture
  std::vector<Op> ops;
  std::vector<int> outputs;  ///< registers, -1 for None
};

}  // namespace pyhooks
