// What callbacks ask the loop for: skipped steps, checkpoints, snapshots, learning rates, callbacks, times.
#include "check.h"
#include "toy.h"

using namespace pyhooks;
using toy::join;
using toy::kStart;
using toy::train_batch;
using toy::Training;

namespace {

/// Calls `act` whenever the trace notes `at`.
void when(Training& training, const std::string& at, std::function<void(BatchContext&)> act) {
  auto before = training.trace->also_batch;
  training.trace->also_batch = [at, act = std::move(act), before](const std::string& note, BatchContext& ctx) {
    if (before) before(note, ctx);
    if (note == at) act(ctx);
  };
}

Notes epoch_end(const std::string& epoch) { return {"on_train_epoch_end " + epoch, "on_fit_epoch_end " + epoch}; }
const Notes kEnd{"on_train_end 0", "teardown 0"};

double train_loss(const Training& training) { return *find_metric(training.loop.history().back(), "train/loss"); }

}  // namespace

TEST(loop_a_step_skipped_after_backward) {
  Training training(1, {{1}, {2}, {3}});
  when(training, "on_backward_end 0.1", [](BatchContext& ctx) {
    ctx.skip_step();
    CHECK(ctx.skipping() && !ctx.will_update());
  });
  training.loop.run();
  const Notes skipped{"on_train_batch_start 0.1", "on_backward_end 0.1", "on_before_zero_grad 0.1",
                      "on_train_batch_end 0.1"};
  check_notes(
      training.trace->notes(),
      join(
          {kStart, {"on_train_epoch_start 0"}, train_batch("0.0"), skipped, train_batch("0.2"), epoch_end("0"), kEnd}));
  CHECK(training.descent->grads.size() == 2 && training.loop.progress().global_step == 2);
}

TEST(loop_a_step_skipped_just_before_it) {
  Training training(1, {{1}, {2}});
  when(training, "optimizer_step 0.0", [](BatchContext& ctx) { ctx.skip_step(); });
  training.loop.run();
  Notes skipped = train_batch("0.0");
  std::erase(skipped, "on_params_update 0.0");
  check_notes(training.trace->notes(),
              join({kStart, {"on_train_epoch_start 0"}, skipped, train_batch("0.1"), epoch_end("0"), kEnd}));
  CHECK(training.descent->grads.size() == 1);
}

TEST(loop_a_skipped_batch_counts_in_the_history_but_not_in_the_means) {
  Training training(1, {{1}, {100}});  // losses 4 and, skipped, 22500 or so
  when(training, "on_train_batch_start 0.1", [](BatchContext& ctx) { ctx.skip_step(); });
  training.loop.run();
  CHECK(train_loss(training) == 4);
  CHECK(training.loop.recorder().column("loss").size() == 2 && training.loop.recorder().column("loss")[1] > 1000);
}

TEST(loop_a_skip_drops_the_whole_accumulation_group) {
  Training training(1, {{1}, {2}, {3}, {4}});
  training.accumulate(2);
  when(training, "on_backward_end 0.0", [](BatchContext& ctx) { ctx.skip_step(); });
  training.loop.run();
  CHECK(training.descent->grads.size() == 1);
  CHECK(training.loop.progress().global_step == 1);
}

TEST(loop_a_skip_at_the_end_of_a_sub_step_still_counts) {
  Training training(1, {{1}, {2}});
  training.accumulate(2);
  when(training, "on_train_batch_end 0.0", [](BatchContext& ctx) { ctx.skip_step(); });
  training.loop.run();
  CHECK(training.descent->grads.empty());
}

TEST(loop_a_skip_that_comes_too_late_is_an_error) {
  for (const char* at : {"on_params_update 0.0", "on_before_zero_grad 0.0", "on_train_batch_end 0.0"}) {
    Training training(1);
    when(training, at, [](BatchContext& ctx) { ctx.skip_step(); });
    CHECK_THROWS(training.loop.run(), std::logic_error);
  }
  Training training(1);
  training.validate_on({{1}});
  when(training, "on_val_batch_start 0.0", [](BatchContext& ctx) { ctx.skip_step(); });
  CHECK_THROWS(training.loop.run(), std::logic_error);
}

TEST(loop_a_skipped_step_does_not_move_the_schedule) {
  Training training(1, {{1}, {1}, {1}});
  training.loop.config.hooks.begin_epoch = [](std::int64_t) {
    const double none = Hyper::none;
    return std::vector<double>{0.5,  none, none,  none, none, 0.25, none, none,
                               none, none, 0.125, none, none, none, none};
  };
  when(training, "on_backward_end 0.1", [](BatchContext& ctx) { ctx.skip_step(); });
  training.loop.run();
  CHECK(training.descent->hypers.size() == 2);
  CHECK(training.descent->hypers[0].lr == 0.5 && training.descent->hypers[1].lr == 0.25);
}

TEST(loop_scale_lr_holds_for_what_the_schedule_sets_later) {
  Training training(1, {{1}, {1}, {1}});
  training.loop.config.hooks.begin_epoch = [](std::int64_t) {
    const double none = Hyper::none;
    return std::vector<double>{0.5,  none, none,  none, none, 0.25, none, none,
                               none, none, 0.125, none, none, none, none};
  };
  when(training, "on_train_batch_start 0.1", [](BatchContext& ctx) { ctx.scale_lr(0.5); });
  training.loop.run();
  CHECK(training.descent->hypers[1].lr == 0.125 && training.descent->hypers[2].lr == 0.0625);
  CHECK_THROWS(training.loop.scale_lr(0), std::invalid_argument);
}

