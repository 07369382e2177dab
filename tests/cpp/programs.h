#pragma once
// Writing small programs by hand.

#include <string>
#include <utility>
#include <vector>

#include "engines/program.h"

inline pyhooks::Arg reg(int index) { return {pyhooks::Arg::Kind::reg, index, {}, {}}; }
inline pyhooks::Arg constant(c10::IValue value) { return {pyhooks::Arg::Kind::constant, -1, std::move(value), {}}; }
inline pyhooks::Arg list(std::vector<pyhooks::Arg> items) {
  return {pyhooks::Arg::Kind::list, -1, {}, std::move(items)};
}
inline const pyhooks::Arg kNone{};

/// One call; `name` as "aten::add.Tensor".
inline pyhooks::Op op(const std::string& name, std::vector<pyhooks::Arg> args, std::vector<int> outs,
                      std::vector<std::pair<std::string, pyhooks::Arg>> kwargs = {}) {
  const std::size_t dot = name.find('.');
  const std::string overload = dot == std::string::npos ? "" : name.substr(dot + 1);
  return {name.substr(0, dot), overload, std::move(args), std::move(kwargs), std::move(outs), "net.py:7 in forward"};
}
