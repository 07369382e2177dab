// What reaches the optimizer: accumulation, clipping, schedules, changes by callbacks.
#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>

#include "check.h"
#include "toy.h"

using namespace pyhooks;
using toy::Training;

namespace {

using Floats = std::vector<float>;

/// A schedule's table for one group, of these learning rates.
std::vector<double> rates(const std::vector<double>& lr) {
  std::vector<double> table;
  for (double rate : lr) table.insert(table.end(), {rate, Hyper::none, Hyper::none, Hyper::none, 0.5 * rate});
  return table;
}

std::vector<double> used(const Training& training) {
  std::vector<double> lr;
  for (const Hyper& hyper : training.descent->hypers) lr.push_back(hyper.lr);
  return lr;
}

}  // namespace

TEST(loop_accumulation_sums_the_gradients_of_a_group) {
  Training training(1, {{1}, {2}, {3}});  // gradients 2 (w - 2) x^2 / 2, at w = 0: -2, -8, ...
  training.accumulate(2);
  std::vector<float> seen;
  training.trace->also_batch = [&](const std::string& note, BatchContext& ctx) {
    if (note.starts_with("on_backward_end")) seen.push_back(value(ctx.grad(0)));
  };
  training.descent->hyper(0).lr = 0;
  training.loop.run();
  CHECK(seen == Floats{-2, -10, -18});
  CHECK(training.descent->grads == Floats{-10, -18});
}

TEST(loop_clips_the_norm_of_the_whole_group) {
  Training training(1, {{1}, {0.1F}});
  training.descent->hyper(0).lr = 0;
  training.loop.config.clip_norm = 1;
  std::vector<float> before;
  training.trace->also_batch = [&](const std::string& note, BatchContext& ctx) {
    if (note.starts_with("on_backward_end")) before.push_back(value(ctx.grad(0)));
    if (note.starts_with("optimizer_step")) CHECK(std::abs(value(ctx.grad(0))) <= 1);
  };
  training.loop.run();
  CHECK(before[0] == -4);
  CHECK(std::abs(training.descent->grads[0] + 1) < 1e-5);
  CHECK(training.descent->grads[1] == before[1]);  // small enough already
}

TEST(loop_clips_values) {
  Training training(1, {{1}});
  training.loop.config.clip_value = 0.5;
  training.loop.run();
  CHECK(training.descent->grads == Floats{-0.5});
}

TEST(loop_schedule_sets_each_optimizer_step) {
  Training training(2, {{1}, {1}, {1}, {1}, {1}});
  training.accumulate(2);
  std::vector<std::int64_t> asked;
  std::vector<std::int64_t> made;
  training.loop.config.hooks.begin_epoch = [&](std::int64_t steps) {
    asked.push_back(steps);
    return asked.size() == 1 ? rates({0.1, 0.2, 0.3}) : rates({0.4, 0.5, 0.6});
  };
  training.loop.config.hooks.end_batches = [&](std::int64_t steps) { made.push_back(steps); };
  training.loop.run();
  CHECK(used(training) == std::vector<double>{0.1, 0.2, 0.3, 0.4, 0.5, 0.6});
  CHECK(training.descent->hypers[2].weight_decay == 0.15);
  CHECK(std::isnan(training.descent->hypers[2].momentum));
  CHECK(asked == std::vector<std::int64_t>{3, 3});
  CHECK(made == std::vector<std::int64_t>{3, 3});
  const std::vector<double> recorded = training.loop.recorder().column("lr");
  CHECK(recorded == std::vector<double>{0.1, 0.1, 0.2, 0.2, 0.3, 0.4, 0.4, 0.5, 0.5, 0.6});
}

