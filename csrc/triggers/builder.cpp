#include "triggers/builder.h"

#include <algorithm>

namespace pyhooks::triggers {

Register Builder::add_register(double value) {
  program_.registers.push_back(value);
  return static_cast<Register>(program_.registers.size() - 1);
}

Register Builder::constant(double value) { return add_register(value); }

Register Builder::apply(Op op, Register a, Register b) {
  const Register to = add_register();
  emit(op, to, a, b);
  return to;
}

Register Builder::input(const Token& name) {
  auto& inputs = program_.inputs;
  auto found = std::find_if(inputs.begin(), inputs.end(), [&](const Input& input) { return input.name == name.text; });
  if (found == inputs.end()) found = inputs.insert(inputs.end(), {name.text, name.position, add_register()});
  const auto number = found - inputs.begin();
  emit(Op::fetch, found->to, static_cast<Register>(number));
  return found->to;
}

Register Builder::window(WindowUse window) {
  auto& windows = program_.windows;
  const auto found =
      std::find_if(windows.begin(), windows.end(), [&](const WindowUse& other) { return other.text == window.text; });
  if (found != windows.end()) return found->to;
  window.to = add_register();
  windows.push_back(std::move(window));
  return windows.back().to;
}

Builder::Branch Builder::begin_branch(Op jump, Register a) {
  const Register to = apply(Op::copy, a);
  emit(jump, 0, to);
  return {to, program_.code.size()};
}

Register Builder::end_branch(const Branch& branch, Register otherwise) {
  emit(Op::copy, branch.to, otherwise);
  program_.code[branch.jump - 1].b = static_cast<Register>(program_.code.size() - branch.jump);
  return branch.to;
}

Program Builder::finish(Register result) {
  program_.result = result;
  for (std::size_t i = 0; i < program_.inputs.size(); ++i) {
    const Input& input = program_.inputs[i];
    program_.shown.push_back({input.name, input.position, input.to, static_cast<int>(i)});
  }
  for (const WindowUse& window : program_.windows)
    program_.shown.push_back({window.text, window.position, window.to, -1});
  std::sort(program_.shown.begin(), program_.shown.end(),
            [](const Shown& a, const Shown& b) { return a.position < b.position; });
  return std::move(program_);
}

}  // namespace pyhooks::triggers
