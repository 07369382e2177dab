// Exceptions and interrupts: what still fires, and which exception comes out.
#include <csignal>

#include "check.h"
#include "core/signals.h"
#include "toy.h"

using namespace pyhooks;
using toy::join;
using toy::kStart;
using toy::train_batch;
using toy::Training;

namespace {

struct Oops : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct Interrupt : std::exception {};

void throw_at(Training& training, const std::string& at) {
  training.trace->also = [=](const std::string& note, Context&) {
    if (note == at) throw Oops(at);
  };
}

const Notes kFailed{"on_exception 0", "teardown 0"};
const Notes kFirstEpoch = join({kStart, {"on_train_epoch_start 0"}});

/// A signal with a handler that does nothing, for as long as this lives.
class Handled {
 public:
  explicit Handled(int signal) : signal_(signal) {
    struct sigaction ours = {};
    ours.sa_handler = [](int) {};
    sigaction(signal, &ours, &before_);
  }
  ~Handled() { sigaction(signal_, &before_, nullptr); }

 private:
  int signal_;
  struct sigaction before_ = {};
};

/// Runs a training to which a signal comes at that note.
void signal_at(Training& training, const std::string& at, std::function<void()> check_signals) {
  training.trace->also = [=](const std::string& note, Context&) {
    if (note == at) std::raise(SIGINT);
  };
  training.loop.config.hooks.check_signals = std::move(check_signals);
  training.loop.config.hooks.is_interrupt = [](std::exception_ptr error) {
    try {
      std::rethrow_exception(error);
    } catch (const Interrupt&) {
      return true;
    } catch (...) {
      return false;
    }
  };
  const Handled handled(SIGINT);
  SignalWatch watch({SIGINT});
  training.loop.run();
}

void interrupt_at(Training& training, const std::string& at) {
  CHECK_THROWS(signal_at(training, at, [] { throw Interrupt(); }), Interrupt);
}

}  // namespace

TEST(loop_exception_in_a_batch_callback_ends_training_there) {
  Training training(3);
  throw_at(training, "on_backward_end 0.1");
  std::string culprit;
  training.loop.config.hooks.on_error = [&](std::exception_ptr) { culprit = training.dispatcher->current()->label; };
  CHECK_THROWS(training.loop.run(), Oops);
  check_notes(training.trace->notes(),
              join({kFirstEpoch, train_batch("0.0"), {"on_train_batch_start 0.1", "on_backward_end 0.1"}, kFailed}));
  CHECK(culprit == "trace");
  CHECK(training.dispatcher->current() == nullptr);
  CHECK(training.source->ended == 1);
  CHECK(training.loop.peek().training == -1);
}

TEST(loop_exception_in_the_engine_ends_training_there) {
  Training training(3);
  training.engine->before = [](Mode, int step) {
    if (step == 1) throw Oops("engine");
  };
  bool in_callback = true;
  training.loop.config.hooks.on_error = [&](std::exception_ptr) { in_callback = training.dispatcher->current(); };
  CHECK_THROWS(training.loop.run(), Oops);
  check_notes(training.trace->notes(), join({kFirstEpoch, train_batch("0.0"), {"on_train_batch_start 0.1"}, kFailed}));
  CHECK(!in_callback);
}

TEST(loop_exception_in_the_source_ends_training_there) {
  Training training(3);
  training.source->throws_at = 1;
  CHECK_THROWS(training.loop.run(), std::runtime_error);
  check_notes(training.trace->notes(), join({kFirstEpoch, train_batch("0.0"), kFailed}));
  CHECK(training.source->ended == 1);
}

TEST(loop_exception_in_validation_ends_the_source_of_validation) {
  Training training(3, {{1}});
  training.validate_on({{1}});
  throw_at(training, "on_val_batch_end 0.0");
  CHECK_THROWS(training.loop.run(), Oops);
  CHECK(training.val->ended == 1);
  CHECK(training.loop.history().empty());
}

TEST(loop_exception_when_a_source_ends_comes_out) {
  Training training(3, {{1}});
  training.source->at_end = [] { throw Oops("end"); };
  CHECK_THROWS(training.loop.run(), Oops);
  check_notes(training.trace->notes(), join({kFirstEpoch, train_batch("0.0"), kFailed}));
}

