// A tensor hook at work: when it is handed tensors, what it may do, what its errors say.
#include <ATen/ops/as_strided.h>
#include <ATen/ops/neg.h>

#include <stdexcept>

#include "check.h"
#include "compare.h"
#include "core/tap.h"
#include "probe_hooks.h"

using namespace pyhooks;

namespace {

using Seen = std::vector<std::pair<std::string, float>>;
using Logs = std::vector<std::pair<std::string, double>>;

template <class Error = std::exception>
std::string message(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TapConfig on_parameters(std::vector<std::string> names) {
  return {.kind = TapKind::param_grad, .label = "Probe", .names = std::move(names)};
}

}  // namespace

TEST(tap_hands_over_tensors_in_training_batches_only) {
  Tapped<Watcher> run;
  const std::int64_t fc = run.tap->site("fc");
  see_at(fc, floats({1}));
  run.batch([&] { see_at(fc, floats({2})); });
  see_at(fc, floats({3}));
  run.tap->on_train_batch_start(run.ctx);
  run.tap->teardown(run.ctx);  // an exception ended the run in a batch
  see_at(fc, floats({4}));
  CHECK(run.hook->seen == Seen{{"fc", 2}});
  CHECK(run.tap->cost().calls == 1);
}

TEST(tap_numbers_its_tensors_as_they_come) {
  Tapped<Watcher> run;
  const std::int64_t second = run.tap->site("b");
  const std::int64_t first = run.tap->site("a");
  CHECK(run.tap->site("b") == second);
  run.batch([&] {
    see_at(first, floats({1}));
    see_at(second, floats({2}));
  });
  CHECK(run.hook->seen == Seen{{"a", 1}, {"b", 2}});
  CHECK(run.hook->slots == std::vector<std::size_t>{1, 0});
  CHECK(run.tap->sites() == std::vector<std::string>{"b", "a"});
}

TEST(tap_leaves_out_all_but_every_nth_batch_of_a_run) {
  Tapped<Watcher> run({.every = 3});
  const std::int64_t fc = run.tap->site("fc");
  for (int i = 1; i <= 7; ++i) run.batch([&] { see_at(fc, floats({static_cast<float>(i)})); });
  CHECK(run.hook->seen == Seen{{"fc", 3}, {"fc", 6}});
  run.tap->on_train_start(run.ctx);
  CHECK(run.tap->cost().calls == 0);
  for (int i = 1; i <= 3; ++i) run.batch([&] { see_at(fc, floats({static_cast<float>(-i)})); });
  CHECK(run.hook->seen.back() == Seen::value_type{"fc", -3});
}

TEST(tap_logs_by_tensor_kind_and_name_and_votes_once_the_step_is_done) {
  Tapped<Watcher> run({.kind = TapKind::grad});
  run.hook->also = [](TapContext& ctx) {
    ctx.log("first", 5);
    ctx.skip_step();
    ctx.request_stop("enough");
  };
  const std::int64_t fc = run.tap->site("fc");
  run.batch([&] {
    see_at(fc, floats({1}));
    CHECK(run.host.stops.empty() && !run.host.skips);
  });
  CHECK(run.host.stops == std::vector<std::string>{"enough"});
  CHECK(run.host.skips);
  CHECK(run.host.logs == Logs{{"fc/grad/first", 5}});
}

TEST(tap_says_what_it_will_log) {
  Tapped<Watcher> run({.names = {"fc", "lstm"}});
  CHECK(run.tap->logs() == std::vector<std::string>{"fc/output/first", "lstm/output/first"});
  run.tap->site("lstm[0]");
  CHECK(run.tap->logs() == std::vector<std::string>{"lstm[0]/output/first"});
}

TEST(tap_replaces_with_a_tensor_of_its_own_and_of_the_same_strides) {
  Tapped<Replacer> run;
  const std::int64_t fc = run.tap->site("fc");
  const at::Tensor column = at::as_strided(floats({1, 2, 3, 4}), {2, 2}, {1, 2});
  run.batch([&] {
    const at::Tensor doubled = replace_at(fc, column, false);
    CHECK(values<float>(doubled) == std::vector<float>{2, 6, 4, 8});
    CHECK(doubled.strides() == column.strides());
  });
  run.hook->make = [](TapContext&, const at::Tensor& tensor) { return tensor; };
  run.batch([&] { CHECK(!replace_at(fc, column, false).is_alias_of(column)); });
  run.hook->make = [](TapContext&, const at::Tensor& tensor) { return tensor.contiguous(); };
  run.batch([&] { CHECK(replace_at(fc, column, false).strides() == column.strides()); });
  const at::Tensor expanded = at::as_strided(floats({5}), {2, 2}, {0, 0});
  run.hook->make = [](TapContext&, const at::Tensor&) { return at::as_strided(floats({6}), {2, 2}, {0, 0}); };
  run.batch([&] {
    const at::Tensor own = replace_at(fc, expanded, false);
    CHECK(own.is_contiguous() && values<float>(own) == std::vector<float>{6, 6, 6, 6});
  });
  const at::Tensor outside = replace_at(fc, column, false);
  CHECK(outside.equal(column) && !outside.is_alias_of(column));
}

TEST(tap_that_repeats_itself_neither_logs_nor_votes_nor_counts) {
  Tapped<Replacer> run;
  std::vector<bool> again;
  run.hook->make = [&](TapContext& ctx, const at::Tensor& tensor) {
    again.push_back(ctx.again());
    ctx.log("x", 1);
    ctx.skip_step();
    ctx.request_stop("enough");
    return at::mul(tensor, 3);
  };
  const std::int64_t fc = run.tap->site("fc");
  run.batch([&] {
    CHECK(value(replace_at(fc, floats({2}), true)) == 6);
    CHECK(run.host.logs.empty() && run.tap->cost().calls == 0);
  });
  CHECK(run.host.stops.empty() && !run.host.skips);
  run.batch([&] { CHECK(value(replace_at(fc, floats({2}), false)) == 6); });
  CHECK(again == std::vector<bool>{true, false});
  CHECK(run.host.logs.size() == 1 && run.host.stops.size() == 1 && run.tap->cost().calls == 1);
}

TEST(tap_that_is_gone_leaves_tensors_as_they_are) {
  Tapped<Replacer> run;
  const std::int64_t fc = run.tap->site("fc");
  run.tap->on_train_batch_start(run.ctx);
  run.tap.reset();
  see_at(fc, floats({1}));
  CHECK(value(replace_at(fc, floats({1}), false)) == 1);
}

TEST(tap_hands_over_gradients_of_the_parameters_it_is_on) {
  Tapped<Watcher> run(on_parameters({"w2", "w", "frozen"}));
  run.host.grads = {floats({1}), floats({2}), floats({3}), at::Tensor()};  // of w, b, w2, b2
  run.batch();
  CHECK(run.hook->seen == Seen{{"w", 1}, {"w2", 3}});
  run.host.grads = {floats({4}), floats({5})};  // w2 has been frozen
  run.tap->on_train_epoch_start(run.ctx);
  run.batch();
  CHECK(run.hook->seen.back() == Seen::value_type{"w", 4} && run.hook->seen.size() == 3);
  CHECK(run.tap->sites() == std::vector<std::string>{"w", "w2"});
}

TEST(tap_passes_over_parameters_without_a_gradient) {
  Tapped<Replacer> run(on_parameters({"w", "b"}));
  run.host.grads = {at::Tensor(), floats({2})};
  run.batch();
  CHECK(!run.host.grads[0].defined());
  CHECK(value(run.host.grads[1]) == 4);
}

TEST(tap_takes_an_accumulation_groups_gradients_once) {
  Tapped<Replacer> run(on_parameters({"w"}));
  run.host.grads = {floats({1})};
  run.host.updates = false;
  run.batch();
  CHECK(value(run.host.grads[0]) == 1);
  run.host.updates = true;
  run.batch();
  CHECK(value(run.host.grads[0]) == 2);
  run.host.updates = false;  // a group that ends early: its last batch updates after all
  run.batch();
  run.tap->optimizer_step(run.ctx);
  run.tap->on_before_zero_grad(run.ctx);
  CHECK(value(run.host.grads[0]) == 4);
  CHECK(run.tap->cost().calls == 2);
}

TEST(tap_counts_optimizer_steps_where_it_is_on_parameters) {
  TapConfig config = on_parameters({"w"});
  config.every = 2;
  Tapped<Watcher> run(config);
  for (int i = 1; i <= 8; ++i) {
    run.host.grads = {floats({static_cast<float>(i)})};
    run.host.updates = i % 2 == 0;
    run.batch();
  }
  CHECK(run.hook->seen == Seen{{"w", 4}, {"w", 8}});
}

TEST(tap_votes_of_parameters_come_in_the_same_batch) {
  Tapped<Watcher> run(on_parameters({"w"}));
  run.hook->also = [](TapContext& ctx) { ctx.request_stop("at " + std::to_string(ctx.batch())); };
  run.host.grads = {floats({1})};
  run.host.now.batch = 7;
  run.batch();
  CHECK(run.host.stops == std::vector<std::string>{"at 7"});
}

TEST(tap_names_hook_and_tensor_in_errors_and_keeps_their_types) {
  Tapped<Watcher> run({.kind = TapKind::grad, .label = "Probe"});
  const std::int64_t fc = run.tap->site("fc");
  const auto thrown = [&](auto error) {
    run.hook->also = [error](TapContext&) { throw error; };
    return [&run, fc] { run.batch([&] { see_at(fc, floats({1})); }); };
  };
  const std::string where = "in tensor hook Probe at fc (grad)";
  CHECK(message<std::invalid_argument>(thrown(std::invalid_argument("bad"))) == "bad (" + where + ")");
  CHECK(message<std::out_of_range>(thrown(std::out_of_range("far"))) == "far (" + where + ")");
  CHECK(message<TapError>(thrown(std::runtime_error("gone"))) == "gone (" + where + ")");
  CHECK(says(message<TapError>(thrown(42)), {"an object of type int was thrown", where.c_str()}));
  run.hook->also = [](TapContext&) { TORCH_CHECK_INDEX(false, "no such index"); };
  CHECK(says(message<c10::IndexError>([&] { run.batch([&] { see_at(fc, floats({1})); }); }),
             {"no such index", where.c_str()}));
}

TEST(tap_refuses_a_replacement_that_does_not_fit) {
  Tapped<Replacer> run({.label = "Probe"});
  const std::int64_t fc = run.tap->site("fc");
  const auto replaced = [&] {
    return message<std::invalid_argument>([&] { run.batch([&] { replace_at(fc, floats({1, 2}), false); }); });
  };
  run.hook->make = [](TapContext&, const at::Tensor&) { return floats({1, 2, 3}); };
  CHECK(says(replaced(), {"Float[3]", "Float[2]", "the same", "Probe at fc (output)"}));
  run.hook->make = [](TapContext&, const at::Tensor& tensor) { return tensor.to(at::kHalf); };
  CHECK(says(replaced(), {"Half[2]"}));
  run.hook->make = [](TapContext&, const at::Tensor&) { return at::Tensor(); };
  CHECK(says(replaced(), {"returned nothing"}));
}

TEST(tap_refuses_a_kind_that_the_hook_is_not_for) {
  auto hook = std::make_shared<Replacer>();
  hook->picky = true;
  CHECK(message([&] { Tap(hook, 0, {.kind = TapKind::grad, .label = "Probe"}); }) ==
        "Probe is not for on=\"grad\": add it with on=\"output\"");
  CHECK_THROWS(Tap(hook, 0, {.every = 0}), std::invalid_argument);
}

TEST(tap_gives_hooks_plain_tensors_outside_of_autograd) {
  Tapped<Replacer> run;
  const std::int64_t fc = run.tap->site("fc");
  at::Tensor leaf = floats({1});
  leaf.set_requires_grad(true);
  run.hook->make = [](TapContext&, const at::Tensor& tensor) {
    CHECK(!tensor.requires_grad());
    return at::neg(tensor);
  };
  run.batch([&] { CHECK(!replace_at(fc, leaf, false).requires_grad()); });
}
