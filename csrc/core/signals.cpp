#include "core/signals.h"

#include <array>
#include <atomic>

namespace pyhooks {

namespace {

constexpr int kSignals = NSIG;
std::atomic<bool> arrived{false};
std::atomic<bool> watching{false};
std::array<struct sigaction, kSignals> previous;

void notice(int signal, siginfo_t* details, void* context) {
  arrived.store(true, std::memory_order_relaxed);
  const struct sigaction& before = previous[static_cast<std::size_t>(signal)];
  if (before.sa_flags & SA_SIGINFO) {
    before.sa_sigaction(signal, details, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  }
}

}  // namespace

SignalWatch::SignalWatch(const std::vector<int>& signals) {
  if (watching.exchange(true)) return;  // a training inside a training: the outer one's watch serves both
  clear();
  owner_ = true;
  for (int signal : signals) {
    struct sigaction action = {};
    action.sa_sigaction = notice;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    if (sigaction(signal, nullptr, &previous[static_cast<std::size_t>(signal)]) == 0 &&
        sigaction(signal, &action, nullptr) == 0)
      signals_.push_back(signal);
  }
}

SignalWatch::~SignalWatch() {
  for (int signal : signals_) {
    // Only where our handler is still in place: somebody may have set another one meanwhile.
    struct sigaction now = {};
    if (sigaction(signal, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == notice)
      sigaction(signal, &previous[static_cast<std::size_t>(signal)], nullptr);
  }
  if (owner_) watching.store(false);
}

bool SignalWatch::pending() { return arrived.load(std::memory_order_relaxed); }

void SignalWatch::clear() { arrived.store(false, std::memory_order_relaxed); }

}  // namespace pyhooks