TEST(loop_schedule_fills_tensors_before_each_step_and_leaves_alone_what_is_nan) {
  Training training(2, {{1}, {1}, {1}});
  at::Tensor weight = floats({7}, {});
  training.loop.config.scheduled = {weight};
  training.loop.config.hooks.begin_epoch = [](std::int64_t) {
    std::vector<double> table(std::size_t{3} * (kHyperFields + 1), Hyper::none);
    for (std::size_t i = 0; i < 2; ++i) table[i * (kHyperFields + 1) + kHyperFields] = 0.5 + static_cast<double>(i);
    return table;
  };
  Floats seen;
  training.engine->before = [&](Mode, int step) {
    seen.push_back(value(weight));
    if (step == 1) training.loop.set_lr(0.125, 0);
  };
  training.loop.run();
  CHECK(seen == (Floats{0.5, 1.5, 1.5, 0.5, 1.5, 1.5}));
  CHECK(used(training) == (std::vector<double>{0.25, 0.125, 0.125, 0.125, 0.125, 0.125}));
  CHECK(std::isnan(training.descent->hypers.back().weight_decay));
}

TEST(loop_schedule_of_one_row_holds_for_the_whole_epoch) {
  Training training(1, {{1}, {1}});
  training.loop.config.hooks.begin_epoch = [](std::int64_t) { return rates({0.1}); };
  training.loop.run();
  CHECK(used(training) == (std::vector<double>{0.1, 0.1}));
}

TEST(loop_schedule_is_scaled_as_in_the_run_it_goes_on_from) {
  Training training(1, {{1}, {1}});
  training.loop.config.hooks.begin_epoch = [](std::int64_t) { return rates({0.1, 0.2}); };
  training.loop.config.start_lr_factor = 0.5;
  training.trace->also_batch = [](const std::string& note, BatchContext& ctx) {
    if (note == "on_train_batch_end 0.0") ctx.scale_lr(0.5);
  };
  training.loop.run();
  CHECK(used(training) == (std::vector<double>{0.05, 0.05}));
  CHECK(training.loop.lr_factor() == 0.25);
}

TEST(loop_schedule_is_told_how_many_steps_were_made_when_cut_short) {
  Training training(2, {{1}, {1}, {1}});
  std::vector<std::int64_t> made;
  training.loop.config.hooks.begin_epoch = [](std::int64_t) { return rates({0.1, 0.2, 0.3}); };
  training.loop.config.hooks.end_batches = [&](std::int64_t steps) { made.push_back(steps); };
  training.trace->also = [](const std::string& note, Context&) {
    if (note == "on_train_batch_start 0.2") throw std::runtime_error("cut");
  };
  CHECK_THROWS(training.loop.run(), std::runtime_error);
  CHECK(made == std::vector<std::int64_t>{2});
}

TEST(loop_schedule_of_a_source_without_a_length_is_asked_with_minus_one) {
  Training training(1);
  training.source->knows_length = false;
  std::int64_t asked = 0;
  training.loop.config.hooks.begin_epoch = [&](std::int64_t steps) {
    asked = steps;
    return std::vector<double>{};
  };
  training.loop.run();
  CHECK(asked == -1);
  CHECK(used(training) == std::vector<double>{0.25, 0.25});
}

TEST(loop_callback_sets_the_rate_from_the_next_step_on) {
  Training training(1, {{1}, {1}, {1}});
  training.trace->also_batch = [](const std::string& note, BatchContext& ctx) {
    if (note == "on_train_batch_end 0.0") ctx.set_lr(0.125);
  };
  training.loop.run();
  CHECK(used(training) == std::vector<double>{0.25, 0.125, 0.125});
}

TEST(loop_callback_changes_gradients_in_place) {
  Training training(1, {{1}, {1}});
  training.descent->hyper(0).lr = 0;
  training.trace->also_batch = [](const std::string& note, BatchContext& ctx) {
    if (note == "on_backward_end 0.0") ctx.grad(0).mul_(10);
    if (note == "optimizer_step 0.1") ctx.grad(0).zero_();
  };
  training.loop.run();
  CHECK(training.descent->grads == Floats{-40, 0});
}

