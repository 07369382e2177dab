#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "pyhooks/state.h"
#include "triggers/operations.h"
#include "triggers/program.h"
#include "triggers/window.h"

namespace pyhooks::triggers {

/// Runs a program for batch after batch. For each one: `holds`, then perhaps `values`, then `advance`.
///
/// A source has `double fetch(std::size_t input)`, the value of an input for the batch in hand. It is called at most once
/// a batch, and only if the value is needed. All is inline: this runs every batch.
class Machine {
 public:
  explicit Machine(Program program);

  const Program& program() const { return program_; }

  /// Whether the expression holds for the next batch. What windows say is of the batches before it.
  template <class Source>
  bool holds(Source& source) {
    ++batches_;
    run(program_.code, source);
    return registers_[program_.result] != 0;
  }

  /// The values of what the program has to show; those not looked at are fetched now.
  template <class Source>
  std::vector<double> values(Source& source) {
    std::vector<double> values;
    for (const Shown& shown : program_.shown) {
      if (shown.input >= 0) fetch(static_cast<std::size_t>(shown.input), source);
      values.push_back(registers_[shown.from]);
    }
    return values;
  }

  /// Gives the windows this batch's values, the finite ones.
  template <class Source>
  void advance(Source& source) {
    for (const WindowUse& use : program_.windows) run(use.code, source);
    for (std::size_t i = windows_.size(); i-- > 0;) {  // outer ones first, before what they are windows of changes
      const WindowUse& use = program_.windows[i];
      const double value = registers_[use.argument];
      if (std::isfinite(value)) registers_[use.to] = windows_[i]->push(value);
    }
  }

  /// Forgets all batches.
  void reset();
  /// The windows and the number of batches.
  void state(State& state);

 private:
  template <class Source>
  void fetch(std::size_t input, Source& source) {
    if (std::exchange(fetched_at_[input], batches_) == batches_) return;
    registers_[program_.inputs[input].to] = source.fetch(input);
  }

  template <class Source>
  void run(const Code& code, Source& source) {
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

  Program program_;
  std::vector<double> registers_;
  std::vector<std::int64_t> fetched_at_;  // by input: the batch whose value its register holds
  std::vector<std::unique_ptr<Window>> windows_;
  std::int64_t batches_ = 0;
};

}  // namespace pyhooks::triggers
