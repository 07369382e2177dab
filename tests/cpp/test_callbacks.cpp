// The native callbacks that come with the library, at work in a loop.
#include <cmath>

#include "check.h"
#include "core/registry.h"
#include "toy.h"

using namespace pyhooks;
using toy::Training;

namespace {

void add(Training& training, const std::string& name, const std::map<std::string, OptionValue>& options = {}) {
  training.dispatcher->add(make_callback(name, options), find_callback(name).events, {}, name);
}

}  // namespace

TEST(callback_grad_clip_clips_what_the_optimizer_gets_not_what_backward_gave) {
  Training training(1, {{1}, {1}, {1}});
  training.accumulate(2);
  training.source->knows_length = false;  // the last group's update comes late
  training.descent->hyper(0).lr = 0;
  add(training, "grad_clip", {{"max_norm", 1.0}, {"max_value", 0.25}});
  std::vector<float> before;
  training.trace->also_batch = [&](const std::string& note, BatchContext& ctx) {
    if (note.starts_with("on_backward_end")) before.push_back(value(ctx.grad(0)));
    if (note.starts_with("optimizer_step")) CHECK(value(ctx.grad(0)) == -0.25F);  // observers come after
  };
  training.loop.run();
  CHECK(before == std::vector<float>{-2, -4, -2});
  CHECK(training.descent->grads == std::vector<float>{-0.25, -0.25});
}

TEST(callback_grad_clip_refuses_limits_that_are_none) {
  CHECK_THROWS(make_callback("grad_clip", {}), std::invalid_argument);
  CHECK_THROWS(make_callback("grad_clip", {{"max_norm", 0.0}}), std::invalid_argument);
  CHECK_THROWS(make_callback("grad_clip", {{"max_value", std::nan("")}}), std::invalid_argument);
}

TEST(callback_nan_guard_stops_at_the_first_loss_that_is_not_finite) {
  Training training(3, {{1}, {1}, {1}});
  add(training, "nan_guard");
  training.trace->also = [&](const std::string& note, Context&) {
    if (note == "on_params_update 0.0") training.weight.fill_(INFINITY);
  };
  training.loop.run();
  CHECK(training.loop.votes().size() == 1);
  CHECK(training.loop.votes()[0].who == "nan_guard");
  CHECK(training.loop.votes()[0].reason.find("batch 1 of epoch 0") != std::string::npos);
  CHECK(training.loop.epochs_run() == 1);
}

TEST(callback_loss_meter_logs_a_corrected_average) {
  Training training(1, {{1}, {1}, {1}});  // losses 4, 1, 0.25
  add(training, "loss_meter", {{"decay", 0.5}, {"name", std::string("ema")}});
  training.loop.run();
  const std::vector<double> ema = training.loop.recorder().column("ema");
  CHECK(ema[0] == 4);
  CHECK(std::abs(ema[1] - (4 * 0.25 + 1 * 0.5) / 0.75) < 1e-12);
  CHECK(std::abs(ema[2] - (4 * 0.125 + 1 * 0.25 + 0.25 * 0.5) / 0.875) < 1e-12);
  CHECK_THROWS(make_callback("loss_meter", {{"decay", 1.0}}), std::invalid_argument);
}

TEST(callback_loss_meter_starts_anew_with_each_run) {
  auto meter = make_callback("loss_meter", {{"decay", 0.5}});
  for (int run = 0; run < 2; ++run) {
    Training training(1, {{1}});
    training.dispatcher->add(meter, find_callback("loss_meter").events, {}, "meter");
    training.loop.run();
    CHECK(training.loop.recorder().column("loss_ema")[0] == 4);
  }
}
