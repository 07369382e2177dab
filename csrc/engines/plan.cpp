#include "engines/plan.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "engines/schema.h"

namespace pyhooks {

namespace {

void check_names(const Op& op, const c10::FunctionSchema& schema) {
  if (op.args.size() > schema.arguments().size())
    throw std::invalid_argument(std::to_string(op.args.size()) + " arguments where it takes " +
                                std::to_string(schema.arguments().size()));
  for (const auto& kwarg : op.kwargs)
    if (!schema.argumentIndexWithName(kwarg.first))
      throw std::invalid_argument("it has no argument '" + kwarg.first + "'");
}

}  // namespace

Plan::Plan(const Program& program)
    : outputs_(program.outputs),
      n_inputs_(static_cast<std::size_t>(program.n_inputs)),
      registers_(static_cast<std::size_t>(program.n_registers)) {
  is_constant_.resize(registers_.size(), false);
  for (const auto& [index, tensor] : program.constants) {
    registers_.at(static_cast<std::size_t>(index)) = tensor;
    is_constant_[static_cast<std::size_t>(index)] = true;
  }
  for (const Op& op : program.ops) {
    try {
      instructions_.push_back(prepare(op));
    } catch (const std::exception& error) {
      throw std::invalid_argument("cannot prepare " + op.name + (op.source.empty() ? "" : " (" + op.source + ")") +
                                  ": " + error.what());
    }
  }
  for (int output : outputs_)
    if (output >= 0) check_register(output);
  find_lives(program);
}

Plan::Instruction Plan::prepare(const Op& op) {
  c10::OperatorHandle handle = c10::Dispatcher::singleton().findSchemaOrThrow(op.name.c_str(), op.overload.c_str());
  const c10::FunctionSchema& schema = handle.schema();
  Instruction instruction{handle, {}, op.outs, {}, false, sources_.size()};
  sources_.push_back(op.name + (op.source.empty() ? "" : ", " + op.source));
  for (std::size_t i = 0; i < schema.arguments().size(); ++i) {
    const c10::Argument& wanted = schema.arguments()[i];
    const auto named = std::find_if(op.kwargs.begin(), op.kwargs.end(),
                                    [&](const auto& kwarg) { return kwarg.first == wanted.name(); });
    if (i < op.args.size())
      instruction.args.push_back(slot(op.args[i], wanted));
    else if (named != op.kwargs.end())
      instruction.args.push_back(slot(named->second, wanted));
    else if (wanted.default_value())
      instruction.args.push_back(constant(*wanted.default_value()));
    else
      throw std::invalid_argument("argument '" + wanted.name() + "' is missing");
  }
  check_names(op, schema);
  const auto& returns = schema.returns();
  instruction.list_result = returns.size() == 1 && returns[0].type()->kind() == c10::TypeKind::ListType;
  if (!instruction.list_result && op.outs.size() > returns.size())
    throw std::invalid_argument(std::to_string(op.outs.size()) + " results are wanted of " +
                                std::to_string(returns.size()));
  for (int out : op.outs)
    if (out >= 0) check_register(out);
  return instruction;
}

void Plan::check_register(int reg) const {
  if (std::cmp_less(reg, 0) || std::cmp_greater_equal(reg, registers_.size()))
    throw std::invalid_argument("register " + std::to_string(reg) + " of " + std::to_string(registers_.size()));
}

Plan::Slot Plan::constant(c10::IValue value) {
  constants_.push_back(std::move(value));
  return {Slot::Kind::constant, static_cast<int>(constants_.size()) - 1};
}

Plan::Slot Plan::slot(const Arg& arg, const c10::Argument& wanted) {
  if (arg.kind == Arg::Kind::reg) {
    check_register(arg.reg);
    return {Slot::Kind::copy, arg.reg};
  }
  if (!has_register(arg)) return constant(constant_for(arg, wanted));
  auto list = without_optional(wanted.real_type())->cast<c10::ListType>();
  if (!list) throw std::invalid_argument("a list of tensors for argument '" + wanted.name() + "'");
  const bool optional = list->getElementType()->kind() == c10::TypeKind::OptionalType;
  List tensors{optional ? List::Element::optional_tensor : List::Element::tensor, {}};
  for (const Arg& item : arg.items) {
    const bool none = item.kind == Arg::Kind::constant && item.value.isNone();
    if (item.kind != Arg::Kind::reg && !(none && optional))
      throw std::invalid_argument("argument '" + wanted.name() + "' mixes tensors and constants in one list");
    if (!none) check_register(item.reg);
    tensors.registers.push_back(none ? -1 : item.reg);
  }
  lists_.push_back(std::move(tensors));
  return {Slot::Kind::list, static_cast<int>(lists_.size()) - 1};
}

// Walks backwards: the last reader of a register frees it, and takes its value over where it reads it once. Inputs,
// constants and outputs stay.
void Plan::find_lives(const Program& program) {
  std::vector<bool> live(registers_.size(), false);
  for (int i = 0; i < program.n_inputs; ++i) live[static_cast<std::size_t>(i)] = true;
  for (const auto& entry : program.constants) live[static_cast<std::size_t>(entry.first)] = true;
  for (int output : outputs_)
    if (output >= 0) live[static_cast<std::size_t>(output)] = true;
  for (auto instruction = instructions_.rbegin(); instruction != instructions_.rend(); ++instruction) {
    auto dies_here = [&](int reg) {
      if (reg < 0 || live[static_cast<std::size_t>(reg)]) return false;
      live[static_cast<std::size_t>(reg)] = true;
      return true;
    };
    for (int out : instruction->outs)
      if (dies_here(out)) instruction->frees.push_back(out);  // never read
    for (auto arg = instruction->args.rbegin(); arg != instruction->args.rend(); ++arg) {
      if (arg->kind == Slot::Kind::copy && dies_here(arg->index)) arg->kind = Slot::Kind::move;
      if (arg->kind == Slot::Kind::list)
        for (int reg : lists_[static_cast<std::size_t>(arg->index)].registers)
          if (dies_here(reg)) instruction->frees.push_back(reg);
    }
  }
}

void Plan::bind(std::vector<at::Tensor> fixed) {
  n_fixed_ = fixed.size();
  for (std::size_t i = 0; i < fixed.size(); ++i) registers_.at(i) = std::move(fixed[i]);
}

void Plan::run(const std::vector<at::Tensor>& batch, bool grad_mode, std::vector<at::Tensor>& outputs) {
  if (n_fixed_ + batch.size() != n_inputs_)
    throw std::invalid_argument("a plan of " + std::to_string(n_inputs_) + " inputs was given " +
                                std::to_string(n_fixed_ + batch.size()));
  at::AutoGradMode mode(grad_mode);
  at::AutoDispatchBelowADInplaceOrView below_autograd;
  for (std::size_t i = 0; i < batch.size(); ++i) registers_[n_fixed_ + i] = batch[i];
  try {
    for (const Instruction& instruction : instructions_) execute(instruction);
  } catch (...) {
    drop_temporaries();
    throw;
  }
  outputs.resize(outputs_.size());
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i] < 0)
      outputs[i].reset();
    else
      outputs[i] = registers_[static_cast<std::size_t>(outputs_[i])].toTensor();
  }
  for (int output : outputs_)  // inputs and constants stay, results do not
    if (output >= static_cast<int>(n_inputs_) && !is_constant_[static_cast<std::size_t>(output)])
      registers_[static_cast<std::size_t>(output)] = {};
  for (std::size_t i = 0; i < batch.size(); ++i) registers_[n_fixed_ + i] = {};
}

