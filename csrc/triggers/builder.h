#pragma once

#include <string>
#include <utility>

#include "triggers/lexer.h"
#include "triggers/program.h"

namespace pyhooks::triggers {

/// Builds a program, instruction by instruction.
class Builder {
 public:
  explicit Builder(std::string text) { program_.text = std::move(text); }

  Register constant(double value);
  Register input(const Token& name);
  Register apply(Op op, Register a, Register b = 0);
  /// A statistic over the last `length` values of what `code` leaves in `argument`. The same text gives the same one.
  Register window(WindowUse window);

  /// Sets the code so far aside: what follows goes to code of its own, which `end_section` returns.
  Code begin_section() { return std::exchange(program_.code, {}); }
  Code end_section(Code outer) { return std::exchange(program_.code, std::move(outer)); }
  void append(const Code& code) { program_.code.insert(program_.code.end(), code.begin(), code.end()); }

  /// A value that is `a`, unless `jump` lets what follows, up to `end_branch`, replace it.
  struct Branch {
    Register to;
    std::size_t jump;
  };
  Branch begin_branch(Op jump, Register a);
  Register end_branch(const Branch& branch, Register otherwise);

  Program finish(Register result);

 private:
  Register add_register(double value = 0);
  void emit(Op op, Register to, Register a, Register b = 0) { program_.code.push_back({op, to, a, b}); }

  Program program_;
};

}  // namespace pyhooks::triggers
