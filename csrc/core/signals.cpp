#include "core/signals.h"

#include <array>
#include <atomic>

namespace pyhooks {

namespace {

constexpr int kSignals = NSIG;
std::atomic<bool> arrived{false};
std::atomic<bool> watching{false};
thread_local int watches_here = 0;  // signals are the business of the thread that watches them
std::array<struct sigaction, kSignals> previous;

void notice(int signal, siginfo_t* details, void* context) {
  arrived.store(true, std::memory_order_relaxed);
  const struct sigaction& before = previous[static_cast<std::size_t>(signal)];
  if (before.sa_flags & SA_SIGINFO)
    before.sa_sigaction(signal, details, context);
  else
    before.sa_handler(signal);
}

bool handled(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

// Puts our handler before the one that is there, if there is one, with that one's mask and flags.
bool watch(int signal) {
  struct sigaction& before = previous.at(static_cast<std::size_t>(signal));
  if (sigaction(signal, nullptr, &before) != 0 || !handled(before)) return false;
  struct sigaction action = before;
  action.sa_sigaction = notice;
  action.sa_flags |= SA_SIGINFO;
  return sigaction(signal, &action, nullptr) == 0;
}

}  // namespace

SignalWatch::SignalWatch(const std::vector<int>& signals) {
  if (signals.empty()) return;
  watches_ = true;
  ++watches_here;
  if (watching.exchange(true)) return;  // a training inside a training: the outer one's watch serves both
  clear();
  owner_ = true;
  for (int signal : signals)
    if (watch(signal)) signals_.push_back(signal);
}

SignalWatch::~SignalWatch() {
  for (int signal : signals_) {
    // Only where our handler is still in place: somebody may have set another one meanwhile.
    struct sigaction now = {};
    if (sigaction(signal, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == notice)
      sigaction(signal, &previous[static_cast<std::size_t>(signal)], nullptr);
  }
  if (watches_) --watches_here;
  if (owner_) watching.store(false);
}

bool SignalWatch::pending() { return arrived.load(std::memory_order_relaxed) && watches_here > 0; }

void SignalWatch::clear() { arrived.store(false, std::memory_order_relaxed); }

}  // namespace pyhooks
