// pyhooks::see and pyhooks::replace as a captured step runs them: there is no Python in this process.
#include "check.h"
#include "engines/plan.h"
#include "probe_hooks.h"
#include "programs.h"

using namespace pyhooks;

namespace {

std::vector<float> run(const std::vector<Op>& ops, int n_registers, std::vector<int> outputs) {
  Plan plan({1, n_registers, {}, ops, std::move(outputs)});
  std::vector<at::Tensor> found;
  plan.run({floats({1, 2})}, true, found);
  return values<float>(found[0]);
}

Op see(int x, std::int64_t site) { return op("pyhooks::see", {reg(x), constant(site)}, {}); }

Op replace(int x, std::int64_t site, int out) {
  return op("pyhooks::replace", {reg(x), constant(site), constant(false)}, {out});
}

}  // namespace

TEST(tap_ops_hand_over_values_in_the_order_of_the_program) {
  Tapped<Watcher> run_of;
  const std::int64_t before = run_of.tap->site("before");
  const std::int64_t after = run_of.tap->site("after");
  run_of.batch([&] {
    // In place: the value at the moment of the call counts.
    run({op("aten::mul.Tensor", {reg(0), constant(3.0)}, {1}), see(1, before), op("aten::neg_", {reg(1)}, {2}),
         see(2, after)},
        3, {2});
  });
  CHECK((run_of.hook->seen == std::vector<std::pair<std::string, float>>{{"before", 3}, {"after", -3}}));
}

TEST(tap_ops_replace_a_value_for_what_follows) {
  Tapped<Replacer> run_of;
  const std::int64_t fc = run_of.tap->site("fc");
  const std::vector<Op> ops{replace(0, fc, 1), op("aten::add_.Tensor", {reg(1), constant(1.0)}, {2})};
  run_of.batch([&] { CHECK(run(ops, 3, {2}) == std::vector<float>{3, 5}); });
  CHECK(run(ops, 3, {2}) == std::vector<float>{2, 3});  // outside of a training batch
  CHECK(run(ops, 3, {0}) == std::vector<float>{1, 2});  // what was replaced is not changed by what follows
}

TEST(tap_ops_tell_the_operator_in_torch_errors) {
  Tapped<Watcher> run_of({.label = "Probe"});
  const std::int64_t fc = run_of.tap->site("fc");
  run_of.hook->also = [](TapContext&) { TORCH_CHECK(false, "broken"); };
  try {
    run_of.batch([&] { run({see(0, fc)}, 1, {0}); });
    CHECK(false);
  } catch (const c10::Error& error) {
    const std::string said = error.what_without_backtrace();
    CHECK(said.find("in tensor hook Probe at fc (output)") != std::string::npos);
    CHECK(said.find("pyhooks::see, net.py:7 in forward") != std::string::npos);
  }
}
