// Which events a training fires that nothing disturbs.
#include "check.h"
#include "toy.h"

using namespace pyhooks;
using toy::join;
using toy::kStart;
using toy::train_batch;
using toy::Training;

TEST(loop_fires_every_event_of_two_epochs_of_two_batches) {
  Training training(2);
  training.loop.run();
  check_notes(training.trace->notes(), {
                                           "on_pretrain_routine_start 0",
                                           "on_pretrain_routine_end 0",
                                           "on_train_start 0",
                                           "on_train_epoch_start 0",
                                           "on_train_batch_start 0.0",
                                           "on_backward_end 0.0",
                                           "optimizer_step 0.0",
                                           "on_params_update 0.0",
                                           "on_before_zero_grad 0.0",
                                           "on_train_batch_end 0.0",
                                           "on_train_batch_start 0.1",
                                           "on_backward_end 0.1",
                                           "optimizer_step 0.1",
                                           "on_params_update 0.1",
                                           "on_before_zero_grad 0.1",
                                           "on_train_batch_end 0.1",
                                           "on_train_epoch_end 0",
                                           "on_fit_epoch_end 0",
                                           "on_train_epoch_start 1",
                                           "on_train_batch_start 1.0",
                                           "on_backward_end 1.0",
                                           "optimizer_step 1.0",
                                           "on_params_update 1.0",
                                           "on_before_zero_grad 1.0",
                                           "on_train_batch_end 1.0",
                                           "on_train_batch_start 1.1",
                                           "on_backward_end 1.1",
                                           "optimizer_step 1.1",
                                           "on_params_update 1.1",
                                           "on_before_zero_grad 1.1",
                                           "on_train_batch_end 1.1",
                                           "on_train_epoch_end 1",
                                           "on_fit_epoch_end 1",
                                           "on_train_end 1",
                                           "teardown 1",
                                       });
  CHECK(training.loop.epochs_run() == 2);
  CHECK(training.loop.progress().global_step == 4);
  CHECK(!training.loop.stopping());
  CHECK(training.source->begun == 2);
  CHECK(training.source->ended == 2);
}

TEST(loop_validates_between_the_epochs_batches_and_its_end) {
  Training training(1, {{1}});
  training.validate_on({{1}, {2}});
  training.loop.run();
  check_notes(training.trace->notes(), join({kStart,
                                             {"on_train_epoch_start 0"},
                                             train_batch("0.0"),
                                             {"on_train_epoch_end 0", "on_val_start 0", "on_val_batch_start 0.0",
                                              "on_val_batch_end 0.0", "on_val_batch_start 0.1", "on_val_batch_end 0.1",
                                              "on_val_end 0", "on_fit_epoch_end 0", "on_train_end 0", "teardown 0"}}));
  CHECK(training.val->ended == 1);
}

TEST(loop_updates_once_a_group_and_for_the_short_last_group) {
  Training training(1, {{1}, {1}, {1}});
  training.accumulate(2);
  training.loop.run();
  check_notes(training.trace->notes(),
              join({kStart,
                    {"on_train_epoch_start 0"},
                    train_batch("0.0", false),
                    train_batch("0.1"),
                    train_batch("0.2"),
                    {"on_train_epoch_end 0", "on_fit_epoch_end 0", "on_train_end 0", "teardown 0"}}));
  CHECK(training.loop.progress().global_step == 2);
  CHECK(training.descent->grads.size() == 2);
}

TEST(loop_updates_late_where_the_source_cannot_tell_its_length) {
  Training training(1, {{1}, {1}, {1}});
  training.accumulate(2);
  training.source->knows_length = false;
  std::vector<bool> updates;
  training.trace->also_batch = [&](const std::string& note, BatchContext& ctx) {
    if (note.starts_with("optimizer_step")) updates.push_back(ctx.will_update());
    CHECK(ctx.batches() == -1);
  };
  training.loop.run();
  check_notes(training.trace->notes(),
              join({kStart,
                    {"on_train_epoch_start 0"},
                    train_batch("0.0", false),
                    train_batch("0.1"),
                    train_batch("0.2", false),
                    {"optimizer_step 0.2", "on_params_update 0.2", "on_before_zero_grad 0.2", "on_train_epoch_end 0",
                     "on_fit_epoch_end 0", "on_train_end 0", "teardown 0"}}));
  CHECK(updates == std::vector<bool>{true, true});
}

TEST(loop_resumes_at_a_later_epoch) {
  Training training(4, {{1}});
  training.loop.config.start_epoch = 3;
  training.loop.config.start_step = 30;
  training.loop.run();
  check_notes(training.trace->notes(),
              join({{"on_pretrain_routine_start 3", "on_pretrain_routine_end 3", "on_resume 3", "on_train_start 3",
                     "on_train_epoch_start 3"},
                    train_batch("3.0"),
                    {"on_train_epoch_end 3", "on_fit_epoch_end 3", "on_train_end 3", "teardown 3"}}));
  CHECK(training.loop.progress().global_step == 31);
  CHECK(training.loop.epochs_run() == 1);
}

TEST(loop_fires_both_events_of_a_checkpoint_inside_the_saving_callback) {
  Training training(1, {{1}});
  auto saver = std::make_shared<Trace>("saver:");
  saver->in_phase = Phase::save;
  saver->also = [&](const std::string&, Context&) {
    training.loop.model_saved();
    training.loop.checkpoint_durable();
  };
  training.dispatcher->add(saver, bit(Event::on_fit_epoch_end), {}, "saver");
  training.loop.run();
  check_notes(training.trace->notes(), join({kStart,
                                             {"on_train_epoch_start 0"},
                                             train_batch("0.0"),
                                             {"on_train_epoch_end 0", "on_model_save 0", "on_checkpoint_durable 0",
                                              "on_fit_epoch_end 0", "on_train_end 0", "teardown 0"}}));
}

TEST(loop_sets_up_between_the_two_pretrain_events) {
  Training training(1, {{1}});
  training.loop.config.engine = nullptr;
  training.loop.config.hooks.setup = [&] {
    check_notes(training.trace->notes(), {"on_pretrain_routine_start 0"});
    training.loop.config.engine = training.engine;
  };
  training.loop.run();
  CHECK(training.loop.epochs_run() == 1);
}
