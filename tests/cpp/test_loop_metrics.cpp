// What a training's books say: metrics, fitness, history, the recorder's columns.
#include <cmath>

#include "check.h"
#include "compare.h"
#include "toy.h"

using namespace pyhooks;
using toy::Training;

namespace {

double metric(const Training& training, const std::string& name) {
  const double* found = find_metric(training.loop.metrics(), name);
  return found ? *found : std::nan("");
}

std::vector<double> column(const Training& training, const std::string& name) {
  return training.loop.recorder().column(name);
}

const double kNone = std::nan("");

}  // namespace

TEST(loop_metrics_are_means_over_rows) {
  Training training(1, {{1, 1, 1}, {2}});  // errors -2 three times, then -4
  training.descent->hyper(0).lr = 0;
  training.validate_on({{0.25F, 1}});
  training.loop.run();
  CHECK(metric(training, "train/loss") == (3 * 4 + 16) / 4.0);
  CHECK(metric(training, "train/close") == 0);
  CHECK(metric(training, "val/loss") == (0.25 + 4) / 2);
  CHECK(metric(training, "val/close") == 0.5);
  CHECK(metric(training, "lr/pg0") == 0);
  CHECK(same(column(training, "loss"), {4, 16}));
  CHECK(same(column(training, "lr"), {0, 0}));
}

TEST(loop_metrics_come_in_the_order_in_which_they_are_known) {
  Training training(1, {{1}});
  training.validate_on({{1}});
  training.trace->also = [](const std::string& note, Context& ctx) {
    if (note.starts_with("on_train_epoch_end")) ctx.log("extra", 1);
  };
  training.loop.run();
  Notes names;
  for (const auto& [name, value] : training.loop.metrics()) names.push_back(name);
  check_notes(names, {"train/loss", "train/close", "lr/pg0", "extra", "val/loss", "val/close"});
}

TEST(loop_trains_the_weight_by_hand_computed_steps) {
  Training training(1, {{1}, {1}, {1}});  // w <- w - lr * 2 (w - 2): halves the distance to 2 with lr 0.25
  training.loop.run();
  CHECK(value(training.weight) == 1.75F);
  CHECK(training.descent->grads == std::vector<float>{-4, -2, -1});
  CHECK(same(column(training, "loss"), {4, 1, 0.25}));
  CHECK(same(column(training, "lr"), {0.25, 0.25, 0.25}));
}

TEST(loop_fitness_keeps_the_best_epoch) {
  Training training(4, {{1}});
  training.loop.config.fitness = "-train/loss";
  const std::vector<double> rates{0.25, 1, 0, 0.25};  // losses 4, 1, then w overshoots to 3: 1, 1
  training.trace->also = [&](const std::string& note, Context& ctx) {
    if (note.starts_with("on_train_epoch_start")) ctx.set_lr(rates[static_cast<std::size_t>(ctx.epoch())]);
  };
  training.loop.run();
  CHECK(training.loop.best_fitness() == -1);
  CHECK(training.loop.best_epoch() == 1);  // the first of equals
  CHECK(training.loop.fitness() == -1);
  CHECK(training.loop.history().size() == 4);
  CHECK(*find_metric(training.loop.history()[0], "train/loss") == 4);
}

TEST(loop_fitness_can_be_higher_is_better_logged_nan_or_missing) {
  Training training(3, {{1}});
  training.loop.config.fitness = "score";
  const std::vector<double> scores{std::nan(""), 1, 3};
  training.trace->also = [&](const std::string& note, Context& ctx) {
    if (note.starts_with("on_train_epoch_end")) ctx.log("score", scores[static_cast<std::size_t>(ctx.epoch())]);
    if (note == "on_fit_epoch_end 0") {
      CHECK(std::isnan(*training.loop.fitness()));
      CHECK(training.loop.best_epoch() == -1);
    }
    if (note == "on_fit_epoch_end 1") CHECK(training.loop.best_epoch() == 1);
  };
  training.loop.run();
  CHECK(training.loop.best_epoch() == 2);

  Training without(1, {{1}});
  without.loop.config.fitness = "nowhere";
  without.loop.run();
  CHECK(!without.loop.fitness());
  CHECK(without.loop.best_epoch() == -1);
}

TEST(loop_fitness_continues_the_books_of_an_earlier_part) {
  Training training(2, {{1}});
  training.loop.config.start_epoch = 1;
  training.loop.restore(-0.5, 0, {{{"train/loss", 0.5}}});
  training.loop.run();
  CHECK(training.loop.best_fitness() == -0.5);
  CHECK(training.loop.best_epoch() == 0);
  CHECK(training.loop.history().size() == 2);
}

