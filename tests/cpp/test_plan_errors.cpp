#include "check.h"
#include "compare.h"
#include "engines/plan.h"
#include "programs.h"
#include "tensors.h"

using namespace pyhooks;

namespace {

/// What the plan of one operation is refused with.
std::string refusal(const Op& operation, std::vector<int> outputs = {}) {
  try {
    Plan plan({2, 4, {}, {operation}, std::move(outputs)});
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST(plan_refuses_what_it_cannot_prepare_naming_operator_and_source) {
  CHECK(says(refusal(op("aten::no_such_thing", {}, {})), {"aten::no_such_thing", "net.py:7 in forward"}));
  CHECK(says(refusal(op("aten::add.Tensor", {reg(0)}, {2})), {"aten::add", "net.py:7", "'other' is missing"}));
  CHECK(says(refusal(op("aten::neg", {list({reg(0)})}, {2})), {"aten::neg", "a list of tensors", "'self'"}));
  CHECK(says(refusal(op("aten::neg", {list({constant(1.0)})}, {2})), {"a list for argument 'self'"}));
  CHECK(says(refusal(op("aten::cat", {list({reg(0), constant(1.0)})}, {2})), {"'tensors'", "mixes"}));
  CHECK(says(refusal(op("aten::cat", {list({reg(0), kNone})}, {2})), {"'tensors'", "mixes"}));
}

TEST(plan_refuses_arguments_results_and_registers_that_do_not_exist) {
  CHECK(says(refusal(op("aten::neg", {reg(0), reg(1)}, {2})), {"2 arguments where it takes 1"}));
  CHECK(says(refusal(op("aten::neg", {reg(0)}, {2}, {{"alpha", constant(1.0)}})), {"no argument 'alpha'"}));
  CHECK(says(refusal(op("aten::neg", {reg(0)}, {2, 3})), {"2 results are wanted of 1"}));
  CHECK(says(refusal(op("aten::neg", {reg(4)}, {2})), {"register 4 of 4"}));
  CHECK(says(refusal(op("aten::neg", {reg(0)}, {9})), {"register 9 of 4"}));
  CHECK(says(refusal(op("aten::cat", {list({reg(-1)})}, {2})), {"register -1 of 4"}));
  CHECK(says(refusal(op("aten::neg", {reg(0)}, {2}), {5}), {"register 5 of 4"}));
}

TEST(plan_refuses_another_number_of_inputs) {
  Plan plan({2, 3, {}, {op("aten::add.Tensor", {reg(0), reg(1)}, {2})}, {2}});
  std::vector<at::Tensor> outputs;
  CHECK_THROWS(plan.run({floats({1})}, false, outputs), std::invalid_argument);
  plan.bind({floats({1})});
  plan.run({floats({1})}, false, outputs);
  CHECK(value(outputs[0]) == 2);
}

TEST(plan_says_where_an_operator_failed_and_keeps_the_error_type) {
  Plan plan({2, 3, {}, {op("aten::index_select", {reg(0), constant(std::int64_t{0}), reg(1)}, {2})}, {2}});
  std::vector<at::Tensor> outputs;
  const at::Tensor rows = floats({1, 2});
  try {
    plan.run({rows, tensor<std::int64_t>({5})}, false, outputs);
    CHECK(false);
  } catch (const c10::Error& error) {
    CHECK(says(error.what_without_backtrace(), {"while the captured step ran aten::index_select, net.py:7"}));
  }
  Plan flip({1, 2, {}, {op("aten::flip", {reg(0), list({constant(std::int64_t{3})})}, {1})}, {1}});
  CHECK_THROWS(flip.run({rows}, false, outputs), c10::IndexError);
}

TEST(plan_runs_after_a_failure_and_holds_nothing_meanwhile) {
  Plan plan({2, 4, {}, {op("aten::neg", {reg(0)}, {2}), op("aten::mm", {reg(2), reg(1)}, {3})}, {3}});
  const at::Tensor left = floats({1, 2}, {1, 2});
  const at::Tensor wrong = floats({1, 2, 3}, {3, 1});
  std::vector<at::Tensor> outputs;
  CHECK_THROWS(plan.run({left, wrong}, false, outputs), c10::Error);
  CHECK(left.use_count() == 1);
  CHECK(wrong.use_count() == 1);
  plan.run({left, floats({3, 4}, {2, 1})}, false, outputs);
  CHECK(value(outputs[0]) == -11);
}

TEST(plan_runs_after_a_list_that_is_shorter_than_was_captured) {
  Plan plan({1, 3, {}, {op("aten::split.Tensor", {reg(0), constant(std::int64_t{2})}, {1, 2})}, {1, 2}});
  std::vector<at::Tensor> outputs;
  CHECK_THROWS(plan.run({floats({1, 2})}, false, outputs), std::exception);
  plan.run({floats({1, 2, 3})}, false, outputs);
  CHECK(value(outputs[1]) == 3);
}
