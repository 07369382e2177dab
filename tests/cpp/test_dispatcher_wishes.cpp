// What a callback may say of itself: which events it wants, that it filters itself, that it reads what others log.
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "core/dispatcher.h"
#include "core/loop.h"
#include "trace.h"

using namespace pyhooks;

namespace {

/// Notes each call at on_train_batch_end, and whether it may act then.
class Asker final : public Callback {
 public:
  std::string seen;
  void on_train_batch_start(BatchContext&) override { seen += 's'; }
  void on_train_batch_end(BatchContext& ctx) override { seen += ctx.may_act() ? '1' : '0'; }
  bool filters_itself() const override { return true; }
  EventMask wants(EventMask overridden) const override { return overridden & ~bit(Event::on_train_batch_start); }
};

class Reader final : public Callback {
 public:
  Reader(std::string name, Notes& notes) : name_(std::move(name)), notes_(notes) {}
  std::vector<std::string> reads() const override { return {"x"}; }
  void on_train_batch_end(BatchContext&) override { notes_.push_back(name_); }

 private:
  std::string name_;
  Notes& notes_;
};

struct Stage {
  std::shared_ptr<Dispatcher> dispatcher = std::make_shared<Dispatcher>();
  Loop loop{dispatcher};
  BatchContext batch{loop};

  void fire(int times) {
    for (int i = 0; i < times; ++i) {
      dispatcher->fire<Event::on_train_batch_start>(batch);
      dispatcher->fire<Event::on_train_batch_end>(batch);
    }
  }
  std::string asked(const Filter& filter, int times = 8) {
    auto asker = std::make_shared<Asker>();
    dispatcher->add(asker, overridden_events<Asker>(), filter, "asker");
    fire(times);
    return asker->seen;
  }
};

}  // namespace

TEST(dispatcher_lets_a_callback_filter_itself) {
  CHECK(Stage().asked({}) == "11111111");
  CHECK(Stage().asked({.every = 3}) == "00100100");
  CHECK(Stage().asked({.after = 2, .before = 6}) == "00111000");
  CHECK(Stage().asked({.once = true, .after = 2}) == "001");  // removed by its first yes
  CHECK(Stage().asked({.seconds = 1000}) == "10000000");
}

TEST(dispatcher_asked_by_one_that_it_filters_says_yes) {
  Stage stage;
  std::string seen;
  auto trace = std::make_shared<Trace>();
  trace->also_batch = [&](const std::string&, BatchContext& ctx) { seen += ctx.may_act() ? '1' : '0'; };
  stage.dispatcher->add(trace, bit(Event::on_train_batch_end), {.every = 3}, "trace");
  stage.fire(7);
  CHECK(seen == "11");
  CHECK(stage.batch.may_act());  // nobody is being called
}

TEST(dispatcher_calls_only_at_the_events_a_callback_wants) {
  Stage stage;
  CHECK(stage.asked({}, 2) == "11");
  CHECK(!stage.dispatcher->listens(Event::on_train_batch_start));
}

TEST(dispatcher_calls_readers_after_others_of_their_phase_and_priority) {
  Stage stage;
  Notes notes;
  const auto at = [](std::int64_t priority) {
    Manner manner;
    manner.priority = priority;
    return manner;
  };
  const auto add_reader = [&](const std::string& name, std::int64_t priority) {
    stage.dispatcher->add(std::make_shared<Reader>(name, notes), bit(Event::on_train_batch_end), {}, name, true,
                          at(priority));
  };
  const auto add_trace = [&](const std::string& name, std::int64_t priority) {
    stage.dispatcher->add(std::make_shared<Trace>(name, &notes), bit(Event::on_train_batch_end), {}, name, true,
                          at(priority));
  };
  add_reader("reader", 0);
  add_trace("a: ", 0);
  add_trace("low: ", -1);
  add_reader("high reader", 1);
  add_trace("b: ", 0);
  stage.fire(1);
  check_notes(notes, {"high reader", "a: on_train_batch_end 0.0", "b: on_train_batch_end 0.0", "reader",
                      "low: on_train_batch_end 0.0"});
}

TEST(loop_knows_the_names_that_native_callbacks_log) {
  class Logs final : public Callback {
   public:
    std::vector<std::string> logs() const override { return {"declared"}; }
    void on_train_start(Context&) override {}
  };
  Stage stage;
  stage.dispatcher->add(std::make_shared<Logs>(), overridden_events<Logs>(), {}, "native");
  stage.dispatcher->add(std::make_shared<Logs>(), overridden_events<Logs>(), {}, "python", false);
  CHECK(stage.batch.log_names() == std::vector<std::string>{"declared"});
}
