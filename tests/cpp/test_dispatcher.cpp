#include <memory>
#include <thread>

#include "check.h"
#include "core/dispatcher.h"
#include "fake_host.h"
#include "trace.h"

using namespace pyhooks;

namespace {

struct Stage {
  FakeHost host;
  Context context{host};
  BatchContext batch{host};
  Dispatcher dispatcher;
  Notes notes;

  std::shared_ptr<Trace> add(const std::string& name, const Filter& filter = {}, Phase phase = Phase::observe) {
    auto trace = std::make_shared<Trace>(name, &notes);
    trace->in_phase = phase;
    dispatcher.add(trace, kEveryEvent, filter, name);
    return trace;
  }
  void fire(int times) {
    for (int i = 0; i < times; ++i) {
      host.now.batch = i + 1;
      dispatcher.fire<Event::on_train_batch_end>(batch);
    }
  }
};

/// What a registration with this filter notes over 12 occurrences, as "1 2 3".
std::string passed(const Filter& filter) {
  Stage stage;
  stage.add("", filter);
  stage.fire(12);
  std::string numbers;
  for (const std::string& note : stage.notes) {
    if (!numbers.empty()) numbers += ' ';
    numbers += note.substr(note.find('.') + 1);
  }
  return numbers;
}

}  // namespace

TEST(dispatcher_calls_by_phase_then_registration) {
  Stage stage;
  stage.add("a:");
  stage.add("b:", {}, Phase::save);
  stage.add("c:", {}, Phase::vote);
  stage.add("d:", {}, Phase::mutate);
  stage.add("e:", {}, Phase::vote);
  stage.add("f:");
  stage.dispatcher.fire<Event::on_train_start>(stage.context);
  check_notes(stage.notes, {"c:on_train_start 0", "e:on_train_start 0", "d:on_train_start 0", "b:on_train_start 0",
                            "a:on_train_start 0", "f:on_train_start 0"});
  Notes labels;
  for (const auto& registration : stage.dispatcher.listeners(Event::on_train_start))
    labels.push_back(registration->label);
  check_notes(labels, {"c:", "e:", "d:", "b:", "a:", "f:"});
  CHECK(stage.dispatcher.registrations().front()->label == "a:");
}

TEST(dispatcher_calls_only_for_registered_events) {
  Stage stage;
  stage.dispatcher.add(std::make_shared<Trace>("", &stage.notes), bit(Event::on_train_end), {}, "one");
  CHECK(stage.dispatcher.listens(Event::on_train_end));
  CHECK(!stage.dispatcher.listens(Event::on_train_start));
  stage.dispatcher.fire<Event::on_train_start>(stage.context);
  stage.dispatcher.fire<Event::on_train_end>(stage.context);
  check_notes(stage.notes, {"on_train_end 0"});
}

TEST(dispatcher_filters_every_after_before_once) {
  CHECK(passed({}) == "1 2 3 4 5 6 7 8 9 10 11 12");
  CHECK(passed({.every = 5}) == "5 10");
  CHECK(passed({.once = true}) == "1");
  CHECK(passed({.after = 9}) == "10 11 12");
  CHECK(passed({.before = 4}) == "1 2 3");
  CHECK(passed({.every = 3, .after = 3, .before = 12}) == "6 9");
  CHECK(passed({.every = 4, .once = true, .after = 4}) == "8");
}

TEST(dispatcher_filters_epoch_events_of_those_who_listen_to_no_batch_events) {
  const auto calls = [](EventMask events) {
    Stage stage;
    stage.dispatcher.add(std::make_shared<Trace>("", &stage.notes), events, {.every = 2}, "it");
    for (int i = 0; i < 4; ++i) stage.dispatcher.fire<Event::on_train_epoch_end>(stage.context);
    return stage.notes.size();
  };
  CHECK(calls(bit(Event::on_train_epoch_end) | bit(Event::on_train_start)) == 2);
  CHECK(calls(bit(Event::on_train_epoch_end) | bit(Event::on_train_batch_end)) == 4);
}

