// What guards are made of: copies of training in memory, and the look for numbers that are not finite.
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>

#include "check.h"
#include "core/state_map.h"
#include "fake_host.h"
#include "pyhooks/finite.h"
#include "pyhooks/memory_copy.h"
#include "tensors.h"

using namespace pyhooks;
using Floats = std::vector<float>;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

/// A host with two parameters, a buffer and a moment of each parameter.
struct Trained {
  Trained() {
    host.params = {floats({1, 2}), floats({3})};
    host.grads.resize(2);
    host.buffers = {floats({4})};
    host.optimizer_tensors = {floats({5, 6}), floats({7})};
  }

  std::vector<at::Tensor> all() const {
    std::vector<at::Tensor> tensors = host.params;
    tensors.insert(tensors.end(), host.buffers.begin(), host.buffers.end());
    tensors.insert(tensors.end(), host.optimizer_tensors.begin(), host.optimizer_tensors.end());
    return tensors;
  }
  std::vector<Floats> numbers() const {
    std::vector<Floats> result;
    for (const at::Tensor& tensor : all()) result.push_back(values<float>(tensor));
    return result;
  }
  void spoil() {
    for (const at::Tensor& tensor : all()) tensor.fill_(std::nanf(""));
  }

  FakeHost host;
  BatchContext ctx{host};
};

/// A callback that is a copy, so that its state can be saved.
class Keeper final : public Callback {
 public:
  TrainingCopy copy;
  void state(State& state) override { copy.state(state); }
};

/// Whether the element at each position, made bad, is found; of sizes around those in which memory is read.
template <class T>
void check_finds(T bad) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{7}, std::size_t{1024}, std::size_t{2500}}) {
    std::vector<T> numbers(size, T(-1.5));
    CHECK(all_finite(tensor(numbers)));
    for (std::size_t at = 0; at < size; at += size / 7 + 1) {
      numbers[at] = bad;
      CHECK(!all_finite(tensor(numbers)));
      numbers[at] = std::numeric_limits<T>::max();
    }
    CHECK(all_finite(tensor(numbers)));
  }
}

}  // namespace

TEST(finite_finds_infinities_and_nans_wherever_they_are) {
  check_finds<float>(kInf);
  check_finds<float>(-kInf);
  check_finds<float>(std::nanf(""));
  check_finds<double>(-std::numeric_limits<double>::infinity());
  check_finds<double>(std::nan(""));
}

TEST(finite_knows_the_short_floats) {
  const at::Tensor numbers = floats({1, 60000, -0.001F});
  const at::Tensor large = floats({1, 1e6F, 0});
  const at::Tensor bad = floats({1, std::nanf(""), 0});
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16}) {
    CHECK(all_finite(numbers.to(type)));
    CHECK(!all_finite(bad.to(type)));
  }
  CHECK(all_finite(large.to(at::kBFloat16)));
  CHECK(!all_finite(large.to(at::kHalf)));  // overflows
}

TEST(finite_looks_at_views_and_lists) {
  at::Tensor all = floats({1, kInf, 2, 3, 4, 5}, {3, 2});
  CHECK(!all_finite(all.t()));
  CHECK(all_finite(all.select(1, 0)));
  CHECK(!all_finite(all.select(1, 1)));
  CHECK(all_finite(at::Tensor()));
  CHECK(all_finite(tensor<std::int64_t>({1, 2})));
  CHECK(all_finite(std::vector<at::Tensor>{}));
  CHECK(all_finite(std::vector<at::Tensor>{at::Tensor(), floats({1})}));
  CHECK(!all_finite(std::vector<at::Tensor>{at::Tensor(), floats({1}), all}));
  CHECK(!all_finite(all.to_sparse()));
  CHECK(all_finite(floats({0, 1}).to_sparse()));
}

TEST(memory_copy_puts_everything_back) {
  Trained trained;
  const std::vector<Floats> before = trained.numbers();
  TrainingCopy copy;
  CHECK(!copy.taken());
  CHECK(!copy.restore(trained.ctx));
  copy.take(trained.ctx);
  trained.spoil();
  CHECK(copy.restore(trained.ctx));
  CHECK(trained.numbers() == before);
  copy.clear();
  CHECK(!copy.taken());
  CHECK(!copy.restore(trained.ctx));
}

