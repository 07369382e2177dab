#include <ATen/core/grad_mode.h>
#include <torch/library.h>

#include "check.h"
#include "engines/plan.h"
#include "programs.h"
#include "tensors.h"

using namespace pyhooks;

namespace {

using Floats = std::vector<float>;

std::vector<at::Tensor> run(const Program& program, const std::vector<at::Tensor>& inputs) {
  Plan plan(program);
  std::vector<at::Tensor> outputs;
  plan.run(inputs, false, outputs);
  return outputs;
}

/// An operator that tells the grad mode it runs in.
at::Tensor grad_mode() { return floats({at::GradMode::is_enabled() ? 1.0F : 0.0F}); }

TORCH_LIBRARY(pyhooks_test, library) { library.def("grad_mode() -> Tensor", grad_mode); }

}  // namespace

TEST(plan_runs_again_and_again_with_the_same_result) {
  Plan plan({1, 3, {}, {op("aten::mul.Tensor", {reg(0), reg(0)}, {1}), op("aten::neg", {reg(1)}, {2})}, {2}});
  CHECK(plan.size() == 2);
  std::vector<at::Tensor> outputs;
  for (int i = 0; i < 3; ++i) {
    plan.run({floats({1, 2, 3})}, false, outputs);
    CHECK(values<float>(outputs[0]) == Floats{-1, -4, -9});
  }
}

TEST(plan_keeps_dtypes_with_numbers_for_tensors) {
  const Program program{2,
                        4,
                        {},
                        {op("aten::mul.Tensor", {reg(0), constant(0.5)}, {2}),
                         op("aten::add.Tensor", {reg(1), constant(std::int64_t{3})}, {3})},
                        {2, 3}};
  const auto halves = run(program, {floats({1, 2}).to(at::kHalf), tensor<std::uint8_t>({250, 1})});
  CHECK(halves[0].scalar_type() == at::kHalf);
  CHECK(halves[1].scalar_type() == at::kByte);
  const auto mixed = run(program, {tensor<std::int64_t>({1, 2}), floats({1})});
  CHECK(mixed[0].scalar_type() == at::kFloat);  // the default dtype, as `x * 0.5` in Python
  CHECK(mixed[1].scalar_type() == at::kFloat);
}

TEST(plan_lets_a_wrapped_number_meet_a_0_d_tensor_as_python_would) {
  const at::Tensor scalar = floats({2}, {});
  const auto out = run({1, 2, {}, {op("aten::mul.Tensor", {reg(0), constant(0.5)}, {1})}, {1}}, {scalar});
  CHECK(out[0].scalar_type() == at::kFloat);  // not double, which wins among 0-d tensors
  CHECK(value(out[0]) == 1);
}

TEST(plan_fills_defaults_and_keyword_arguments) {
  const auto out = run({2,
                        4,
                        {},
                        {op("aten::add.Tensor", {reg(0), reg(1)}, {2}),
                         op("aten::add.Tensor", {reg(0), reg(1)}, {3}, {{"alpha", constant(std::int64_t{10})}})},
                        {2, 3}},
                       {floats({1}), floats({2})});
  CHECK(value(out[0]) == 3);
  CHECK(value(out[1]) == 21);
}

TEST(plan_reads_a_register_twice_in_one_operation) {
  // Register 1 dies in the mul, which reads it twice, and register 2 in the cat, which has it twice in a list.
  const auto out = run({1,
                        4,
                        {},
                        {op("aten::neg", {reg(0)}, {1}), op("aten::mul.Tensor", {reg(1), reg(1)}, {2}),
                         op("aten::cat", {list({reg(2), reg(2)})}, {3})},
                        {3}},
                       {floats({3})});
  CHECK(values<float>(out[0]) == Floats{9, 9});
}

TEST(plan_lets_go_of_values_at_their_last_use) {
  at::Tensor input = floats({1, 2});
  Plan plan({1,
             4,
             {},
             {op("aten::neg", {reg(0)}, {1}), op("aten::neg", {reg(1)}, {2}), op("aten::neg_", {reg(2)}, {3})},
             {3}});
  std::vector<at::Tensor> outputs;
  plan.run({input}, false, outputs);
  CHECK(input.use_count() == 1);       // not in the plan's registers any more
  CHECK(outputs[0].use_count() == 1);  // nor is the output, nor what it was made of
  CHECK(values<float>(outputs[0]) == Floats{-1, -2});
}

