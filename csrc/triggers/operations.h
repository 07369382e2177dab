#pragma once

#include <cmath>
#include <cstdint>

#include "triggers/program.h"

namespace pyhooks::triggers {

/// As Python's: the result has the sign of the divisor.
inline double modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(rest, b);
  return (rest < 0) == (b < 0) ? rest : rest + b;  // NaN stays NaN
}

/// What an instruction computes of the registers; `batches` is the number of the batch, from 1. Not for `fetch` and jumps.
inline double calculated(const Instruction& instruction, const double* registers, std::int64_t batches) {
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
      break;  // Machine::run's
  }
  return 0;
}

}  // namespace pyhooks::triggers