// After a failure: the memory of what was computed so far is needed elsewhere.
void Plan::drop_temporaries() {
  stack_.clear();
  for (std::size_t i = n_fixed_; i < registers_.size(); ++i)
    if (!is_constant_[i]) registers_[i] = {};
}

void Plan::execute(const Instruction& instruction) {
  try {
    push_arguments(instruction);
    instruction.op.callBoxed(stack_);
    store(instruction);
  } catch (...) {
    explain(instruction);
  }
  for (int reg : instruction.frees) registers_[static_cast<std::size_t>(reg)] = {};
}

void Plan::push_arguments(const Instruction& instruction) {
  for (const Slot& slot : instruction.args) {
    const std::size_t i = static_cast<std::size_t>(slot.index);
    switch (slot.kind) {
      case Slot::Kind::constant:
        stack_.push_back(constants_[i]);
        break;
      case Slot::Kind::copy:
        stack_.push_back(registers_[i]);
        break;
      case Slot::Kind::move:
        stack_.push_back(std::move(registers_[i]));
        break;
      case Slot::Kind::list:
        stack_.push_back(make_list(lists_[i]));
        break;
    }
  }
}

c10::IValue Plan::make_list(const List& list) const {
  if (list.element == List::Element::tensor) {
    c10::List<at::Tensor> tensors;
    tensors.reserve(list.registers.size());
    for (int reg : list.registers) tensors.push_back(registers_[static_cast<std::size_t>(reg)].toTensor());
    return tensors;
  }
  c10::List<std::optional<at::Tensor>> tensors;
  tensors.reserve(list.registers.size());
  for (int reg : list.registers)
    tensors.push_back(reg < 0 ? std::nullopt : std::optional(registers_[static_cast<std::size_t>(reg)].toTensor()));
  return tensors;
}

void Plan::store(const Instruction& instruction) {
  if (instruction.list_result) {
    const c10::IValue result = std::move(stack_.back());
    const auto tensors = result.toTensorList();
    for (std::size_t i = 0; i < instruction.outs.size(); ++i)
      if (instruction.outs[i] >= 0) registers_[static_cast<std::size_t>(instruction.outs[i])] = tensors.get(i);
  } else {
    for (std::size_t i = 0; i < instruction.outs.size(); ++i)
      if (instruction.outs[i] >= 0) registers_[static_cast<std::size_t>(instruction.outs[i])] = std::move(stack_[i]);
  }
  stack_.clear();
}

// Adds to an operator's error where it comes from, keeping the error's type.
void Plan::explain(const Instruction& instruction) {
  const std::string where = "while the captured step ran " + sources_[instruction.source];
  try {
    throw;
  } catch (c10::Error& error) {
    error.add_context(where);
    throw;
  }
}

}  // namespace pyhooks
