#include "check.h"
#include "engines/graph_engine.h"
#include "programs.h"
#include "tensors.h"

using namespace pyhooks;

namespace {

/// An engine that shows that it was called.
class Other final : public StepEngine {
 public:
  int steps = 0;

  std::string name() const override { return "other"; }
  bool draws_random() const override { return true; }
  void step(Mode, const Batch&, StepResult& result) override {
    ++steps;
    result.loss = floats({-1}, {});
  }
};

/// Plans of `loss = sum(w * x)`; training has the gradient x, and x as the statistic. Refuses or doubts if told.
class Provider final : public PlanProvider {
 public:
  int captured = 0;
  int verified = 0;
  int verify_first = 0;
  bool refuse = false;
  bool doubt = false;
  at::Tensor weight = floats({2});
  std::shared_ptr<Other> other = std::make_shared<Other>();

  std::variant<std::shared_ptr<CapturedStep>, std::shared_ptr<StepEngine>> capture(Mode mode, const Batch&) override {
    ++captured;
    if (refuse) return other;
    auto step = std::make_shared<CapturedStep>();
    const std::vector<Op> ops{op("aten::mul.Tensor", {reg(0), reg(1)}, {2}), op("aten::sum", {reg(2)}, {3}),
                              op("aten::clone", {reg(1)}, {4})};
    std::vector<int> outputs{3, 1, 2};
    if (mode == Mode::train) outputs.push_back(4);
    if (mode == Mode::predict) outputs = {2};
    step->plan = std::make_shared<Plan>(Program{2, 5, {}, ops, outputs});
    step->fixed = {weight};
    step->n_stats = mode == Mode::predict ? 0 : 1;
    step->n_outputs = 1;
    step->draws_random = false;
    step->verify = verify_first;
    return step;
  }
  std::shared_ptr<StepEngine> verify(Mode, const CapturedStep&, const Batch&, StepResult&,
                                     const std::function<void()>& run) override {
    ++verified;
    run();
    return doubt ? other : nullptr;
  }
};

Batch batch_of(const std::vector<float>& x) { return {{floats(x)}, static_cast<std::int64_t>(x.size())}; }

}  // namespace

TEST(graph_engine_tells_a_plans_outputs_apart) {
  auto provider = std::make_shared<Provider>();
  GraphEngine engine(provider);
  StepResult result;
  engine.step(Mode::train, batch_of({1, 2}), result);
  CHECK(value(result.loss) == 6);
  CHECK(values<float>(result.stats.at(0)) == std::vector<float>{1, 2});
  CHECK(values<float>(result.outputs.at(0)) == std::vector<float>{2, 4});
  CHECK(values<float>(result.grads.at(0)) == std::vector<float>{1, 2});
  engine.step(Mode::eval, batch_of({3}), result);
  CHECK(value(result.loss) == 6);
  CHECK(result.grads.empty());
  StepResult prediction;
  engine.step(Mode::predict, batch_of({3}), prediction);
  CHECK(!prediction.loss.defined());
  CHECK(prediction.outputs.size() == 1);
  CHECK(prediction.stats.empty());
}

TEST(graph_engine_captures_once_for_each_mode_and_kind_of_batch) {
  auto provider = std::make_shared<Provider>();
  GraphEngine engine(provider);
  StepResult result;
  for (int i = 0; i < 3; ++i) {
    engine.step(Mode::train, batch_of({1, 2}), result);
    engine.step(Mode::train, batch_of({1}), result);
    engine.step(Mode::eval, batch_of({1}), result);
  }
  CHECK(provider->captured == 3);
  CHECK(engine.plans() == 3);
  engine.step(Mode::train, {{tensor<double>({1})}, 1}, result);               // another dtype
  engine.step(Mode::train, {{floats({1, 2}, {2, 1})}, 2}, result);            // another shape
  engine.step(Mode::train, {{floats({1, 2, 3, 4}, {2, 2})}, 2}, result);      // and this one
  engine.step(Mode::train, {{floats({1, 2, 3, 4}, {2, 2}).t()}, 2}, result);  // with other strides
  engine.prepare(Mode::train, {{floats({1, 2, 3, 4}, {2, 2})}, 2});
  CHECK(provider->captured == 7);
}

TEST(graph_engine_verifies_the_first_batches_of_each_plan) {
  auto provider = std::make_shared<Provider>();
  provider->verify_first = 2;
  GraphEngine engine(provider);
  StepResult result;
  CHECK(engine.draws_random());  // nothing is known
  for (int i = 0; i < 5; ++i) {
    engine.step(Mode::train, batch_of({1}), result);
    CHECK(value(result.loss) == 2);
    CHECK(engine.draws_random() == (i == 0));
  }
  CHECK(provider->verified == 2);
  engine.step(Mode::train, batch_of({1, 1}), result);
  CHECK(provider->verified == 3);
}

TEST(graph_engine_gives_way_where_a_step_cannot_be_captured) {
  auto provider = std::make_shared<Provider>();
  provider->refuse = true;
  GraphEngine engine(provider);
  CHECK(engine.name() == "graph");
  StepResult result;
  engine.step(Mode::train, batch_of({1}), result);
  engine.step(Mode::train, batch_of({1, 2}), result);
  CHECK(provider->captured == 1);
  CHECK(provider->other->steps == 2);
  CHECK(engine.name() == "other");
  CHECK(engine.draws_random());
}

TEST(graph_engine_gives_way_where_a_plan_is_wrong_in_that_mode_only) {
  auto provider = std::make_shared<Provider>();
  provider->verify_first = 1;
  GraphEngine engine(provider);
  StepResult result;
  engine.step(Mode::eval, batch_of({1}), result);
  provider->doubt = true;
  engine.step(Mode::train, batch_of({1}), result);
  CHECK(value(result.loss) == -1);  // that very batch, too
  engine.step(Mode::eval, batch_of({1}), result);
  CHECK(value(result.loss) == 2);
  CHECK(provider->other->steps == 1);
}
