#pragma once

#include <csignal>
#include <vector>

namespace pyhooks {

/// While it lives, notices the given signals and passes them on to the handlers that were there before (Python's, say).
/// A signal that nobody handles is left alone: it keeps its default effect, or stays ignored.
/// The loop asks `pending()` between batches: one relaxed load. One at a time in a process; restores what it found.
class SignalWatch {
 public:
  explicit SignalWatch(const std::vector<int>& signals);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  /// Whether a signal came since `clear()` that this thread watches for.
  static bool pending();
  static void clear();

 private:
  std::vector<int> signals_;
  bool watches_ = false;
  bool owner_ = false;
};

}  // namespace pyhooks