TEST(plan_has_lists_of_tensors_and_of_optional_tensors) {
  const auto joined =
      run({2, 3, {}, {op("aten::cat", {list({reg(0), reg(1), reg(0)})}, {2})}, {2}}, {floats({1}), floats({2, 3})});
  CHECK(values<float>(joined[0]) == Floats{1, 2, 3, 1});

  const auto picked = run({2, 3, {}, {op("aten::index.Tensor", {reg(0), list({kNone, reg(1)})}, {2})}, {2}},
                          {floats({1, 2, 3, 4}, {2, 2}), tensor<std::int64_t>({1})});
  CHECK(values<float>(picked[0]) == Floats{2, 4});
}

TEST(plan_has_lists_of_numbers_and_one_number_for_a_list) {
  const Program program{1,
                        3,
                        {},
                        {op("aten::sum.dim_IntList", {reg(0), list({constant(std::int64_t{0})})}, {1}),
                         op("aten::sum.dim_IntList", {reg(0), constant(std::int64_t{1}), constant(true)}, {2})},
                        {1, 2}};
  const auto sums = run(program, {floats({1, 2, 3, 4}, {2, 2})});
  CHECK(values<float>(sums[0]) == Floats{4, 6});
  CHECK(values<float>(sums[1]) == Floats{3, 7});
  CHECK(sums[1].dim() == 2);
}

TEST(plan_takes_several_outputs_and_drops_unused_ones) {
  const Program both{1, 3, {}, {op("aten::max.dim", {reg(0), constant(std::int64_t{1})}, {1, 2})}, {2, 1}};
  const auto out = run(both, {floats({1, 5, 7, 2}, {2, 2})});
  CHECK(values<std::int64_t>(out[0]) == std::vector<std::int64_t>{1, 0});
  CHECK(values<float>(out[1]) == Floats{5, 7});

  const Program indices{1, 2, {}, {op("aten::max.dim", {reg(0), constant(std::int64_t{1})}, {-1, 1})}, {1}};
  CHECK(values<std::int64_t>(run(indices, {floats({1, 5}, {1, 2})})[0]) == std::vector<std::int64_t>{1});
}

TEST(plan_takes_lists_of_outputs_apart) {
  const Program program{1, 3, {}, {op("aten::split.Tensor", {reg(0), constant(std::int64_t{2})}, {1, -1, 2})}, {2, 1}};
  const auto parts = run(program, {floats({1, 2, 3, 4, 5})});
  CHECK(values<float>(parts[0]) == Floats{5});
  CHECK(values<float>(parts[1]) == Floats{1, 2});
}

TEST(plan_gives_undefined_for_none_and_may_give_an_input_or_a_value_twice) {
  const auto out = run({1, 2, {}, {op("aten::neg", {reg(0)}, {1})}, {-1, 0, 1, 1}}, {floats({4})});
  CHECK(!out[0].defined());
  CHECK(value(out[1]) == 4);
  CHECK(value(out[2]) == -4);
  CHECK(out[2].is_same(out[3]));
}

TEST(plan_keeps_constants_and_fixed_inputs_from_run_to_run) {
  const at::Tensor ten = floats({10});
  const at::Tensor weight = floats({2});
  Plan plan({2,
             5,
             {{2, ten}},
             {op("aten::mul.Tensor", {reg(0), reg(1)}, {3}), op("aten::add.Tensor", {reg(3), reg(2)}, {4})},
             {4, 2}});
  plan.bind({weight});
  std::vector<at::Tensor> outputs;
  for (float x : {1.0F, 2.0F, 3.0F}) {
    plan.run({floats({x})}, false, outputs);
    CHECK(value(outputs[0]) == 2 * x + 10);
    CHECK(outputs[1].is_same(ten));
  }
  weight.fill_(5);  // trained in place
  plan.run({floats({1})}, false, outputs);
  CHECK(value(outputs[0]) == 15);
}

TEST(plan_shows_kernels_the_grad_mode_it_is_told) {
  Plan plan({0, 1, {}, {op("pyhooks_test::grad_mode", {}, {0})}, {0}});
  std::vector<at::Tensor> outputs;
  for (bool enabled : {true, false}) {
    plan.run({}, enabled, outputs);
    CHECK(value(outputs[0]) == (enabled ? 1 : 0));
    CHECK(at::GradMode::is_enabled());  // as it was
  }
}

TEST(plan_records_nothing_for_autograd) {
  Plan plan({1, 2, {}, {op("aten::mul.Tensor", {reg(0), reg(0)}, {1})}, {1}});
  plan.bind({floats({3}).set_requires_grad(true)});
  std::vector<at::Tensor> outputs;
  plan.run({}, true, outputs);
  CHECK(value(outputs[0]) == 9);
  CHECK(!outputs[0].requires_grad());
}
