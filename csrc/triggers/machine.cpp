#include "triggers/machine.h"

#include <string>

namespace pyhooks::triggers {

Machine::Machine(Program program) : program_(std::move(program)) {
  for (const WindowUse& use : program_.windows) windows_.push_back(make_window(use.kind, use.length));
  reset();
}

void Machine::reset() {
  batches_ = 0;
  registers_ = program_.registers;
  fetched_at_.assign(program_.inputs.size(), 0);
  for (std::size_t i = 0; i < windows_.size(); ++i) {
    windows_[i]->clear();
    registers_[program_.windows[i].to] = windows_[i]->statistic();
  }
}

void Machine::state(State& state) {
  state.field("batches", batches_);
  for (std::size_t i = 0; i < windows_.size(); ++i) {
    std::vector<double> kept = windows_[i]->kept();
    state.field("window" + std::to_string(i), kept);
    if (!state.loading()) continue;
    windows_[i]->restore(kept);
    registers_[program_.windows[i].to] = windows_[i]->statistic();
  }
  if (state.loading()) fetched_at_.assign(fetched_at_.size(), 0);
}

}  // namespace pyhooks::triggers
