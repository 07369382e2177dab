#include "triggers/machine.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace pyhooks::triggers {

namespace {

// As Python's: the result has the sign of the divisor.
double modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(rest, b);
  return (rest < 0) == (b < 0) ? rest : rest + b;  // NaN stays NaN
}

double calculated(const Instruction& instruction, const double* registers, std::int64_t batches) {
  const double a = registers[instruction.a];
  const double b = registers[instruction.b];
  switch (instruction.op) {
    case Op::copy:
      return a;
    case Op::negate:
      return -a;
    case Op::add:
      return a + b;
    case Op::subtract:
      return a - b;
    case Op::multiply:
      return a * b;
    case Op::divide:
      return a / b;
    case Op::modulo:
      return modulo(a, b);
    case Op::power:
      return std::pow(a, b);
    case Op::less:
      return a < b;
    case Op::less_equal:
      return a <= b;
    case Op::greater:
      return a > b;
    case Op::greater_equal:
      return a >= b;
    case Op::equal:
      return a == b;
    case Op::not_equal:
      return a != b;
    case Op::logical_not:
      return a == 0;
    case Op::absolute:
      return std::abs(a);
    case Op::square_root:
      return std::sqrt(a);
    case Op::logarithm:
      return std::log(a);
    case Op::exponential:
      return std::exp(a);
    case Op::is_finite:
      return std::isfinite(a);
    case Op::is_nan:
      return std::isnan(a);
    case Op::smaller:
      return b < a ? b : a;
    case Op::larger:
      return b > a ? b : a;
    case Op::every:
      return batches % static_cast<std::int64_t>(a) == 0;
    case Op::fetch:
    case Op::jump_if_false:
    case Op::jump_if_not_false:
      break;  // done by `run`
  }
  return 0;
}

}  // namespace

Machine::Machine(Program program) : program_(std::move(program)) {
  for (const WindowUse& use : program_.windows) windows_.push_back(make_window(use.kind, use.length));
  reset();
}

void Machine::reset() {
  batches_ = 0;
  registers_ = program_.registers;
  fetched_.assign(program_.inputs.size(), false);
  for (auto& window : windows_) window->clear();
}

bool Machine::holds(Source& source) {
  ++batches_;
  for (std::size_t i = 0; i < windows_.size(); ++i) registers_[program_.windows[i].to] = windows_[i]->statistic();
  std::fill(fetched_.begin(), fetched_.end(), false);
  run(program_.code, source);
  return registers_[program_.result] != 0;
}

void Machine::fetch(std::size_t input, Source& source) {
  if (std::exchange(fetched_[input], true)) return;
  registers_[program_.inputs[input].to] = source.fetch(input);
}

void Machine::run(const Code& code, Source& source) {
  double* const registers = registers_.data();
  const Instruction* const end = code.data() + code.size();
  for (const Instruction* next = code.data(); next != end; ++next) {
    if (next->op == Op::fetch)
      fetch(next->a, source);
    else if (next->op == Op::jump_if_false)
      next += registers[next->a] == 0 ? next->b : 0;
    else if (next->op == Op::jump_if_not_false)
      next += registers[next->a] == 0 ? 0 : next->b;
    else
      registers[next->to] = calculated(*next, registers, batches_);
  }
}

std::vector<double> Machine::values(Source& source) {
  std::vector<double> values;
  for (const Shown& shown : program_.shown) {
    if (shown.input >= 0) fetch(static_cast<std::size_t>(shown.input), source);
    values.push_back(registers_[shown.from]);
  }
  return values;
}

void Machine::advance(Source& source) {
  for (const WindowUse& use : program_.windows) run(use.code, source);
  for (std::size_t i = 0; i < windows_.size(); ++i) {
    const double value = registers_[program_.windows[i].argument];
    if (std::isfinite(value)) windows_[i]->push(value);
  }
}

void Machine::state(State& state) {
  state.field("batches", batches_);
  for (std::size_t i = 0; i < windows_.size(); ++i) {
    std::vector<double> kept = windows_[i]->kept();
    state.field("window" + std::to_string(i), kept);
    if (state.loading()) windows_[i]->restore(kept);
  }
}

}  // namespace pyhooks::triggers
