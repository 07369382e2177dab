#include "trainer/interrupt.h"

namespace pyhooks {

namespace {
void wait_for_the_batch(int) {}  // SignalWatch, which stands before it, has taken note
}  // namespace

InterruptGuard::InterruptGuard() {
  if (sigaction(SIGINT, nullptr, &before_) != 0 || (before_.sa_flags & SA_SIGINFO) || before_.sa_handler != SIG_DFL)
    return;
  struct sigaction once = {};
  once.sa_handler = wait_for_the_batch;
  once.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);  // reset: the second one has its default effect
  guards_ = sigaction(SIGINT, &once, nullptr) == 0;
  if (guards_) watch_.emplace(std::vector<int>{SIGINT});
}

InterruptGuard::~InterruptGuard() {
  watch_.reset();
  if (guards_) sigaction(SIGINT, &before_, nullptr);
}

}  // namespace pyhooks
