// Averaged weights: lent for validation and given back, and what they follow.
#include <optional>
#include <variant>

#include "check.h"
#include "core/registry.h"
#include "core/state_map.h"
#include "fake_host.h"
#include "toy.h"

using namespace pyhooks;
using toy::Training;

namespace {

std::uint64_t add(Training& training, const std::string& name, double decay) {
  auto callback = make_callback(name, {{"decay", decay}});
  return training.dispatcher->add(std::move(callback), find_callback(name).events, {}, name);
}

/// The weight at notes that begin with `at`.
std::shared_ptr<std::vector<float>> watch(Training& training, const std::string& at) {
  auto seen = std::make_shared<std::vector<float>>();
  training.trace->also = [&training, at, seen](const std::string& note, Context&) {
    if (note.starts_with(at)) seen->push_back(value(training.weight));
  };
  return seen;
}

// What a callback keeps under a name; nothing if it does not.
std::optional<std::vector<float>> kept(Callback& callback, const std::string& name) {
  for (const auto& [field, saved] : save_state(callback))
    if (field == name) return values<float>(std::get<at::Tensor>(saved));
  return std::nullopt;
}

/// An EMA, and a host that says what it is asked for.
struct Bench {
  Bench() {
    host.params = {floats({1, 2}), floats({3})};
    host.grads.resize(2);
    host.buffers = {floats({4})};
    ema->on_train_start(ctx);
  }
  void step() {
    ++host.now.global_step;
    ema->on_params_update(ctx);
  }
  FakeHost host;
  BatchContext ctx{host};
  std::shared_ptr<Callback> ema = make_callback("ema", {{"decay", 0.5}});
};

}  // namespace

// The weight goes 0, 1, 1.5 (lr 0.25, y = 2x): EMA 0.5 has 1.25 after the epoch.
TEST(averages_are_lent_for_validation) {
  Training training(1);
  training.validate_on({{1}});
  add(training, "ema", 0.5);
  const auto during = watch(training, "on_val_batch");
  training.loop.run();
  CHECK(*during == std::vector<float>{1.25, 1.25});
  CHECK(value(training.weight) == 1.5);
  CHECK(training.dispatcher->registrations().size() == 2);  // who lent it is gone
}

TEST(averages_lent_twice_are_given_back_in_the_other_order) {
  Training training(2);
  training.validate_on({{1}});
  add(training, "ema", 0.5);
  add(training, "ema", 0.75);
  const auto during = watch(training, "on_val_batch_start");
  const float own = [] {
    Training alone(2);
    alone.loop.run();
    return value(alone.weight);
  }();
  training.loop.run();
  CHECK(during->front() == 1.125);
  CHECK(value(training.weight) == own);
}

TEST(averages_are_given_back_before_anybody_hears_of_the_end) {
  Training training(1);
  training.validate_on({{1}});
  training.trace->in_phase = Phase::vote;
  add(training, "ema", 0.5);
  const auto after = watch(training, "on_val_end");
  training.loop.run();
  CHECK(*after == std::vector<float>{1.5});
}

TEST(averages_are_given_back_after_an_exception) {
  Training training(1);
  training.validate_on({{1}});
  training.trace->in_phase = Phase::vote;
  add(training, "ema", 0.5);
  const auto after = watch(training, "on_exception");
  training.val->throws_at = 1;
  CHECK_THROWS(training.loop.run(), std::runtime_error);
  CHECK(*after == std::vector<float>{1.5});
}

TEST(averages_of_one_removed_during_validation_are_given_back) {
  Training training(1);
  training.validate_on({{1}});
  const std::uint64_t id = add(training, "ema", 0.5);
  training.trace->also = [&](const std::string& note, Context& ctx) {
    if (note.starts_with("on_val_batch_start")) CHECK(value(training.weight) == 1.25 && ctx.remove(id));
  };
  training.loop.run();
  CHECK(value(training.weight) == 1.5);
}

TEST(averages_begin_as_copies) {
  Bench bench;
  CHECK(!kept(*bench.ema, "average.w"));
  bench.step();
  bench.host.params[0].fill_(9);
  bench.host.buffers[0].fill_(9);
  CHECK(kept(*bench.ema, "average.w") == std::vector<float>{1, 2});
  bench.step();
  CHECK(kept(*bench.ema, "average.w") == std::vector<float>{5, 5.5});
}

TEST(averages_follow_a_parameter_that_is_replaced) {
  Bench bench;
  bench.step();
  bench.host.params[0] = floats({3, 4});
  bench.step();
  CHECK(kept(*bench.ema, "average.w") == std::vector<float>{2, 3});
  bench.host.params[0] = floats({7, 8, 9});  // of another shape: begins anew
  bench.step();
  CHECK(kept(*bench.ema, "average.w") == std::vector<float>{7, 8, 9});
  CHECK(kept(*bench.ema, "average.b") == std::vector<float>{3});
}

TEST(averages_of_another_shape_are_refused) {
  Bench bench;
  bench.step();
  StateMap saved = save_state(*bench.ema);
  for (auto& [name, value] : saved)
    if (name == "average.b") value = floats({1, 2, 3});
  CHECK_THROWS(load_state(*bench.ema, saved), std::invalid_argument);
}

TEST(averages_that_a_state_lacks_begin_anew) {
  Bench bench;
  bench.step();
  StateMap saved = save_state(*bench.ema);
  std::erase_if(saved, [](const auto& field) { return field.first == "average.b"; });
  load_state(*bench.ema, saved);
  CHECK(!kept(*bench.ema, "average.b"));
  bench.host.params[0].fill_(5);
  bench.host.params[1].fill_(6);
  bench.step();
  CHECK(kept(*bench.ema, "average.b") == std::vector<float>{6});
  CHECK(kept(*bench.ema, "average.w") == std::vector<float>{3, 3.5});
}
