// Triggers at work in a loop.
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "compare.h"
#include "core/registry.h"
#include "core/state_map.h"
#include "toy.h"
#include "triggers/error.h"
#include "triggers/firings.h"

using namespace pyhooks;
using toy::Training;
using triggers::TriggerError;

namespace {

std::shared_ptr<Callback> trigger(const std::string& when, const std::string& act, const OptionValue& at = {}) {
  return make_callback("trigger", {{"when", when}, {"do", act}, {"at", at}});
}

std::shared_ptr<Callback> add(Training& training, const std::string& when, const std::string& act,
                              const Filter& filter = {}, const OptionValue& at = {}) {
  auto made = trigger(when, act, at);
  training.dispatcher->add(made, find_callback("trigger").events, filter, when);
  return made;
}

/// Logs the number of the batch, once at the event it is told.
class Logger final : public Callback {
 public:
  Logger(std::string name, bool early) : name_(std::move(name)), early_(early) {}
  std::vector<std::string> logs() const override { return {name_}; }
  void on_backward_end(BatchContext& ctx) override {
    if (early_) ctx.log(name_, static_cast<double>(ctx.batch()));
  }
  void on_train_batch_end(BatchContext& ctx) override {
    if (!early_) ctx.log(name_, static_cast<double>(ctx.batch()));
  }

