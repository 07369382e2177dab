#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "pyhooks/state.h"
#include "triggers/program.h"
#include "triggers/window.h"

namespace pyhooks::triggers {

/// Where a program's inputs come from.
class Source {
 public:
  /// The value of an input, by its number, for the batch in hand. Called at most once a batch, and only if it is needed.
  virtual double fetch(std::size_t input) = 0;

 protected:
  ~Source() = default;
};

/// Runs a program for batch after batch. For each one: `holds`, then perhaps `values`, then `advance`.
class Machine {
 public:
  explicit Machine(Program program);

  const Program& program() const { return program_; }

  /// Whether the expression holds for the next batch. What windows say is of the batches before it.
  bool holds(Source& source);
  /// The values of what the program has to show; those not looked at are fetched now.
  std::vector<double> values(Source& source);
  /// Gives the windows this batch's values, the finite ones.
  void advance(Source& source);
  /// Forgets all batches.
  void reset();
  /// The windows and the number of batches.
  void state(State& state);

 private:
  void run(const Code& code, Source& source);
  void fetch(std::size_t input, Source& source);

  Program program_;
  std::vector<double> registers_;
  std::vector<char> fetched_;  // of this batch, by input
  std::vector<std::unique_ptr<Window>> windows_;
  std::int64_t batches_ = 0;
};

}  // namespace pyhooks::triggers
