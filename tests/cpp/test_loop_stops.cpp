// A vote to stop: what still fires.
#include <atomic>
#include <thread>

#include "check.h"
#include "toy.h"

using namespace pyhooks;
using toy::join;
using toy::kStart;
using toy::train_batch;
using toy::Training;

namespace {

/// Votes when that note is made.
void vote_at(Training& training, const std::string& at, const std::string& reason = "enough") {
  training.trace->also = [=](const std::string& note, Context& ctx) {
    if (note == at) ctx.request_stop(reason);
  };
}

const Notes kStopped{"on_train_epoch_end 0", "on_fit_epoch_end 0", "on_early_stop 0", "on_train_end 0", "teardown 0"};

}  // namespace

TEST(loop_stop_in_a_batch_finishes_the_batch_and_the_shortened_epoch) {
  Training training(3, {{1}, {1}, {1}});
  training.validate_on({{1}});
  vote_at(training, "on_backward_end 0.1");
  auto later = std::make_shared<Trace>("later:");
  training.dispatcher->add(later, bit(Event::on_backward_end), {}, "later");
  training.loop.run();
  check_notes(training.trace->notes(),
              join({kStart,
                    {"on_train_epoch_start 0"},
                    train_batch("0.0"),
                    train_batch("0.1"),
                    {"on_train_epoch_end 0", "on_val_start 0", "on_val_batch_start 0.0", "on_val_batch_end 0.0",
                     "on_val_end 0", "on_fit_epoch_end 0", "on_early_stop 0", "on_train_end 0", "teardown 0"}}));
  check_notes(later->notes(), {"later:on_backward_end 0.0", "later:on_backward_end 0.1"});
  CHECK(training.source->ended == 1);
  CHECK(training.loop.history().size() == 1);
}

TEST(loop_stop_is_recorded_with_who_why_and_when) {
  Training training(3);
  vote_at(training, "on_train_batch_end 0.1", "loss below 0.01");
  training.loop.run();
  CHECK(training.loop.votes().size() == 1);
  const StopVote& vote = training.loop.votes()[0];
  CHECK(vote.who == "trace");
  CHECK(vote.reason == "loss below 0.01");
  CHECK(vote.epoch == 0);
  CHECK(vote.batch == 1);
  CHECK(training.dispatcher->registrations()[0]->stats.stops == 1);
}

TEST(loop_stop_in_a_group_makes_the_update_that_is_pending) {
  Training training(3, {{1}, {1}, {1}, {1}});
  training.accumulate(2);
  vote_at(training, "on_train_batch_end 0.2");
  training.loop.run();
  check_notes(training.trace->notes(), join({kStart,
                                             {"on_train_epoch_start 0"},
                                             train_batch("0.0", false),
                                             train_batch("0.1"),
                                             train_batch("0.2", false),
                                             {"optimizer_step 0.2", "on_params_update 0.2", "on_before_zero_grad 0.2"},
                                             kStopped}));
  CHECK(training.loop.progress().global_step == 2);
  CHECK(training.loop.peek().global_step == 2);
}

TEST(loop_stop_at_an_epoch_event_lets_the_whole_epoch_be) {
  Training training(3, {{1}});
  vote_at(training, "on_fit_epoch_end 0");
  auto later = std::make_shared<Trace>("later:");
  training.dispatcher->add(later, bit(Event::on_fit_epoch_end), {}, "later");
  training.loop.run();
  check_notes(training.trace->notes(), join({kStart, {"on_train_epoch_start 0"}, train_batch("0.0"), kStopped}));
  check_notes(later->notes(), {"later:on_fit_epoch_end 0"});
  CHECK(training.loop.votes()[0].batch == -1);
}

TEST(loop_stop_in_validation_lets_validation_finish) {
  Training training(3, {{1}});
  training.validate_on({{1}, {1}});
  vote_at(training, "on_val_batch_end 0.0");
  training.loop.run();
  check_notes(training.trace->notes(),
              join({kStart,
                    {"on_train_epoch_start 0"},
                    train_batch("0.0"),
                    {"on_train_epoch_end 0", "on_val_start 0", "on_val_batch_start 0.0", "on_val_batch_end 0.0",
                     "on_val_batch_start 0.1", "on_val_batch_end 0.1", "on_val_end 0", "on_fit_epoch_end 0",
                     "on_early_stop 0", "on_train_end 0", "teardown 0"}}));
}

TEST(loop_stop_before_the_first_batch_leaves_the_epoch_out) {
  Training training(3);
  vote_at(training, "on_train_epoch_start 0");
  training.loop.run();
  check_notes(training.trace->notes(),
              join({kStart, {"on_train_epoch_start 0", "on_early_stop 0", "on_train_end 0", "teardown 0"}}));
  CHECK(training.loop.epochs_run() == 0);
  CHECK(training.loop.history().empty());
}

TEST(loop_stop_before_a_later_epochs_first_batch_keeps_the_last_metrics) {
  Training training(3, {{1}});
  vote_at(training, "on_train_epoch_start 1");
  training.loop.run();
  CHECK(training.loop.history().size() == 1);
  CHECK(training.loop.metrics() == training.loop.history()[0]);
}

TEST(loop_stop_before_the_first_epoch_leaves_all_epochs_out) {
  Training training(3);
  vote_at(training, "on_train_start 0");
  training.loop.run();
  check_notes(training.trace->notes(), join({kStart, {"on_early_stop 0", "on_train_end 0", "teardown 0"}}));
}

TEST(loop_stop_in_the_last_epoch_counts) {
  Training training(1, {{1}});
  vote_at(training, "on_fit_epoch_end 0");
  training.loop.run();
  check_notes(training.trace->notes(), join({kStart, {"on_train_epoch_start 0"}, train_batch("0.0"), kStopped}));
}

TEST(loop_stop_from_another_thread_ends_the_epoch_at_the_next_batch) {
  Training training(1000, std::vector<std::vector<float>>(100, {1}));
  std::atomic<bool> running{false};
  training.trace->also_batch = [&](const std::string&, BatchContext&) { running = true; };
  std::thread other([&] {
    while (!running) std::this_thread::yield();
    training.loop.vote_from_outside("somebody pressed stop");
  });
  training.loop.run();
  other.join();
  CHECK(training.loop.votes().size() == 1);
  CHECK(training.loop.votes()[0].reason == "somebody pressed stop");
  const Notes& notes = training.trace->notes();
  CHECK(notes[notes.size() - 3].starts_with("on_early_stop"));
}

TEST(loop_stop_from_another_thread_in_an_epochs_last_event_starts_no_other) {
  Training training(3, {{1}});
  training.trace->also = [&](const std::string& note, Context&) {
    if (note == "on_fit_epoch_end 0") std::thread([&] { training.loop.vote_from_outside("stop"); }).join();
  };
  training.loop.run();
  check_notes(training.trace->notes(), join({kStart, {"on_train_epoch_start 0"}, train_batch("0.0"), kStopped}));
}