TEST(memory_copy_changes_tensors_in_place_whatever_autograd_says) {
  Trained trained;
  trained.host.params[0].set_requires_grad(true);
  const at::Tensor same = trained.host.params[0];
  TrainingCopy copy;
  copy.take(trained.ctx);
  {
    at::NoGradGuard no_grad;
    trained.spoil();
  }
  CHECK(at::GradMode::is_enabled());
  CHECK(copy.restore(trained.ctx));
  CHECK(values<float>(same.detach()) == (Floats{1, 2}));
}

TEST(memory_copy_makes_later_optimizer_tensors_zero) {
  Trained trained;
  TrainingCopy copy;
  copy.take(trained.ctx);
  auto& tensors = trained.host.optimizer_tensors;
  tensors.insert(tensors.begin() + 1, floats({8}));  // of a parameter that had no gradient before
  tensors.push_back(floats({9}));
  trained.spoil();
  CHECK(copy.restore(trained.ctx));
  CHECK(trained.numbers() == (std::vector<Floats>{{1, 2}, {3}, {4}, {5, 6}, {0}, {7}, {0}}));
}

TEST(memory_copy_of_a_fresh_optimizer_makes_it_fresh) {
  Trained trained;
  const std::vector<at::Tensor> made = std::exchange(trained.host.optimizer_tensors, {});
  TrainingCopy copy;
  copy.take(trained.ctx);
  trained.host.optimizer_tensors = made;
  CHECK(copy.restore(trained.ctx));
  CHECK(values<float>(made[0]) == (Floats{0, 0}));
  CHECK(values<float>(made[1]) == (Floats{0}));
}

TEST(memory_copy_is_not_written_into_other_tensors) {
  for (int change = 0; change < 4; ++change) {
    Trained trained;
    TrainingCopy copy;
    copy.take(trained.ctx);
    FakeHost& host = trained.host;
    if (change == 0) host.params[0] = floats({10, 20});  // unfrozen in the place of another of the same form
    if (change == 1) host.params.push_back(floats({30})), host.grads.resize(3);
    if (change == 2) host.buffers.clear();
    if (change == 3) host.optimizer_tensors[1] = floats({70});  // replaced, as load_state_dict does
    const std::vector<Floats> before = trained.numbers();
    CHECK(!copy.restore(trained.ctx));
    CHECK(trained.numbers() == before);
    copy.take(trained.ctx);
    trained.spoil();
    CHECK(copy.restore(trained.ctx));
    CHECK(trained.numbers() == before);
  }
}

TEST(memory_copy_survives_a_checkpoint) {
  Keeper first;
  Trained trained;
  first.copy.take(trained.ctx);
  const StateMap saved = save_state(first);
  trained.spoil();
  Keeper second;
  load_state(second, saved);
  Trained other;  // another process: other tensors
  other.spoil();
  CHECK(second.copy.taken());
  CHECK(second.copy.restore(other.ctx));
  CHECK(other.numbers() == Trained().numbers());
  other.host.params[0] = floats({1, 2, 3});
  CHECK(!second.copy.restore(other.ctx));
}

TEST(memory_copy_that_was_not_taken_survives_a_checkpoint) {
  Keeper first;
  Keeper second;
  Trained trained;
  second.copy.take(trained.ctx);
  load_state(second, save_state(first));
  CHECK(!second.copy.taken());
  CHECK(!second.copy.restore(trained.ctx));
}

TEST(memory_copy_of_buffers_is_of_one_batch) {
  Trained trained;
  BuffersBeforeBatch buffers;
  trained.host.now.samples_seen = 8;
  buffers.take(trained.ctx);
  trained.spoil();
  trained.host.now.samples_seen = 16;
  buffers.restore(trained.ctx);
  CHECK(std::isnan(value(trained.host.buffers[0])));
  trained.host.now.samples_seen = 8;
  buffers.restore(trained.ctx);
  CHECK(value(trained.host.buffers[0]) == 4);
  CHECK(std::isnan(value(trained.host.params[0])));
}
