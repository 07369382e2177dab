#include <ATen/ops/equal.h>

#include <csignal>
#include <thread>

#include "check.h"
#include "compare.h"
#include "line_fit.h"
#include "trace.h"

using namespace pyhooks;
using line_fit::AtBatchEnd;
using line_fit::AtEpochEnd;
using line_fit::Model;

namespace {

template <class Error, class Work>
std::string message(Work&& work) {
  try {
    work();
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::string refused(std::function<void(TrainerOptions&)> change) {
  Model model;
  TrainerOptions options = model.options();
  change(options);
  return message<std::invalid_argument>([&] { Trainer trainer(options); });
}

std::string refused_fit(const std::vector<at::Tensor>& train, FitOptions options) {
  Model model;
  Trainer trainer(model.options());
  return message<std::invalid_argument>([&] { trainer.fit(train, options); });
}

}  // namespace

TEST(trainer_trains_validates_and_reports) {
  Model model;
  TrainerOptions options = model.options();
  options.metrics = {{"first", [](const auto& outputs, const auto&) { return outputs[0][0].detach().clone(); }}};
  Trainer trainer(options);
  const Result result = trainer.fit(line_fit::data(), {.val = line_fit::data(4), .epochs = 3, .batch_size = 4});
  CHECK(result.epochs_run == 3 && result.history.size() == 3 && result.stop_reason.empty());
  std::vector<std::string> names;
  for (const auto& [name, value] : result.metrics) names.push_back(name);
  CHECK(names == std::vector<std::string>{"train/loss", "train/first", "lr/pg0", "val/loss", "val/first"});
  CHECK(result.metric("train/loss") < result.history[0][0].second);
  CHECK(value(model.steps) == 9);  // three batches an epoch; none of validation
  CHECK(value(model.frozen) == 1);
  CHECK(trainer.column("loss").size() == 9);
  CHECK(says(message<std::out_of_range>([&] { static_cast<void>(result.metric("loss")); }), {"'loss'", "val/loss"}));
}

TEST(trainer_makes_the_same_bits_with_the_same_seed) {
  std::vector<Model> models(3);
  for (std::size_t i = 0; i < models.size(); ++i)
    Trainer(models[i].options()).fit(line_fit::data(), {.epochs = 3, .batch_size = 4, .seed = i / 2});
  CHECK(at::equal(models[0].weight, models[1].weight));
  CHECK(!at::equal(models[0].weight, models[2].weight));
}

TEST(trainer_fires_the_loops_events) {
  Model model;
  Trainer trainer(model.options());
  auto trace = std::make_shared<Trace>();
  trainer.add(NamedCallback{trace, kEveryEvent, "trace"});
  trainer.fit(line_fit::data(4), {.epochs = 1, .batch_size = 4});
  const Notes wanted{"on_pretrain_routine_start 0",
                     "on_pretrain_routine_end 0",
                     "on_train_start 0",
                     "on_train_epoch_start 0",
                     "on_train_batch_start 0.0",
                     "on_backward_end 0.0",
                     "optimizer_step 0.0",
                     "on_params_update 0.0",
                     "on_before_zero_grad 0.0",
                     "on_train_batch_end 0.0",
                     "on_train_epoch_end 0",
                     "on_fit_epoch_end 0",
                     "on_train_end 0",
                     "teardown 0"};
  CHECK(trace->notes() == wanted);
}

TEST(trainer_goes_on_in_a_second_fit) {
  Model model;
  Trainer trainer(model.options());
  trainer.fit(line_fit::data(), {.epochs = 1, .batch_size = 4});
  const float before = value(model.weight);
  CHECK(trainer.fit(line_fit::data(), {.epochs = 2, .batch_size = 4}).epochs_run == 2);
  CHECK(value(model.weight) != before);
}

TEST(trainer_obeys_rules_and_stops_when_asked) {
  Model model;
  Trainer trainer(model.options());
  int calls = 0;
  const auto number = trainer.add(std::make_shared<AtBatchEnd>([&](auto& ctx) {
                                    if (++calls == 2) ctx.request_stop("enough");
                                  }),
                                  "counter", {.every = 2});
  const Result result = trainer.fit(line_fit::data(), {.epochs = 9, .batch_size = 4});
  CHECK(calls == 2);
  CHECK(result.stop_reason == "counter: enough [epoch 1, batch 0]");
  CHECK(trainer.remove(number) && !trainer.remove(number));
}

TEST(trainer_keeps_snapshots_that_callbacks_take) {
  Model model;
  Trainer trainer(model.options());
  CHECK(trainer.snapshots().empty());
  trainer.add(std::make_shared<AtBatchEnd>([](auto& ctx) { ctx.snapshot("batch done"); }), "camera");
  trainer.fit(line_fit::data(), {.epochs = 2, .batch_size = 4});
  const std::vector<MemorySnapshot> taken = trainer.snapshots();
  CHECK(taken.size() == 4 && taken.front().global_step == 3 && taken.back().global_step == 6);
  CHECK(taken.back().who == "camera" && taken.back().reason == "batch done" && taken.back().batch == 2);
  CHECK(at::equal(taken.back().params.at(0), model.weight) && !at::equal(taken.front().params.at(0), model.weight));
  CHECK(value(taken.front().buffers.at(0)) == 3 && taken.back().optimizer.size() == 6);
}

TEST(trainer_stops_for_another_thread) {
  Model model;
  Trainer trainer(model.options());
  trainer.add(
      std::make_shared<AtBatchEnd>([&](auto&) { std::thread([&] { trainer.request_stop("closing time"); }).join(); }));
  const Result result = trainer.fit(line_fit::data(), {.epochs = 9, .batch_size = 4});
  CHECK(result.stop_reason == "another thread: closing time [epoch 0, batch 1]");
  CHECK_THROWS(trainer.request_stop("late"), std::logic_error);
}

TEST(trainer_says_where_a_callback_threw) {
  Model model;
  Trainer trainer(model.options());
  trainer.add(std::make_shared<AtBatchEnd>([](auto& ctx) {
                if (ctx.batch() == 1) throw std::out_of_range("too far");
              }),
              "clumsy");
  try {
    trainer.fit(line_fit::data(), {.batch_size = 4});
    CHECK(false);
  } catch (const TrainingError& error) {
    CHECK(std::string(error.what()) == "too far (in epoch 0, batch 1, in callback clumsy at on_train_batch_end)");
    CHECK(error.callback == "clumsy" && error.event == "on_train_batch_end" && error.epoch == 0 && error.batch == 1);
    CHECK_THROWS(std::rethrow_if_nested(error), std::out_of_range);
  }
  CHECK(trainer.column("loss").size() == 2);  // the books stay
}

TEST(trainer_says_where_a_step_threw) {
  Model model;
  TrainerOptions options = model.options();
  options.step = [](const auto& batch) { return batch[0].matmul(batch[0]); };
  Trainer trainer(options);
  const std::string said = message<TrainingError>([&] { trainer.fit(line_fit::data(), {.batch_size = 4}); });
  CHECK(says(said, {"(in epoch 0, batch 0)"}));
  CHECK(!says(said, {"frame #0"}));  // torch's backtrace
}

TEST(trainer_warns_of_what_does_not_end_training) {
  Model model;
  Trainer trainer(model.options());
  const auto fail = [](auto&) { throw std::runtime_error("oh"); };
  trainer.add(std::make_shared<AtEpochEnd>(fail), "a", {.on_error = "warn"});
  trainer.add(std::make_shared<AtEpochEnd>(fail), "b", {.on_error = "disable"});
  std::vector<std::string> told;
  const auto warn = [&](const std::string& text) { told.push_back(text); };
  CHECK(trainer.fit(line_fit::data(), {.epochs = 2, .batch_size = 4, .warn = warn}).epochs_run == 2);
  const std::string where = " at on_fit_epoch_end)";
  CHECK(told ==
        std::vector<std::string>{"a threw: oh (in epoch 0, in callback a" + where + "; training goes on",
                                 "b threw: oh (in epoch 0, in callback b" + where + "; it is not called any more"});
}

TEST(trainer_is_interrupted_by_ctrl_c_after_the_batch) {
  Model model;
  Trainer trainer(model.options());
  auto trace = std::make_shared<Trace>();
  trainer.add(NamedCallback{trace, kEveryEvent, "trace"});
  trainer.add(std::make_shared<AtBatchEnd>([](auto& ctx) {
    if (ctx.batch() == 1) raise(SIGINT);
  }));
  try {
    trainer.fit(line_fit::data(), {.batch_size = 4});
    CHECK(false);
  } catch (const Interrupted& stop) {
    CHECK(std::string(stop.what()) == "interrupted by Ctrl-C (in epoch 0, batch 2)");
    CHECK(stop.callback.empty() && stop.batch == 2);
  }
  const Notes& notes = trace->notes();
  CHECK(Notes(notes.end() - 4, notes.end()) ==
        Notes({"on_train_batch_end 0.1", "on_interrupt 0", "on_exception 0", "teardown 0"}));
  struct sigaction now = {};
  sigaction(SIGINT, nullptr, &now);
  CHECK(now.sa_handler == SIG_DFL);
}

TEST(trainer_leaves_a_programs_own_handler_alone) {
  static volatile std::sig_atomic_t handled = 0;
  const auto before = std::signal(SIGINT, [](int) { handled = 1; });
  Model model;
  Trainer trainer(model.options());
  trainer.add(std::make_shared<AtBatchEnd>([](auto&) { raise(SIGINT); }));
  CHECK(trainer.fit(line_fit::data(), {.batch_size = 4}).epochs_run == 1);
  CHECK(handled == 1);
  std::signal(SIGINT, before);
}

TEST(trainer_steps_groups_with_their_own_options) {
  Model model;
  TrainerOptions options = model.options();
  options.optimizer = {"sgd", {{"lr", 0.5}}, {{{"bias"}, {{"lr", 0.0}}}, {{"weight"}, {}}}};
  Trainer trainer(options);
  const at::Tensor bias = model.bias.detach().clone();
  const Result result = trainer.fit(line_fit::data(), {.batch_size = 4});
  CHECK(at::equal(model.bias, bias));
  CHECK(result.metric("lr/pg0") == 0 && result.metric("lr/pg1") == 0.5);
}

TEST(trainer_trains_a_tensor_with_two_names_once) {
  Model model;
  TrainerOptions options = model.options();
  options.parameters.emplace_back("tied", model.bias);
  Trainer trainer(options);
  CHECK(trainer.parameters().size() == 2);
  CHECK(trainer.state().size() == 5);  // weight, bias, frozen, tied, steps
}

TEST(trainer_refuses_options_that_do_not_fit) {
  CHECK(says(refused([](auto& options) { options.step = {}; }), {"no step"}));
  CHECK(says(refused([](auto& options) { options.parameters.clear(); }), {"nothing to train"}));
  CHECK(says(refused([](auto& options) { options.buffers.emplace_back("bias", floats({1})); }), {"two", "'bias'"}));
  CHECK(says(refused([](auto& options) { options.buffers.emplace_back("b", at::Tensor()); }), {"'b' is undefined"}));
  CHECK(says(refused([](auto& options) { options.accumulate = 0; }), {"accumulate is 0"}));
  CHECK(says(refused([](auto& options) { options.clip_norm = -1.0; }), {"clip_norm is -1"}));
  CHECK(says(refused([](auto& options) { options.metrics = {{"loss", {}}}; }), {"metric 'loss'"}));
  CHECK(says(refused([](auto& options) { options.optimizer.name = "lion"; }), {"'lion'", "adamw"}));
  CHECK(says(refused([](auto& options) { options.optimizer.groups = {{{"bias"}, {}}}; }), {"lack", "'weight'"}));
  CHECK(says(refused([](auto& options) { options.optimizer.groups = {{{"bais"}, {}}}; }), {"'bais'", "no parameter"}));
  CHECK(says(refused([](auto& options) { options.optimizer.groups = {{{"bias", "bias"}, {}}}; }), {"twice"}));
  CHECK(says(
      refused([](auto& options) { options.parameters.emplace_back("late", options.parameters[0].second.clone()); }),
      {"'late'", "leaf"}));
}

TEST(trainer_refuses_data_that_does_not_fit) {
  CHECK(says(refused_fit({}, {}), {"no training data"}));
  CHECK(says(refused_fit({floats({1, 2}), floats({1})}, {}), {"train[1] has 1 rows", "train[0] has 2"}));
  CHECK(says(refused_fit({floats({1}, {})}, {}), {"train[0] has no rows"}));
  CHECK(says(refused_fit(line_fit::data(), {.val = {floats({1}, {})}}), {"val[0]"}));
  CHECK(says(refused_fit(line_fit::data(), {.epochs = 0}), {"at least 1"}));
  CHECK(says(refused_fit(line_fit::data(), {.batch_size = 12}), {"batch_size is 12", "11 rows"}));
  Model model;
  TrainerOptions options = model.options();
  options.fitness = "val/loss";
  Trainer trainer(options);
  const std::string said = message<std::invalid_argument>([&] { trainer.fit(line_fit::data(), {.batch_size = 4}); });
  CHECK(says(said, {"'val/loss'", "will produce lr/pg0, train/loss"}));
}

TEST(trainer_refuses_callbacks_that_do_not_fit) {
  Model model;
  Trainer trainer(model.options());
  CHECK(says(message<std::invalid_argument>([&] { trainer.add(make("grad_clop")); }), {"'grad_clop'", "grad_clip"}));
  CHECK(says(message<std::invalid_argument>([&] { trainer.add(make("nan_guard"), {.on_error = "ignore"}); }),
             {"'ignore'", "raise, warn, disable"}));
  CHECK_THROWS(trainer.add(NamedCallback{}), std::invalid_argument);
}

TEST(trainer_trains_one_fit_at_a_time) {
  Model model;
  Trainer trainer(model.options());
  trainer.add(std::make_shared<AtEpochEnd>([&](auto&) { trainer.fit(line_fit::data(), {.batch_size = 4}); }));
  CHECK(
      says(message<TrainingError>([&] { trainer.fit(line_fit::data(), {.batch_size = 4}); }), {"is training already"}));
}
