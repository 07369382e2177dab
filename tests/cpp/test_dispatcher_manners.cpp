// Priorities, filters by time and rows, error policies, budgets, keys.
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>

#include "check.h"
#include "core/dispatcher.h"
#include "fake_host.h"
#include "trace.h"

using namespace pyhooks;

namespace {

struct Stage {
  FakeHost host;
  BatchContext context{host};
  Dispatcher dispatcher;
  Notes notes;
  Notes notices;

  Stage() {
    dispatcher.on_notice = [this](const Notice& notice) {
      notices.push_back(notice.who.label + (notice.error ? " failed " : " thinned ") +
                        std::string(info(notice.event).name) + " " + std::to_string(notice.who.stats.failures));
    };
  }

  std::uint64_t add(const std::string& name, const Manner& manner, const Filter& filter = {},
                    Phase phase = Phase::observe, std::function<void()> also = {}) {
    auto trace = std::make_shared<Trace>(name + ":", &notes);
    trace->in_phase = phase;
    if (also) trace->also = [also = std::move(also)](const std::string&, Context&) { also(); };
    return dispatcher.add(trace, kEveryEvent, filter, name, true, manner);
  }
  std::uint64_t add_throwing(const std::string& name, ErrorPolicy policy) {
    return add(name, {.on_error = policy}, {}, Phase::observe, [] { throw std::runtime_error("oops"); });
  }
  void batch() { dispatcher.fire<Event::on_train_batch_end>(context); }
  CallbackStats stats(std::size_t i = 0) const { return dispatcher.registrations().at(i)->stats; }
  Notes take() { return std::exchange(notes, {}); }
};

}  // namespace

TEST(dispatcher_priorities_order_within_a_phase_only) {
  Stage stage;
  stage.add("late", {.priority = -1});
  stage.add("first", {}, {}, Phase::observe);
  stage.add("early", {.priority = 5});
  stage.add("second", {});
  stage.add("vote", {.priority = -100}, {}, Phase::vote);
  stage.batch();
  check_notes(stage.take(),
              {"vote:on_train_batch_end 0.0", "early:on_train_batch_end 0.0", "first:on_train_batch_end 0.0",
               "second:on_train_batch_end 0.0", "late:on_train_batch_end 0.0"});
}

TEST(dispatcher_seconds_lets_the_first_through_and_then_waits) {
  Stage stage;
  stage.add("a", {}, {.seconds = 10});
  std::vector<double> called;
  for (double now : {1.0, 2.0, 10.9, 11.0, 12.0, 30.0, 39.0, 40.0}) {
    stage.host.clock = now;
    stage.batch();
    if (!stage.take().empty()) called.push_back(now);
  }
  CHECK(called == std::vector<double>{1, 11, 30, 40});
}

TEST(dispatcher_samples_counts_rows_since_the_last_call) {
  Stage stage;
  stage.add("a", {}, {.samples = 100});
  std::vector<std::int64_t> called;
  for (std::int64_t seen = 30; seen <= 390; seen += 30) {
    stage.host.now.samples_seen = seen;
    stage.batch();
    if (!stage.take().empty()) called.push_back(seen);
  }
  CHECK(called == std::vector<std::int64_t>{120, 240, 360});
}

TEST(dispatcher_warn_reports_and_goes_on) {
  Stage stage;
  stage.add_throwing("bad", ErrorPolicy::warn);
  stage.add("good", {});
  for (int i = 0; i < 12; ++i) stage.batch();
  CHECK(stage.take().size() == 24);
  check_notes(stage.notices, {"bad failed on_train_batch_end 1", "bad failed on_train_batch_end 10"});
  CHECK(stage.stats().failures == 12 && stage.stats().calls() == 12);
}

TEST(dispatcher_disable_reports_once_and_removes) {
  Stage stage;
  stage.add_throwing("bad", ErrorPolicy::disable);
  stage.add("good", {});
  stage.batch();
  stage.batch();
  check_notes(stage.take(),
              {"bad:on_train_batch_end 0.0", "good:on_train_batch_end 0.0", "good:on_train_batch_end 0.0"});
  check_notes(stage.notices, {"bad failed on_train_batch_end 1"});
}

TEST(dispatcher_raise_goes_straight_out) {
  Stage stage;
  stage.add_throwing("bad", ErrorPolicy::raise);
  stage.add("good", {});
  CHECK_THROWS(stage.batch(), std::runtime_error);
  check_notes(stage.take(), {"bad:on_train_batch_end 0.0"});
  CHECK(stage.dispatcher.current()->label == "bad" && stage.dispatcher.current_event() == Event::on_train_batch_end);
}

TEST(dispatcher_fatal_errors_pass_every_policy) {
  Stage stage;
  stage.dispatcher.is_fatal = [](const std::exception_ptr&) { return true; };
  stage.add_throwing("bad", ErrorPolicy::warn);
  CHECK_THROWS(stage.batch(), std::runtime_error);
  CHECK(stage.notices.empty());
}

// It works 20 ms a call and may have 1 % of the time: the next call is due 2 s later, when this is long over.
TEST(dispatcher_a_budget_thins_what_costs_more) {
  Stage stage;
  stage.add("slow", {.budget = 0.01}, {}, Phase::observe,
            [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); });
  for (int i = 0; i < 50; ++i) stage.batch();
  CHECK(stage.take().size() == 1);
  CHECK(stage.stats().thinned == 49 && stage.stats().calls() == 1);
  check_notes(stage.notices, {"slow thinned on_train_batch_end 0"});
}

TEST(dispatcher_a_budget_that_is_kept_changes_nothing) {
  Stage stage;
  stage.add("quick", {.budget = 0.99});
  stage.batch();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  for (int i = 0; i < 5; ++i) {
    stage.batch();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(stage.take().size() == 6 && stage.stats().thinned == 0 && stage.notices.empty());
}

TEST(dispatcher_a_budget_never_thins_run_and_epoch_events) {
  Stage stage;
  stage.add("slow", {.budget = 1e-9});
  Context& context = stage.context;
  for (int i = 0; i < 3; ++i) stage.dispatcher.fire<Event::on_train_epoch_end>(context);
  stage.dispatcher.fire<Event::on_train_end>(context);
  CHECK(stage.take().size() == 4);
}

TEST(dispatcher_keys_are_labels_numbered_where_there_are_several) {
  Stage stage;
  stage.add("ema", {});
  stage.add("ema", {});
  stage.add("ema", {.key = "fast"});
  stage.add("ema", {});
  std::vector<std::string> keys;
  for (const auto& registration : stage.dispatcher.registrations()) keys.push_back(registration->manner.key);
  CHECK(keys == std::vector<std::string>{"ema", "ema#2", "fast", "ema#3"});
  CHECK_THROWS(stage.add("other", {.key = "fast"}), std::invalid_argument);
}
