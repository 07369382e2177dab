#include <set>
#include <string>

#include "check.h"
#include "trace.h"

using namespace pyhooks;

namespace {

class OnlyStep : public Callback {
 public:
  void optimizer_step(BatchContext&) override {}
};

class StepAndEnd : public OnlyStep {
 public:
  void on_train_end(Context&) override {}
};

class OverridesNothing final : public StepAndEnd {};

class OverridesAgain final : public StepAndEnd {
 public:
  void optimizer_step(BatchContext&) override {}
  void teardown(Context&) override {}
};

}  // namespace

TEST(events_are_found_by_name_and_only_by_name) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kNumEvents; ++i) {
    CHECK(find_event(kEvents[i].name) == static_cast<Event>(i));
    CHECK(names.insert(kEvents[i].name).second);
  }
  CHECK(!find_event("on_train_epoch_edn"));
  CHECK(!find_event(""));
}

TEST(events_know_who_may_listen) {
  CHECK(info(Event::on_train_batch_end).kind == EventKind::batch);
  CHECK(info(Event::optimizer_step).kind == EventKind::batch);
  CHECK(info(Event::on_val_batch_start).kind == EventKind::batch);
  CHECK(info(Event::on_fit_epoch_end).kind == EventKind::epoch);
  CHECK(info(Event::teardown).kind == EventKind::run);
}

TEST(events_overridden_are_found_at_compile_time) {
  static_assert(overridden_events<OnlyStep>() == bit(Event::optimizer_step));
  static_assert(overridden_events<Callback>() == 0);
  CHECK(kEveryEvent == (EventMask{1} << kNumEvents) - 1);
}

TEST(events_overridden_in_an_intermediate_base_count) {
  constexpr EventMask both = bit(Event::optimizer_step) | bit(Event::on_train_end);
  static_assert(overridden_events<StepAndEnd>() == both);
  static_assert(overridden_events<OverridesNothing>() == both);
  static_assert(overridden_events<OverridesAgain>() == (both | bit(Event::teardown)));
}
