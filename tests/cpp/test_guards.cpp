// NaNGuard and LossSpike in a loop: which events still come when they leave a step out.
#include <cmath>

#include "check.h"
#include "core/registry.h"
#include "toy.h"

using namespace pyhooks;
using toy::Training;

namespace {

const float kNan = std::nanf("");

void add(Training& training, const std::string& name, const std::map<std::string, OptionValue>& options) {
  training.dispatcher->add(make_callback(name, options), find_callback(name).events, {}, name);
}

/// The events of a batch whose step is left out.
Notes left_out(const std::string& at) {
  return {"on_train_batch_start " + at, "on_backward_end " + at, "on_before_zero_grad " + at,
          "on_train_batch_end " + at};
}

/// The events between the first epoch's start and its batches' end, all others taken away.
Notes batch_events(const Training& training) {
  Notes notes;
  for (const std::string& note : training.trace->notes())
    if (note.find('.') != std::string::npos) notes.push_back(note);
  return notes;
}

}  // namespace

TEST(guard_that_skips_leaves_out_the_step_and_nothing_else) {
  for (const std::string name : {"nan_guard", "loss_spike"}) {
    Training training(1, {{1}, {kNan}, {1}});
    add(training, name, {{"action", std::string("skip")}});
    training.loop.run();
    check_notes(batch_events(training), toy::join({toy::train_batch("0.0"), left_out("0.1"), toy::train_batch("0.2")}));
    CHECK(training.loop.progress().global_step == 2);
    CHECK(training.descent->grads == (std::vector<float>{-4, -2}));
    CHECK(*find_metric(training.loop.metrics(), "train/loss") == (4.0 + 1.0) / 2);
    CHECK(training.loop.votes().empty());
  }
}

TEST(guard_that_skips_drops_the_whole_accumulation_group) {
  Training training(1, {{1}, {kNan}, {1}, {1}});
  training.accumulate(2);
  add(training, "nan_guard", {{"action", std::string("skip")}});
  training.loop.run();
  check_notes(batch_events(training), toy::join({toy::train_batch("0.0", false), left_out("0.1"),
                                                 toy::train_batch("0.2", false), toy::train_batch("0.3")}));
  CHECK(training.descent->grads == (std::vector<float>{-4}));  // two halves
  CHECK(*find_metric(training.loop.metrics(), "nan_guard/skipped") == 1);
}

TEST(guard_that_stops_ends_the_epoch_after_the_batch) {
  Training training(2, {{1}, {kNan}, {1}});
  add(training, "nan_guard", {});
  training.loop.run();
  check_notes(batch_events(training), toy::join({toy::train_batch("0.0"), left_out("0.1")}));
  CHECK(training.trace->notes().back() == "teardown 0");
  CHECK(std::isfinite(value(training.weight)));
}

TEST(guard_that_raises_has_the_step_left_out_before) {
  Training training(1, {{1}, {kNan}, {1}});
  add(training, "nan_guard", {{"action", std::string("raise")}});
  CHECK_THROWS(training.loop.run(), std::runtime_error);
  CHECK(training.descent->grads.size() == 1);
  CHECK(std::isfinite(value(training.weight)));
}

TEST(guard_that_rewinds_writes_the_weights_of_the_last_copy) {
  Training training(1, {{1}, {1}, {1}, {1}, {kNan}, {1}});
  add(training, "nan_guard", {{"action", std::string("rewind")}, {"snapshot_every", std::int64_t{2}}});
  std::vector<float> weights;  // at each batch's end
  training.trace->also_batch = [&](const std::string& note, BatchContext&) {
    if (note.starts_with("on_train_batch_end")) weights.push_back(value(training.weight));
  };
  training.loop.run();
  CHECK(weights[4] == weights[1]);  // copied at batch 2, before its step
  CHECK(weights[5] == weights[2]);
  CHECK(weights[3] != weights[2]);
}

TEST(guards_work_side_by_side) {
  Training training(1, {{1}, {kNan}, {1}});
  add(training, "nan_guard", {{"action", std::string("skip")}});
  add(training, "nan_guard", {{"action", std::string("skip")}, {"name", std::string("second")}});
  add(training, "loss_spike", {});
  training.loop.run();
  for (const char* name : {"nan_guard/skipped", "second/skipped", "loss_spike/spikes"})
    CHECK(*find_metric(training.loop.metrics(), name) == 1);
  CHECK(training.descent->grads.size() == 2);
}