TEST(loop_log_at_batch_events_fills_columns_and_the_epochs_mean) {
  Training training(2, {{1}, {1}, {1}});
  training.trace->also_batch = [](const std::string& note, BatchContext& ctx) {
    if (note.starts_with("on_train_batch_start")) ctx.log("begun", static_cast<double>(ctx.batch()));
    if (note.starts_with("on_train_batch_end") && ctx.epoch() == 1 && ctx.batch() > 0)
      ctx.log("late", 10.0 * ctx.batch());
  };
  training.loop.run();
  CHECK(same(column(training, "begun"), {0, 1, 2, 0, 1, 2}));
  CHECK(same(column(training, "late"), {kNone, kNone, kNone, kNone, 10, 20}));
  CHECK(metric(training, "begun") == 1);
  CHECK(metric(training, "late") == 15);
  CHECK(find_metric(training.loop.history()[0], "late") == nullptr);
}

TEST(loop_log_in_validation_becomes_the_mean_over_its_batches) {
  Training training(2, {{1}});
  training.validate_on({{1}, {1}});
  training.trace->also_batch = [](const std::string& note, BatchContext& ctx) {
    if (note.starts_with("on_val_batch_end")) ctx.log("seen", static_cast<double>(10 * ctx.epoch() + ctx.batch()));
  };
  training.loop.run();
  CHECK(*find_metric(training.loop.history()[0], "seen") == 0.5);
  CHECK(*find_metric(training.loop.history()[1], "seen") == 10.5);
  CHECK(training.loop.recorder().names() == std::vector<std::string>{"loss", "lr"});
}

TEST(loop_log_at_epoch_events_reaches_the_history) {
  Training training(2, {{1}});
  training.trace->also = [](const std::string& note, Context& ctx) {
    if (note.starts_with("on_fit_epoch_end")) ctx.log("note", static_cast<double>(ctx.epoch()));
    if (note.starts_with("on_train_epoch_start")) ctx.log("early", 1);
  };
  training.loop.run();
  CHECK(*find_metric(training.loop.history()[0], "note") == 0);
  CHECK(*find_metric(training.loop.history()[1], "note") == 1);
  CHECK(*find_metric(training.loop.history()[1], "early") == 1);
}

TEST(loop_loss_is_unknown_before_the_forward_pass) {
  Training training(1, {{1}, {2}});
  training.descent->hyper(0).lr = 0;
  training.validate_on({{1}, {0.5F}});
  std::vector<double> before;
  std::vector<std::size_t> outputs;
  training.trace->also_batch = [&](const std::string& note, BatchContext& ctx) {
    if (note.find("batch_start") == std::string::npos) return;
    before.push_back(ctx.loss());
    outputs.push_back(ctx.num_outputs());
  };
  training.loop.run();
  CHECK(same(before, {kNone, kNone, kNone, kNone}));
  CHECK(outputs == std::vector<std::size_t>{0, 0, 0, 0});
  CHECK(metric(training, "train/loss") == 10);
  CHECK(metric(training, "val/loss") == 2.5);
}

TEST(loop_release_keeps_the_books_and_lets_go_of_the_rest) {
  Training training(1);
  training.loop.run();
  training.loop.release();
  CHECK(training.weight.use_count() == 3);  // the test's, the engine's and the optimizer's
  CHECK(training.engine.use_count() == 1);
  CHECK(training.dispatcher.use_count() == 1);
  CHECK(training.loop.history().size() == 1);
  CHECK(metric(training, "train/loss") == 2.5);
  CHECK(training.loop.recorder().rows() == 2);
}

TEST(loop_peek_follows_the_batches) {
  Training training(2);
  training.validate_on({{1}});
  Peek in_batch;
  Peek in_validation;
  training.trace->also = [&](const std::string& note, Context&) {
    if (note == "on_train_batch_start 1.1") in_batch = training.loop.peek();
    if (note == "on_val_batch_end 1.0") in_validation = training.loop.peek();
    if (note.starts_with("on_train_epoch_end")) CHECK(training.loop.peek().training == -1);
  };
  training.loop.run();
  CHECK(in_batch.epoch == 1);
  CHECK(in_batch.epochs == 2);
  CHECK(in_batch.batch == 1);
  CHECK(in_batch.batches == 2);
  CHECK(in_batch.global_step == 3);
  CHECK(in_batch.training == 1);
  CHECK(in_validation.training == 0);
  CHECK(in_validation.batches == 1);
}