TEST(loop_context_shows_parameters_inputs_and_outputs) {
  Training training(1, {{1, 3}});
  training.trace->also_batch = [&](const std::string& note, BatchContext& ctx) {
    CHECK(ctx.num_params() == 1);
    CHECK(ctx.param_name(0) == "w");
    CHECK(ctx.param(0).is_same(training.weight));
    CHECK(ctx.samples() == 2);
    CHECK(ctx.num_inputs() == 2);
    CHECK(values<float>(ctx.input(1)) == Floats{2, 6});
    if (note.starts_with("on_train_batch_start")) CHECK(!ctx.grad(0).defined());
    if (note.starts_with("on_train_batch_end")) CHECK(values<float>(ctx.output(0)) == Floats{0, 0});
  };
  training.loop.run();
}

namespace {

// What a context says of a call of the first batch's end.
template <class Error>
std::string refusal(const std::function<void(BatchContext&)>& call) {
  Training training(1, {{1}});
  training.loop.config.buffer_names = {"mean"};
  training.loop.config.buffers = {floats({1})};
  std::string said = "accepted";
  training.trace->also_batch = [&](const std::string& note, BatchContext& ctx) {
    if (!note.starts_with("on_train_batch_end")) return;
    try {
      call(ctx);
    } catch (const Error& error) {
      said = error.what();
    }
  };
  training.loop.run();
  return said;
}

}  // namespace

TEST(loop_context_says_how_many_there_are_where_one_too_many_is_asked_for) {
  const auto range = refusal<std::out_of_range>;
  CHECK(range([](BatchContext& ctx) { ctx.param(99); }) ==
        "parameter 99 asked for, but the model has 1 trained parameters");
  CHECK(range([](BatchContext& ctx) { ctx.param_name(1); }) ==
        "parameter 1 asked for, but the model has 1 trained parameters");
  CHECK(range([](BatchContext& ctx) { ctx.grad(std::size_t(-1)); }) ==
        "gradient -1 asked for, but the model has 1 trained parameters");
  CHECK(range([](BatchContext& ctx) { ctx.buffer(1); }) == "buffer 1 asked for, but the model has 1 buffers");
  CHECK(range([](BatchContext& ctx) { ctx.buffer_name(1); }) == "buffer 1 asked for, but the model has 1 buffers");
  CHECK(range([](BatchContext& ctx) { ctx.input(2); }) == "input 2 asked for, but the batch has 2 tensors");
  CHECK(range([](BatchContext& ctx) { ctx.output(1); }) == "output 1 asked for, but the model has returned 1 tensors");
  CHECK(range([](BatchContext& ctx) { ctx.optimizer_tensor(0); }) ==
        "optimizer tensor 0 asked for, but the optimizer has 0 state tensors");
  CHECK(range([](BatchContext& ctx) { ctx.lr(5); }) ==
        "learning rate of group 5 asked for, but the optimizer has 1 groups");
  CHECK(range([](BatchContext& ctx) { ctx.set_lr(1, 7); }) ==
        "learning rate of group 7 asked for, but the optimizer has 1 groups");
}

TEST(loop_refuses_learning_rates_that_are_none) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto argument = refusal<std::invalid_argument>;
  CHECK(argument([](BatchContext& ctx) { ctx.set_lr(-1); }) ==
        "set_lr was given -1; a learning rate is a finite number, 0 or more");
  CHECK(argument([](BatchContext& ctx) { ctx.set_lr(-1e-9); }).starts_with("set_lr was given -1e-09;"));
  CHECK(argument([](BatchContext& ctx) { ctx.set_lr(Hyper::none); }).starts_with("set_lr was given nan;"));
  CHECK(argument([=](BatchContext& ctx) { ctx.set_lr(infinity); }).starts_with("set_lr was given inf;"));
  CHECK(argument([](BatchContext& ctx) { ctx.set_lr(0); }) == "accepted");
  CHECK(argument([](BatchContext& ctx) { ctx.scale_lr(-0.5); }) ==
        "scale_lr was given -0.5; the factor is a finite number above 0");
  CHECK(argument([](BatchContext& ctx) { ctx.scale_lr(Hyper::none); }).starts_with("scale_lr was given nan;"));
  CHECK(argument([=](BatchContext& ctx) { ctx.scale_lr(infinity); }).starts_with("scale_lr was given inf;"));
}
