#include <cmath>

#include "check.h"
#include "optim/fused.h"
#include "tensors.h"

using namespace pyhooks;

namespace {

ParamGroup group_of(std::vector<std::size_t> params, const Hyper& hyper) {
  ParamGroup group;
  group.params = std::move(params);
  group.hyper = hyper;
  group.eps = 1e-8;
  return group;
}

const Hyper kSgd{.lr = 0.5, .momentum = 0, .weight_decay = 0};
const Hyper kMomentum{.lr = 0.5, .momentum = 0.9, .weight_decay = 0};
const Hyper kAdam{.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .weight_decay = 0};

bool near(double a, double b) { return std::abs(a - b) < 1e-5; }

}  // namespace

TEST(fused_sgd_steps_down_the_gradient) {
  const at::Tensor w = floats({1, 2});
  auto sgd = make_fused_optimizer("sgd", {w}, {group_of({0}, kSgd)}, {});
  sgd->step({floats({2, 4})});
  CHECK(values<float>(w) == std::vector<float>{0, 0});
  CHECK(sgd->states()[0].empty());
}

TEST(fused_skips_undefined_gradients) {
  const at::Tensor w = floats({1});
  const at::Tensor frozen = floats({1});
  auto adam = make_fused_optimizer("adam", {frozen, w}, {group_of({0, 1}, kAdam)}, {});
  adam->step({at::Tensor(), floats({1})});
  CHECK(value(frozen) == 1);
  CHECK(value(w) < 1);
  CHECK(adam->states()[0].empty());
  CHECK(value(adam->states()[1].at("step")) == 1);
}

TEST(fused_makes_state_when_a_gradient_first_comes) {
  const at::Tensor a = floats({1});
  const at::Tensor b = floats({1});
  auto adam = make_fused_optimizer("adam", {a, b}, {group_of({0, 1}, kAdam)}, {});
  adam->step({floats({1}), at::Tensor()});
  adam->step({floats({1}), floats({1})});
  adam->step({at::Tensor(), floats({1})});
  CHECK(value(adam->states()[0].at("step")) == 2);
  CHECK(value(adam->states()[1].at("step")) == 2);
  CHECK(near(value(a), 0.8));  // Adam's first steps are lr each while the gradient stays the same
  CHECK(near(value(b), 0.8));
}

TEST(fused_sgd_takes_the_first_gradient_over_as_momentum) {
  const at::Tensor w = floats({10});
  ParamGroup group = group_of({0}, kMomentum);
  group.dampening = 0.5;  // does not hold for the first step
  auto sgd = make_fused_optimizer("sgd", {w}, {group}, {});
  sgd->step({floats({4})});
  CHECK(near(value(sgd->states()[0].at("momentum_buffer")), 4));
  CHECK(near(value(w), 8));
  sgd->step({floats({2})});
  CHECK(near(value(sgd->states()[0].at("momentum_buffer")), 0.9 * 4 + 0.5 * 2));
  CHECK(near(value(w), 8 - 0.5 * 4.6));
}

TEST(fused_sgd_first_step_is_each_parameters_own) {
  const at::Tensor a = floats({0});
  const at::Tensor b = floats({0});
  ParamGroup group = group_of({0, 1}, kMomentum);
  group.dampening = 0.5;
  auto sgd = make_fused_optimizer("sgd", {a, b}, {group}, {});
  sgd->step({floats({1}), at::Tensor()});
  sgd->step({floats({1}), floats({1})});
  CHECK(near(value(sgd->states()[0].at("momentum_buffer")), 0.9 + 0.5));
  CHECK(near(value(sgd->states()[1].at("momentum_buffer")), 1));
}

TEST(fused_sgd_follows_a_momentum_that_comes_and_goes) {
  const at::Tensor w = floats({0});
  auto sgd = make_fused_optimizer("sgd", {w}, {group_of({0}, kSgd)}, {});
  sgd->step({floats({1})});
  sgd->hyper(0).momentum = 0.9;
  sgd->step({floats({1})});
  sgd->step({floats({1})});
  CHECK(near(value(sgd->states()[0].at("momentum_buffer")), 1.9));
  sgd->hyper(0).momentum = 0;
  sgd->step({floats({1})});
  CHECK(near(value(w), -0.5 * (1 + 1 + 1.9 + 1)));
  CHECK(near(value(sgd->states()[0].at("momentum_buffer")), 1.9));  // kept, not used
}

TEST(fused_puts_dtypes_into_buckets_of_their_own) {
  const at::Tensor single = floats({1});
  const at::Tensor twice = tensor<double>({1});
  auto adam = make_fused_optimizer("adamw", {single, twice}, {group_of({0, 1}, kAdam)}, {});
  for (int i = 0; i < 2; ++i) adam->step({floats({1}), tensor<double>({1})});
  CHECK(near(value(single), 0.8));
  CHECK(near(*twice.const_data_ptr<double>(), 0.8));
  CHECK(adam->states()[1].at("exp_avg").scalar_type() == at::kDouble);
  CHECK(adam->states()[1].at("step").scalar_type() == at::kFloat);
}

TEST(fused_steps_each_group_with_its_own_hyper_parameters) {
  const at::Tensor a = floats({0});
  const at::Tensor b = floats({0});
  auto sgd = make_fused_optimizer("sgd", {a, b}, {group_of({1}, kSgd), group_of({0}, kSgd)}, {});
  CHECK(sgd->groups() == 2);
  sgd->hyper(0).lr = 2;
  sgd->step({floats({1}), floats({1})});
  CHECK(value(a) == -0.5F);
  CHECK(value(b) == -2);
}

TEST(fused_goes_on_from_given_states) {
  const at::Tensor w = floats({1});
  const at::Tensor buffer = floats({10});
  auto sgd = make_fused_optimizer("sgd", {w}, {group_of({0}, kMomentum)}, {ParamState{{"momentum_buffer", buffer}}});
  sgd->step({floats({1})});
  CHECK(near(value(buffer), 10));  // 0.9 * 10 + 1, in the given tensor
  CHECK(near(value(w), -4));
}

TEST(fused_adagrad_and_amsgrad_keep_their_states) {
  const at::Tensor w = floats({1});
  Hyper hyper{.lr = 0.1, .weight_decay = 0};
  auto adagrad = make_fused_optimizer("adagrad", {w}, {group_of({0}, hyper)}, {});
  adagrad->step({floats({3})});
  CHECK(near(value(adagrad->states()[0].at("sum")), 9));
  CHECK(near(value(w), 0.9));

  ParamGroup amsgrad = group_of({0}, kAdam);
  amsgrad.amsgrad = true;
  auto adam = make_fused_optimizer("adam", {w}, {amsgrad}, {});
  adam->step({floats({3})});
  CHECK(adam->states()[0].contains("max_exp_avg_sq"));
}

TEST(fused_knows_its_optimizers) {
  CHECK(fused_optimizers() == std::vector<std::string>{"sgd", "adam", "adamw", "adagrad"});
  CHECK_THROWS(make_fused_optimizer("lbfgs", {}, {}, {}), std::invalid_argument);
}