TEST(loop_a_requested_checkpoint_is_written_once_after_the_votes_before_the_observers) {
  Training training(2);
  Notes order;
  training.loop.config.hooks.save = [&](const std::vector<std::string>& reasons) {
    for (const std::string& reason : reasons) order.push_back(reason);
  };
  auto vote = std::make_shared<Trace>("vote:", &order);
  vote->in_phase = Phase::vote;
  training.dispatcher->add(vote, bit(Event::on_fit_epoch_end), {}, "vote");
  auto look = std::make_shared<Trace>("look:", &order);
  training.dispatcher->add(look, bit(Event::on_fit_epoch_end), {}, "look");
  when(training, "on_train_batch_end 0.0", [](BatchContext& ctx) { ctx.request_save("odd"); });
  when(training, "on_train_batch_end 0.1", [](BatchContext& ctx) { ctx.request_save("odder"); });
  training.loop.run();
  check_notes(order, {"vote:on_fit_epoch_end 0", "trace: odd", "trace: odder", "look:on_fit_epoch_end 0",
                      "vote:on_fit_epoch_end 1", "look:on_fit_epoch_end 1"});
  CHECK(training.dispatcher->registrations().size() == 3);
}

TEST(loop_a_checkpoint_requested_at_the_epochs_end_is_written_too) {
  Training training(1);
  int saves = 0;
  training.loop.config.hooks.save = [&](const std::vector<std::string>&) { ++saves; };
  training.trace->also = [](const std::string& note, Context& ctx) {
    if (note == "on_fit_epoch_end 0") ctx.request_save("last");
  };
  training.loop.run();
  CHECK(saves == 1);
}

TEST(loop_snapshots_keep_the_last_four) {
  Training training(1, {{1}, {1}, {1}, {1}, {1}, {1}});
  std::vector<float> weights;
  training.trace->also_batch = [&](const std::string& note, BatchContext& ctx) {
    if (!note.starts_with("on_train_batch_end")) return;
    weights.push_back(value(ctx.param(0)));
    ctx.snapshot("batch " + std::to_string(ctx.batch()));
  };
  training.loop.run();
  const auto& kept = training.loop.snapshots();
  CHECK(kept.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(kept[i].reason == "batch " + std::to_string(i + 2) && kept[i].batch == static_cast<std::int64_t>(i) + 2);
    CHECK(value(kept[i].params.at(0)) == weights[i + 2]);
    CHECK(kept[i].who == "trace" && kept[i].global_step == static_cast<std::int64_t>(i) + 3);
  }
}

TEST(loop_a_callback_added_while_training_is_gone_afterwards) {
  Training training(1);
  Notes notes;
  when(training, "on_train_batch_start 0.0", [&](BatchContext& ctx) {
    const std::uint64_t id = add_callback(ctx, std::make_shared<Trace>("new:", &notes), "new");
    CHECK(id != ctx.self());
  });
  training.loop.run();
  CHECK(notes.front() == "new:on_backward_end 0.0" && notes.back() == "new:teardown 0");
  CHECK(training.dispatcher->registrations().size() == 1);
}

TEST(loop_callbacks_added_with_a_priority_are_called_in_its_order) {
  Training training(1);
  Notes notes;
  when(training, "on_train_batch_start 0.0", [&](BatchContext& ctx) {
    for (const auto& [name, priority] : {std::pair("low", -1), std::pair("none", 0), std::pair("high", 1)})
      add_callback(ctx, std::make_shared<Trace>(std::string(name) + " ", &notes), name, priority);
  });
  training.loop.run();
  notes.resize(3);
  check_notes(notes, {"high on_backward_end 0.0", "none on_backward_end 0.0", "low on_backward_end 0.0"});
}

TEST(loop_a_callback_removes_itself) {
  Training training(1);
  when(training, "on_train_batch_start 0.0", [](BatchContext& ctx) { CHECK(ctx.remove(ctx.self())); });
  training.loop.run();
  check_notes(training.trace->notes(), join({kStart, {"on_train_epoch_start 0", "on_train_batch_start 0.0"}}));
}

TEST(loop_logged_values_are_read_back_within_the_batch) {
  Training training(1, {{1}, {2}});
  std::vector<std::pair<bool, double>> read;
  training.trace->also_batch = [&](const std::string& note, BatchContext& ctx) {
    double found = -1;
    if (note.starts_with("on_train_batch_start")) read.emplace_back(ctx.logged("mine", found), found);
    if (note == "on_backward_end 0.0") ctx.log("mine", 7);
    if (note == "on_train_batch_end 0.0") read.emplace_back(ctx.logged("mine", found), found);
    if (note == "on_train_batch_end 0.0") CHECK(ctx.logged("loss", found) && found == ctx.loss());
  };
  training.loop.run();
  CHECK(read == std::vector<std::pair<bool, double>>{{false, -1}, {true, 7}, {false, -1}});
}

TEST(loop_times_a_batch_when_asked_to) {
  Training training(1, {{1}, {1}, {1}});
  std::vector<StepTimes> seen;
  training.trace->also_batch = [&](const std::string& note, BatchContext& ctx) {
    if (note.starts_with("on_train_batch_start")) {
      seen.push_back(ctx.step_times());
      ctx.time_steps(true);
    }
  };
  training.loop.run();
  CHECK(seen[0].step == 0 && seen[0].data == 0 && seen[0].callbacks == 0);
  CHECK(seen[2].step > 0 && seen[2].data > 0 && seen[2].callbacks > 0);
}

TEST(loop_counts_the_rows_it_has_seen) {
  Training training(2, {{1, 2}, {3}});
  std::vector<std::int64_t> seen;
  training.trace->also_batch = [&](const std::string& note, BatchContext& ctx) {
    if (note.starts_with("on_train_batch_end")) seen.push_back(ctx.samples_seen());
  };
  training.loop.run();
  CHECK(seen == std::vector<std::int64_t>{2, 3, 5, 6});
}
