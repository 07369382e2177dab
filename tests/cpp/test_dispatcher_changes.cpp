// Callbacks that add, remove, nest and throw while an event runs.
#include <memory>
#include <stdexcept>

#include "check.h"
#include "core/dispatcher.h"
#include "fake_host.h"
#include "trace.h"

using namespace pyhooks;

namespace {

struct Stage {
  FakeHost host;
  Context context{host};
  Dispatcher dispatcher;
  Notes notes;

  std::uint64_t add(const std::string& name, std::function<void()> also = {}) {
    auto trace = std::make_shared<Trace>(name, &notes);
    if (also) trace->also = [also = std::move(also)](const std::string&, Context&) { also(); };
    return dispatcher.add(trace, kEveryEvent, {}, name);
  }
  void start() { dispatcher.fire<Event::on_train_start>(context); }
  Notes take() { return std::exchange(notes, {}); }
};

struct Oops : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace

TEST(dispatcher_an_added_callback_is_called_from_the_next_event_on) {
  Stage stage;
  bool added = false;
  stage.add("a:", [&] {
    if (!std::exchange(added, true)) stage.add("b:");
  });
  stage.start();
  check_notes(stage.take(), {"a:on_train_start 0"});
  stage.start();
  check_notes(stage.take(), {"a:on_train_start 0", "b:on_train_start 0"});
}

TEST(dispatcher_a_removed_callback_is_not_called_any_more) {
  Stage stage;
  std::uint64_t second = 0;
  stage.add("a:", [&] { stage.dispatcher.remove(second); });
  second = stage.add("b:");
  stage.add("c:");
  stage.start();
  check_notes(stage.take(), {"a:on_train_start 0", "c:on_train_start 0"});
  CHECK(!stage.dispatcher.remove(second));
  CHECK(stage.dispatcher.registrations().size() == 2);
}

TEST(dispatcher_a_callback_may_remove_itself) {
  Stage stage;
  std::uint64_t own = 0;
  own = stage.add("a:", [&] { CHECK(stage.dispatcher.remove(own)); });
  stage.add("b:");
  stage.start();
  stage.start();
  check_notes(stage.take(), {"a:on_train_start 0", "b:on_train_start 0", "b:on_train_start 0"});
}

TEST(dispatcher_a_callback_removed_and_added_in_a_nested_event_is_safe) {
  Stage stage;
  std::uint64_t last = 0;
  bool once = true;
  stage.add("a:", [&] {
    if (!std::exchange(once, false)) return;
    stage.dispatcher.remove(last);
    stage.dispatcher.fire<Event::on_model_save>(stage.context);
    stage.add("c:");
  });
  last = stage.add("b:");
  stage.start();
  check_notes(stage.take(), {"a:on_train_start 0", "a:on_model_save 0"});
  stage.start();
  check_notes(stage.take(), {"a:on_train_start 0", "c:on_train_start 0"});
}

TEST(dispatcher_nested_events_give_current_back) {
  Stage stage;
  Notes seen;
  auto note_current = [&] {
    const Registration* current = stage.dispatcher.current();
    seen.push_back(current ? current->label : "nobody");
  };
  bool nested = false;
  stage.add("outer", [&] {
    if (std::exchange(nested, true)) return;
    note_current();
    stage.dispatcher.fire<Event::on_model_save>(stage.context);
    note_current();
  });
  stage.add("inner", note_current);
  stage.start();
  note_current();
  check_notes(seen, {"outer", "inner", "outer", "inner", "nobody"});
}

TEST(dispatcher_an_exception_goes_straight_out_and_leaves_current_set) {
  Stage stage;
  stage.add("a:");
  stage.add("b:", [] { throw Oops("b"); });
  stage.add("c:");
  CHECK_THROWS(stage.start(), Oops);
  check_notes(stage.take(), {"a:on_train_start 0", "b:on_train_start 0"});
  CHECK(stage.dispatcher.current() != nullptr);
  CHECK(stage.dispatcher.current()->label == "b:");
  stage.dispatcher.forget_current();
  CHECK(stage.dispatcher.current() == nullptr);
}

TEST(dispatcher_an_exception_after_a_change_leaves_the_lists_right) {
  Stage stage;
  std::uint64_t own = 0;
  own = stage.add("a:", [&] {
    stage.dispatcher.remove(own);
    stage.add("b:");
    throw Oops("a");
  });
  CHECK_THROWS(stage.start(), Oops);
  CHECK(stage.dispatcher.current()->label == "a:");  // though it is removed
  stage.take();
  stage.start();
  check_notes(stage.take(), {"b:on_train_start 0"});
}

TEST(dispatcher_an_exception_from_a_nested_event_names_the_inner_callback) {
  Stage stage;
  stage.add("outer", [&] {
    if (stage.notes.size() == 1) stage.dispatcher.fire<Event::on_model_save>(stage.context);
  });
  stage.add("inner", [] { throw Oops("inner"); });
  CHECK_THROWS(stage.start(), Oops);
  CHECK(stage.dispatcher.current()->label == "inner");
}

TEST(dispatcher_fire_all_reaches_everybody) {
  Stage stage;
  std::uint64_t third = 0;
  stage.add("a:", [] { throw Oops("a"); });
  stage.add("b:", [&] {
    stage.dispatcher.remove(third);
    throw 5;
  });
  third = stage.add("c:");
  stage.add("d:");
  const auto errors = stage.dispatcher.fire_all<Event::teardown>(stage.context);
  check_notes(stage.take(), {"a:teardown 0", "b:teardown 0", "d:teardown 0"});
  CHECK(errors.size() == 2);
  CHECK_THROWS(std::rethrow_exception(errors[0]), Oops);
  CHECK_THROWS(std::rethrow_exception(errors[1]), int);
  CHECK(stage.dispatcher.current() == nullptr);
}
