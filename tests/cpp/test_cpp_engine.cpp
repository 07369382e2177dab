#include <ATen/core/grad_mode.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/stack.h>

#include "check.h"
#include "compare.h"
#include "engines/cpp_engine.h"
#include "tensors.h"

using namespace pyhooks;

namespace {

/// y = w x with the mean squared error; notes the modes it was run in.
struct Model {
  at::Tensor weight = floats({2}).set_requires_grad(true);
  bool training = true;
  std::vector<std::string> notes;

  CppEngine::Parts parts() {
    CppEngine::Parts parts;
    parts.step = [this](const std::vector<at::Tensor>& batch) -> StepOutput {
      notes.push_back(std::string(training ? "train" : "eval") + (at::GradMode::is_enabled() ? " with grad" : ""));
      const at::Tensor out = at::mul(batch[0], weight);
      return {at::mse_loss(out, batch[1]), {out}};
    };
    parts.set_training = [this](bool on) { training = on; };
    parts.params = {weight};
    return parts;
  }
};

const Batch kBatch{{floats({1, 3}), floats({0, 0})}, 2};  // loss (4 + 36) / 2, gradient 2 (2 + 18) / 2

std::string why_not(CppEngine& engine, Mode mode = Mode::train) {
  StepResult result;
  try {
    engine.step(mode, kBatch, result);
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

std::string why_not(StepFunction step) {
  Model model;
  CppEngine::Parts parts = model.parts();
  parts.step = std::move(step);
  CppEngine engine(std::move(parts));
  return why_not(engine);
}

}  // namespace

TEST(cpp_engine_gives_loss_outputs_and_fresh_gradients) {
  Model model;
  CppEngine engine(model.parts());
  StepResult result;
  for (int i = 0; i < 2; ++i) {  // not accumulated from step to step
    engine.step(Mode::train, kBatch, result);
    CHECK(value(result.loss) == 20);
    CHECK(!result.loss.requires_grad());
    CHECK(values<float>(result.outputs.at(0)) == std::vector<float>{2, 6});
    CHECK(values<float>(result.grads.at(0)) == std::vector<float>{20});
    CHECK(!model.weight.grad().defined());
  }
}

TEST(cpp_engine_evaluates_without_gradients_in_evaluation_mode) {
  Model model;
  CppEngine engine(model.parts());
  StepResult result;
  at::NoGradGuard as_in_the_loop;
  engine.step(Mode::eval, kBatch, result);
  CHECK(value(result.loss) == 20);
  CHECK(model.training);
  engine.step(Mode::train, kBatch, result);
  CHECK(model.notes == std::vector<std::string>{"eval", "train with grad"});
}

TEST(cpp_engine_is_in_training_mode_again_after_an_error) {
  Model model;
  CppEngine::Parts parts = model.parts();
  parts.step = [](const std::vector<at::Tensor>&) -> StepOutput { throw std::runtime_error("no"); };
  CppEngine engine(std::move(parts));
  StepResult result;
  CHECK_THROWS(engine.step(Mode::eval, kBatch, result), std::runtime_error);
  CHECK(model.training);
}

TEST(cpp_engine_divides_by_the_accumulation_count) {
  Model model;
  CppEngine::Parts parts = model.parts();
  parts.accumulate = 4;
  CppEngine engine(std::move(parts));
  StepResult result;
  engine.step(Mode::train, kBatch, result);
  CHECK(value(result.loss) == 20);
  CHECK(values<float>(result.grads.at(0)) == std::vector<float>{5});
}

TEST(cpp_engine_leaves_a_gradient_undefined_where_there_is_none) {
  Model model;
  CppEngine::Parts parts = model.parts();
  parts.params.push_back(floats({1}).set_requires_grad(true));
  CppEngine engine(std::move(parts));
  StepResult result;
  engine.step(Mode::train, kBatch, result);
  CHECK(result.grads.size() == 2 && result.grads[0].defined() && !result.grads[1].defined());
}

TEST(cpp_engine_measures_without_gradients) {
  Model model;
  CppEngine::Parts parts = model.parts();
  bool detached = false;
  parts.metrics = {{"sum", [&](const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& batch) {
                      detached = !outputs[0].requires_grad() && !at::GradMode::is_enabled();
                      return at::stack({outputs[0].sum(), batch[0].sum()});
                    }}};
  CppEngine engine(std::move(parts));
  StepResult result;
  engine.step(Mode::train, kBatch, result);
  CHECK(detached);
  CHECK(values<float>(result.stats.at(0)) == std::vector<float>{8, 4});
}

TEST(cpp_engine_says_what_is_wrong_with_a_step) {
  const at::Tensor weight = floats({2}).set_requires_grad(true);
  CHECK(says(why_not([&](const auto& batch) { return at::mul(batch[0], weight); }), {"0-d", "[2]", "mean() or sum()"}));
  CHECK(says(why_not([](const auto&) { return at::Tensor(); }), {"undefined"}));
  CHECK(says(why_not([](const auto& batch) { return batch[0].sum().to(at::kLong); }), {"floating", "Long"}));
  CHECK(says(why_not([](const auto& batch) { return batch[0].sum(); }), {"depends on no trainable parameter"}));

  Model model;
  CppEngine::Parts parts = model.parts();
  parts.metrics = {{"odd", [](const auto& outputs, const auto&) { return outputs[0].sum(); }}};
  CppEngine engine(std::move(parts));
  CHECK(says(why_not(engine), {"metric 'odd'", "2 numbers", "[]"}));
  CHECK(says(why_not(engine, Mode::predict), {"call the model itself"}));
}

TEST(accuracy_counts_hits_and_leaves_ignored_rows_out) {
  const Metric metric = accuracy();
  const at::Tensor logits = floats({1, 2, 0, 5, 1, 1, 0, 0, 3}, {3, 3});
  const auto stats = [&](const std::vector<std::int64_t>& classes) {
    return values<float>(metric.stats({logits}, {logits, tensor<std::int64_t>(classes)}));
  };
  CHECK(stats({1, 0, 0}) == std::vector<float>{2, 3});
  CHECK(stats({1, -100, 2}) == std::vector<float>{2, 2});
  CHECK_THROWS(metric.stats({}, {logits}), std::invalid_argument);
  CHECK_THROWS(metric.stats({logits}, {logits}), std::invalid_argument);
}