TEST(dispatcher_filters_no_run_events_of_a_callback_that_has_others_too) {
  Stage stage;
  stage.add("", {.every = 2});
  stage.dispatcher.fire<Event::on_train_start>(stage.context);
  stage.fire(2);
  stage.dispatcher.fire<Event::teardown>(stage.context);
  check_notes(stage.notes, {"on_train_start 0", "on_train_batch_end 0.2", "teardown 0"});

  Stage alone;
  alone.dispatcher.add(std::make_shared<Trace>("", &alone.notes), bit(Event::on_train_start), {.every = 2}, "alone");
  for (int i = 0; i < 2; ++i) alone.dispatcher.fire<Event::on_train_start>(alone.context);
  CHECK(alone.notes.size() == 1);
}

TEST(dispatcher_refuses_a_filter_that_divides_by_nothing) {
  Stage stage;
  CHECK_THROWS(stage.add("", {.every = 0}), std::invalid_argument);
  CHECK_THROWS(stage.add("", {.every = -2}), std::invalid_argument);
  CHECK(stage.dispatcher.registrations().empty());
}

TEST(dispatcher_counts_occurrences_whoever_listens_and_from_each_run) {
  Stage stage;
  stage.fire(3);
  stage.add("", {.every = 4});
  stage.fire(1);
  CHECK(stage.notes.size() == 1);
  stage.dispatcher.reset_counts();
  stage.fire(3);
  CHECK(stage.notes.size() == 1);
  stage.fire(1);
  CHECK(stage.notes.size() == 2);
}

TEST(dispatcher_removes_a_once_registration_after_its_call) {
  Stage stage;
  stage.add("", {.once = true});
  CHECK(stage.dispatcher.registrations().size() == 1);
  stage.fire(1);
  CHECK(stage.dispatcher.registrations().empty());
  CHECK(!stage.dispatcher.listens(Event::on_train_batch_end));
}

TEST(dispatcher_counts_all_calls_and_times_each_61st_at_batch_events) {
  Stage stage;
  stage.add("");
  stage.fire(130);
  const CallbackStats& stats = stage.dispatcher.registrations()[0]->stats;
  CHECK(stats.calls() == 130);
  CHECK(stats.batch.timed == 3);
  CHECK(stats.total_ns() > 0);
  CHECK(stats.max_ns > 0);
  stage.dispatcher.reset_counts();
  CHECK(stage.dispatcher.registrations()[0]->stats.calls() == 0);
  stage.fire(1);
  CHECK(stage.dispatcher.registrations()[0]->stats.batch.timed == 1);
}

TEST(dispatcher_times_the_first_call_of_a_callback_that_came_later) {
  Stage stage;
  stage.add("");
  stage.fire(30);
  stage.add("late");
  stage.fire(10);
  const auto registrations = stage.dispatcher.registrations();
  CHECK(registrations[0]->stats.batch.timed == 1 && registrations[0]->stats.calls() == 40);
  CHECK(registrations[1]->stats.batch.timed == 1 && registrations[1]->stats.calls() == 10);
}

TEST(dispatcher_sees_what_a_callback_takes_every_second_batch) {
  Stage stage;
  auto trace = stage.add("");
  int calls = 0;
  trace->also = [&calls](const std::string&, Context&) {
    if (calls++ % 2 == 1) std::this_thread::sleep_for(std::chrono::microseconds(100));
  };
  stage.fire(200);
  CHECK(stage.dispatcher.registrations()[0]->stats.max_ns >= 100e3);
}

TEST(dispatcher_does_not_scale_a_slow_run_event_by_the_batches) {
  Stage stage;
  auto trace = stage.add("");
  trace->also = [](const std::string& note, Context&) {
    if (note.starts_with("on_train_start")) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  };
  stage.dispatcher.fire<Event::on_train_start>(stage.context);
  stage.fire(1000);
  const CallbackStats& stats = stage.dispatcher.registrations()[0]->stats;
  CHECK(stats.calls() == 1001);
  CHECK(stats.max_ns >= 10e6);
  CHECK(stats.other.total_ns() >= 10e6);
  CHECK(stats.batch.total_ns() < 10e6);
}
