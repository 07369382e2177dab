#pragma once

#include <csignal>
#include <optional>

#include "core/signals.h"

namespace pyhooks {

/// While it lives, Ctrl-C is noticed between batches (`SignalWatch::pending`) instead of ending the program; a second one
/// ends it. A program that handles or ignores SIGINT itself is left alone.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction before_ = {};
  bool guards_ = false;
  std::optional<SignalWatch> watch_;
};

}  // namespace pyhooks