 private:
  std::string name_;
  bool early_;
};

void add_logger(Training& training, const std::string& name, bool early = false) {
  training.dispatcher->add(std::make_shared<Logger>(name, early), overridden_events<Logger>(), {}, name);
}

std::vector<double> column(const Training& training, const std::string& name) {
  return training.loop.recorder().column(name);
}

const std::vector<std::vector<float>> kFour{{1}, {1}, {1}, {1}};  // losses 4, 1, 1/4, 1/16

std::string error_of(Training& training) {
  try {
    training.loop.run();
  } catch (const TriggerError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST(trigger_skips_the_step_it_names) {
  Training training(1, kFour);
  add(training, "batch == 1", "skip_step");
  training.loop.run();
  CHECK(training.descent->grads == std::vector<float>{-4, -2, -1});  // the second batch's, -2 too, is dropped
  CHECK(training.loop.progress().global_step == 3);
}

TEST(trigger_compares_with_earlier_batches) {
  Training training(2, kFour);
  add(training, "loss < 0.5 * ema(loss, 1)", "log(halved)");
  training.loop.run();
  CHECK(same(column(training, "halved"), {0, 1, 1, 1, 1, 1, 1, 1}));
}

TEST(trigger_stops_and_says_why) {
  Training training(3, kFour);
  add(training, "loss < 0.5 and step >= 2", "stop");
  training.loop.run();
  CHECK(training.loop.votes().size() == 1);
  CHECK(training.loop.votes()[0].who == "loss < 0.5 and step >= 2");
  CHECK(training.loop.votes()[0].reason == "loss=0.25, step=2");
  CHECK(training.loop.votes()[0].batch == 2 && training.loop.epochs_run() == 1);
}

TEST(trigger_without_names_gives_itself_as_the_reason) {
  Training training(1, kFour);
  add(training, "every(3)", "stop");
  training.loop.run();
  CHECK(training.loop.votes()[0].reason == "every(3)" && training.loop.votes()[0].batch == 2);
}

TEST(trigger_scales_the_rate_of_this_batchs_step_on) {
  Training training(1, kFour);
  add(training, "batch == 1 or batch == 2", "scale_lr(0.5)");
  training.loop.run();
  std::vector<double> rates;
  for (const Hyper& hyper : training.descent->hypers) rates.push_back(hyper.lr);
  CHECK(rates == std::vector<double>{0.25, 0.125, 0.0625, 0.0625});
  CHECK(column(training, "lr") == rates);
}

TEST(trigger_asks_for_a_checkpoint_once_an_epoch) {
  Training training(3, kFour);
  std::vector<std::vector<std::string>> saves;
  training.loop.config.hooks.save = [&](const std::vector<std::string>& reasons) { saves.push_back(reasons); };
  add(training, "epoch != 1 and batch > 1", "save");
  training.loop.run();
  CHECK(saves.size() == 2);
  CHECK(saves[0] == std::vector<std::string>{"epoch != 1 and batch > 1: epoch=0, batch=2"});
  CHECK(saves[1] == std::vector<std::string>{"epoch != 1 and batch > 1: epoch=2, batch=2"});
}

TEST(trigger_takes_a_snapshot_before_the_step) {
  Training training(1, kFour);
  add(training, "batch == 1", "snapshot");
  training.loop.run();
  CHECK(training.loop.snapshots().size() == 1);
  CHECK(training.loop.snapshots()[0].reason == "batch=1" && training.loop.snapshots()[0].batch == 1);
  CHECK(value(training.loop.snapshots()[0].params[0]) == 1);
}

TEST(trigger_keeps_firings_until_they_are_taken) {
  Training training(2, kFour);
  auto made = add(training, "loss < 0.5 * mean(loss, 2) and batch == 3 or batch == 0", "call");
  auto* firings = dynamic_cast<triggers::Firings*>(made.get());
  CHECK(firings != nullptr);
  CHECK(firings->names() == std::vector<std::string>({"loss", "mean(loss, 2)", "batch"}));
  training.loop.run();
  const std::vector<triggers::Firing> taken = firings->take();
  CHECK(taken.size() == 4);
  CHECK(taken[0].epoch == 0 && taken[0].batch == 0 && taken[0].step == 0);
  CHECK(same(taken[0].values, {4, std::nan(""), 0}));
  CHECK(taken[3].epoch == 1 && taken[3].batch == 3 && taken[3].step == 7);
  CHECK(firings->take().empty());
}

TEST(trigger_does_all_it_is_told) {
  Training training(1, kFour);
  add(training, "batch == 1", "skip_step, snapshot, log, log(mine), stop");
  training.loop.run();
  CHECK(training.loop.snapshots().size() == 1 && training.loop.votes().size() == 1);
  CHECK(same(column(training, "batch == 1"), {0, 1}) && same(column(training, "mine"), {0, 1}));
  CHECK(training.descent->grads.size() == 1);
}

TEST(trigger_sees_the_norm_of_the_gradients_so_far) {
  Training training(1, kFour);
  training.accumulate(2);
  training.descent->hyper(0).lr = 0;
  training.loop.config.clip_norm = 0.5;  // the norm is that before clipping
  add(training, "grad_norm == 2", "log(two)");
  add(training, "grad_norm == 4", "log(four)");
  training.loop.run();
  CHECK(same(column(training, "two"), {1, 0, 1, 0}));
  CHECK(same(column(training, "four"), {0, 1, 0, 1}));
}

TEST(trigger_takes_a_norm_that_has_been_logged) {
  Training training(1, kFour);
  add(training, "grad_norm == batch", "log(same)");
  add_logger(training, "grad_norm", true);  // registered later, called earlier
  training.loop.run();
  CHECK(same(column(training, "same"), {1, 1, 1, 1}));
}

TEST(trigger_that_skips_a_sub_step_drops_its_group) {
  Training training(1, kFour);
  training.accumulate(2);
  add(training, "batch == 0", "skip_step");
  training.loop.run();
  CHECK(training.descent->grads == std::vector<float>{-4});
}

TEST(trigger_with_a_logged_value_waits_until_it_is_there) {
  Training training(2, kFour);
  auto made = add(training, "noted == 2 and step == batch + 4 * epoch and lr == 0.25", "log(held)");
  add_logger(training, "noted");  // registered later, called earlier
  training.loop.run();
  CHECK(same(column(training, "held"), {0, 0, 1, 0, 0, 0, 1, 0}));
  CHECK(made->reads() == std::vector<std::string>{"noted"});
}

TEST(trigger_reads_names_that_are_no_words) {
  Training training(1, kFour);
  add(training, "'a/b.c' == 2 or \"loss\" == 4", "log(held)");
  add_logger(training, "a/b.c");
  training.loop.run();
  CHECK(same(column(training, "held"), {1, 0, 1, 0}));
}

TEST(trigger_is_evaluated_where_it_is_told) {
  Training training(1, kFour);
  add_logger(training, "early", true);
  add_logger(training, "late");
  add(training, "early == 1", "skip_step", {}, std::string("on_backward_end"));
  add(training, "late == 1", "stop", {}, std::string("on_backward_end"));  // not there yet: NaN
  add(training, "loss == 1", "log(held)", {}, std::string("on_train_batch_end"));
  training.loop.run();
  CHECK(training.loop.progress().global_step == 3 && training.loop.votes().empty());
  CHECK(same(column(training, "held"), {0, 1, 1, 0}));  // the second step was left out
}

TEST(trigger_listens_to_no_more_than_it_must) {
  const auto listens = [](const std::shared_ptr<Callback>& callback, Event event) {
    return (callback->wants(find_callback("trigger").events) & bit(event)) != 0;
  };
  CHECK(listens(trigger("loss > 1", "stop"), Event::on_backward_end));
  CHECK(!listens(trigger("loss > 1", "stop"), Event::on_train_batch_end));
  CHECK(listens(trigger("other > 1", "stop"), Event::on_train_batch_end));
}

TEST(trigger_refuses_to_skip_a_step_that_has_been_made) {
  try {
    trigger("loss > 1 and noted > 1", "skip_step");
    CHECK(false);
  } catch (const TriggerError& error) {
    CHECK(says(error.what(), {"skip_step is too late at on_train_batch_end", "a logged value, 'noted' here",
                              "\n    loss > 1 and noted > 1\n                 ^"}));
  }
  try {
    trigger("loss > 1", "stop, skip_step", std::string("on_train_batch_end"));
    CHECK(false);
  } catch (const TriggerError& error) {
    CHECK(says(error.what(), {"skip_step is too late", "\n    stop, skip_step\n          ^"}));
  }
  CHECK_THROWS(trigger("loss > 1", "stop", std::string("on_val_end")), std::invalid_argument);
}

TEST(trigger_refuses_names_that_nobody_logs_before_the_first_batch) {
  Training training(1, kFour);
  add_logger(training, "loss_ema");
  add(training, "loss > 1 and los_ema > 2", "stop");
  CHECK(error_of(training) ==
        "nobody logs 'los_ema'; did you mean 'loss_ema'? the names here: loss, lr, grad_norm, step, epoch, epochs, "
        "batch, batches, samples, samples_seen, seconds, loss_ema\n    loss > 1 and los_ema > 2\n                 ^");
  CHECK(training.descent->grads.empty());
}

TEST(trigger_that_comes_while_training_runs_is_checked_too) {
  Training training(2, kFour);
  training.trace->also = [&](const std::string& note, Context&) {
    if (note == "on_train_epoch_start 1") add(training, "nothing > 2", "stop");
  };
  CHECK(error_of(training).starts_with("nobody logs 'nothing'"));
  CHECK(training.descent->grads.size() == 4);
}

TEST(trigger_filters_say_where_it_acts_not_what_it_sees) {
  Training training(2, kFour);
  add(training, "loss < 100", "log(third)", {.every = 3});
  add(training, "batch >= 2", "log(first)", {.once = true});
  add(training, "batch >= 2", "log(apart)", {.samples = 3});
  add(training, "batch >= 2", "log(inside)", {.after = 3, .before = 8});
  add(training, "isnan(mean(step, 100)) or mean(step, 100) == 2", "log(seen)", {.every = 5});  // of steps 0 to 4
  training.loop.run();
  CHECK(same(column(training, "third"), {0, 0, 1, 0, 0, 1, 0, 0}));
  CHECK(same(column(training, "apart"), {0, 0, 1, 0, 0, 0, 1, 0}));
  CHECK(same(column(training, "inside"), {0, 0, 0, 1, 0, 0, 1, 0}));
  CHECK(column(training, "first")[1] == 0 && column(training, "first")[2] == 1 &&
        std::isnan(column(training, "first")[3]));
  CHECK(same(column(training, "seen"), {0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(trigger_starts_anew_with_each_run) {
  auto made = trigger("every(3) or loss > ema(loss, 9)", "log(held), call");
  for (int run = 0; run < 2; ++run) {
    Training training(1, kFour);
    training.dispatcher->add(made, find_callback("trigger").events, {}, "trigger");
    training.loop.run();
    CHECK(same(column(training, "held"), {0, 0, 1, 0}));
  }
  CHECK(dynamic_cast<triggers::Firings&>(*made).take().size() == 1);
}

TEST(trigger_state_says_when_it_is_anothers) {
  auto made = trigger("loss > ema(loss, 9)", "stop");
  auto other = trigger("loss > mean(loss, 9)", "stop");
  auto none = trigger("loss > 9", "stop");
  CHECK_THROWS(load_state(*made, save_state(*other)), std::invalid_argument);
  CHECK_THROWS(load_state(*made, save_state(*none)), std::invalid_argument);
}
