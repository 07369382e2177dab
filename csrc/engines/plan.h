#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <vector>

#include "engines/program.h"

namespace pyhooks {

/// A program made ready to run: operators looked up, arguments converted to what their schemas want, the life of
/// every register known. Running it calls the kernels eager PyTorch would call, in the same order.
class Plan {
 public:
  /// Throws std::invalid_argument for an operator or argument that cannot be prepared.
  explicit Plan(const Program& program);

  /// Sets the registers that stay the same from run to run (parameters, buffers).
  void bind(std::vector<at::Tensor> fixed);

  /// Runs on a batch. `grad_mode`: whether kernels shall see grad mode on, as they do in a forward pass that will be
  /// differentiated. Outputs are in the program's order, undefined for None.
  void run(const std::vector<at::Tensor>& batch, bool grad_mode, std::vector<at::Tensor>& outputs);

  std::size_t size() const { return instructions_.size(); }

 private:
  struct Slot {
    enum class Kind : std::uint8_t { constant, copy, move, list };
    Kind kind;
    int index;  // into constants_, registers_ or lists_
  };
  struct List {
    enum class Element : std::uint8_t { tensor, optional_tensor };
    Element element;
    std::vector<int> registers;  // -1 for None
  };
  struct Instruction {
    c10::OperatorHandle op;
    std::vector<Slot> args;
    std::vector<int> outs;
    std::vector<int> frees;  // registers to clear afterwards
    bool list_result;
    std::size_t source;  // index into sources_
  };

  Instruction prepare(const Op& op);
  Slot slot(const Arg& arg, const c10::Argument& wanted);
  Slot constant(c10::IValue value);
  void find_lives(const Program& program);
  void check_register(int reg) const;
  void execute(const Instruction& instruction);
  void push_arguments(const Instruction& instruction);
  void drop_temporaries();
  void store(const Instruction& instruction);
  [[noreturn]] void explain(const Instruction& instruction);
  c10::IValue make_list(const List& list) const;

  std::vector<Instruction> instructions_;
  std::vector<c10::IValue> constants_;
  std::vector<List> lists_;
  std::vector<std::string> sources_;
  std::vector<int> outputs_;
  std::vector<bool> is_constant_;  // per register
  std::size_t n_inputs_;
  std::size_t n_fixed_ = 0;

  std::vector<c10::IValue> registers_;
  torch::jit::Stack stack_;
};

}  // namespace pyhooks