TEST(loop_exception_first_is_the_one_that_comes_out) {
  Training training(3);
  throw_at(training, "on_train_batch_end 0.0");
  training.source->at_end = [] { throw std::logic_error("end of epoch"); };
  training.loop.config.hooks.end_batches = [](std::int64_t) { throw std::logic_error("end of batches"); };
  int secondary = 0;
  training.loop.config.hooks.on_secondary_error = [&](std::exception_ptr) {
    ++secondary;
    throw std::logic_error("cannot even be told");
  };
  CHECK_THROWS(training.loop.run(), Oops);
  CHECK(secondary == 2);
  check_notes(training.trace->notes(), join({kFirstEpoch, train_batch("0.0"), kFailed}));
}

TEST(loop_exception_while_ending_with_one_silences_nobody) {
  Training training(3);
  throw_at(training, "on_train_start 0");
  auto loud = std::make_shared<Trace>("loud:");
  loud->also = [](const std::string&, Context&) { throw std::logic_error("too"); };
  loud->in_phase = Phase::vote;
  training.dispatcher->add(loud, bit(Event::on_exception) | bit(Event::teardown), {}, "loud");
  int secondary = 0;
  training.loop.config.hooks.on_secondary_error = [&](std::exception_ptr) { ++secondary; };
  CHECK_THROWS(training.loop.run(), Oops);
  check_notes(training.trace->notes(), join({kStart, kFailed}));
  check_notes(loud->notes(), {"loud:on_exception 0", "loud:teardown 0"});
  CHECK(secondary == 2);
}

TEST(loop_exception_in_teardown_comes_out_after_everybody_was_called) {
  Training training(1, {{1}});
  auto loud = std::make_shared<Trace>("loud:");
  loud->also = [](const std::string&, Context&) { throw Oops("teardown"); };
  loud->in_phase = Phase::vote;
  training.dispatcher->add(loud, bit(Event::teardown), {}, "loud");
  CHECK_THROWS(training.loop.run(), Oops);
  CHECK(training.trace->notes().back() == "teardown 0");
}

TEST(loop_exception_in_setup_is_handled_like_any) {
  Training training(1);
  training.loop.config.hooks.setup = [] { throw Oops("setup"); };
  CHECK_THROWS(training.loop.run(), Oops);
  check_notes(training.trace->notes(), join({{"on_pretrain_routine_start 0"}, kFailed}));
}

TEST(loop_interrupt_lets_the_batch_finish) {
  Training training(3);
  interrupt_at(training, "on_backward_end 0.0");
  check_notes(training.trace->notes(), join({kFirstEpoch, train_batch("0.0"), {"on_interrupt 0"}, kFailed}));
  CHECK(training.source->ended == 1);
}

TEST(loop_signal_that_interrupts_nothing_is_asked_about_once) {
  Training training(1, {{1}, {1}, {1}});
  int asked = 0;
  signal_at(training, "on_train_batch_start 0.0", [&] { ++asked; });
  CHECK(asked == 1);
  CHECK(training.loop.epochs_run() == 1);
}

TEST(loop_interrupt_in_validation_ends_it_after_the_batch) {
  Training training(3, {{1}});
  training.validate_on({{1}, {1}});
  interrupt_at(training, "on_val_batch_start 0.0");
  check_notes(training.trace->notes(), join({kFirstEpoch,
                                             train_batch("0.0"),
                                             {"on_train_epoch_end 0", "on_val_start 0", "on_val_batch_start 0.0",
                                              "on_val_batch_end 0.0", "on_interrupt 0"},
                                             kFailed}));
}

TEST(loop_interrupt_in_a_group_makes_no_late_update) {
  Training training(1, {{1}, {1}});
  training.accumulate(2);
  interrupt_at(training, "on_train_batch_end 0.0");
  check_notes(training.trace->notes(), join({kFirstEpoch, train_batch("0.0", false), {"on_interrupt 0"}, kFailed}));
  CHECK(training.descent->grads.empty());
}
