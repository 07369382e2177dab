#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "triggers/program.h"

namespace pyhooks::triggers {

/// What a name may mean when it is called: with one value, with two, with a value and a number of batches.
struct Function {
  std::string_view name;
  std::optional<Op> one = {};
  bool condition = false;  ///< `one` gives a condition
  std::optional<Op> two = {};
  std::optional<WindowKind> window = {};
};

inline constexpr std::array<Function, 12> kFunctions{{
    {.name = "abs", .one = Op::absolute},
    {.name = "sqrt", .one = Op::square_root},
    {.name = "log", .one = Op::logarithm},
    {.name = "exp", .one = Op::exponential},
    {.name = "isfinite", .one = Op::is_finite, .condition = true},
    {.name = "isnan", .one = Op::is_nan, .condition = true},
    {.name = "every", .one = Op::every, .condition = true},
    {.name = "min", .two = Op::smaller, .window = WindowKind::min},
    {.name = "max", .two = Op::larger, .window = WindowKind::max},
    {.name = "mean", .window = WindowKind::mean},
    {.name = "std", .window = WindowKind::std},
    {.name = "ema", .window = WindowKind::ema},
}};

constexpr const Function* find_function(std::string_view name) {
  for (const Function& function : kFunctions)
    if (function.name == name) return &function;
  return nullptr;
}

/// Their names.
std::vector<std::string> function_names();

/// How a function is called: "write sqrt(loss)".
std::string usage(std::string_view name);

}  // namespace pyhooks::triggers
