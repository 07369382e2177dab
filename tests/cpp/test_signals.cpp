#include <csignal>
#include <memory>

#include "check.h"
#include "core/signals.h"

using namespace pyhooks;

namespace {

volatile std::sig_atomic_t plain_calls = 0;
volatile std::sig_atomic_t detailed_calls = 0;

void plain(int) { plain_calls = plain_calls + 1; }
void detailed(int, siginfo_t* details, void*) { detailed_calls = detailed_calls + (details != nullptr ? 1 : 0); }

struct sigaction present(int signal) {
  struct sigaction action = {};
  sigaction(signal, nullptr, &action);
  return action;
}

/// A handler for the length of a test.
class Handler {
 public:
  Handler(int signal, void (*handler)(int)) : signal_(signal) {
    struct sigaction action = {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaction(signal, &action, &before_);
  }
  ~Handler() { sigaction(signal_, &before_, nullptr); }

 private:
  int signal_;
  struct sigaction before_ = {};
};

}  // namespace

TEST(signals_are_noticed_and_passed_on) {
  Handler handler(SIGUSR1, plain);
  plain_calls = 0;
  {
    SignalWatch watch({SIGUSR1});
    CHECK(!SignalWatch::pending());
    std::raise(SIGUSR1);
    CHECK(SignalWatch::pending());
    CHECK(plain_calls == 1);
    SignalWatch::clear();
    CHECK(!SignalWatch::pending());
  }
  std::raise(SIGUSR1);
  CHECK(plain_calls == 2);
  CHECK(!SignalWatch::pending());
}

TEST(signals_reach_a_handler_that_wants_details) {
  Handler restore(SIGUSR1, plain);
  struct sigaction action = {};
  action.sa_sigaction = detailed;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGUSR1, &action, nullptr);
  SignalWatch watch({SIGUSR1});
  std::raise(SIGUSR1);
  CHECK(detailed_calls == 1);
}

TEST(signals_find_their_handlers_restored) {
  Handler handler(SIGUSR1, plain);
  {
    SignalWatch watch({SIGUSR1});
    const struct sigaction ours = present(SIGUSR1);
    CHECK(ours.sa_flags & SA_SIGINFO);
    CHECK(ours.sa_flags & SA_RESTART);  // the flags and mask of the handler that is there
    CHECK(sigismember(&ours.sa_mask, SIGUSR2) == 1);
  }
  CHECK(!(present(SIGUSR1).sa_flags & SA_SIGINFO));
  CHECK(present(SIGUSR1).sa_handler == plain);
}

TEST(signals_that_nobody_handles_are_left_alone) {
  Handler nobody(SIGUSR1, SIG_DFL);
  Handler deaf(SIGUSR2, SIG_IGN);
  SignalWatch watch({SIGUSR1, SIGUSR2});
  CHECK(present(SIGUSR1).sa_handler == SIG_DFL);
  CHECK(present(SIGUSR2).sa_handler == SIG_IGN);
}

TEST(signals_keep_a_handler_that_was_set_meanwhile) {
  Handler handler(SIGUSR1, SIG_IGN);
  std::signal(SIGUSR1, plain);
  {
    SignalWatch watch({SIGUSR1});
    std::signal(SIGUSR1, SIG_IGN);
  }
  CHECK(present(SIGUSR1).sa_handler == SIG_IGN);
}

TEST(signals_of_a_watch_inside_a_watch_are_the_outer_ones) {
  Handler handler(SIGUSR1, plain);
  plain_calls = 0;
  SignalWatch outer({SIGUSR1});
  std::raise(SIGUSR1);
  {
    SignalWatch inner({SIGUSR1});
    CHECK(SignalWatch::pending());  // what came before is not forgotten
    std::raise(SIGUSR1);
    CHECK(plain_calls == 2);
  }
  SignalWatch::clear();
  std::raise(SIGUSR1);
  CHECK(SignalWatch::pending());
  CHECK(plain_calls == 3);
}

TEST(signals_can_be_watched_again_afterwards) {
  Handler handler(SIGUSR1, plain);
  for (int run = 0; run < 2; ++run) {
    SignalWatch watch({SIGUSR1});
    CHECK(!SignalWatch::pending());
    std::raise(SIGUSR1);
    CHECK(SignalWatch::pending());
  }
}
