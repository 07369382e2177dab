#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randperm.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "check.h"
#include "data/tensor_source.h"
#include "tensors.h"

using namespace pyhooks;

namespace {

using Longs = std::vector<std::int64_t>;

Longs up_to(std::int64_t n) {
  Longs numbers(static_cast<std::size_t>(n));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

/// n rows of two columns, (i, 10 i), and their numbers as floats.
TensorSource source_of(std::int64_t n, const TensorSource::Config& config) {
  Longs pairs;
  std::vector<float> numbers;
  for (std::int64_t i = 0; i < n; ++i) {
    pairs.insert(pairs.end(), {i, 10 * i});
    numbers.push_back(static_cast<float>(i));
  }
  return TensorSource({tensor(pairs, {n, 2}), floats(numbers)}, config);
}

struct Epoch {
  Longs rows;
  Longs sizes;
};

Epoch read_epoch(TensorSource& source) {
  Epoch epoch;
  source.begin_epoch();
  for (Batch batch; source.next(batch);) {
    const Longs pairs = values<std::int64_t>(batch.tensors[0]);
    const std::vector<float> numbers = values<float>(batch.tensors[1]);
    CHECK(batch.tensors[0].sizes() == at::IntArrayRef({batch.samples, 2}));
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      CHECK(pairs[2 * i + 1] == 10 * pairs[2 * i]);
      CHECK(static_cast<float>(pairs[2 * i]) == numbers[i]);
      epoch.rows.push_back(pairs[2 * i]);
    }
    epoch.sizes.push_back(batch.samples);
  }
  source.end_epoch();
  return epoch;
}

Longs permutation(std::int64_t n, const std::optional<at::Generator>& generator) {
  return values<std::int64_t>(at::randperm(n, generator, at::kLong));
}

void draw_number(const std::optional<at::Generator>& generator) { at::empty({}, at::kLong).random_(generator); }

/// The default generator's state before a test, put back after it.
class Seeded {
 public:
  explicit Seeded(std::uint64_t seed) : before_(generator.get_state()) { generator.set_current_seed(seed); }
  ~Seeded() { generator.set_state(before_); }
  Seeded(const Seeded&) = delete;

  at::Generator generator = at::detail::getDefaultCPUGenerator();

 private:
  at::Tensor before_;
};

}  // namespace

TEST(tensor_source_gives_rows_in_order_with_a_short_last_batch) {
  TensorSource source = source_of(10, {.batch_size = 4});
  CHECK(source.batches() == 3);
  for (int i = 0; i < 2; ++i) {
    const Epoch epoch = read_epoch(source);
    CHECK(epoch.rows == up_to(10));
    CHECK(epoch.sizes == Longs{4, 4, 2});
  }
}

TEST(tensor_source_drops_the_short_last_batch_if_told) {
  TensorSource source = source_of(10, {.batch_size = 4, .drop_last = true});
  CHECK(source.batches() == 2);
  CHECK(read_epoch(source).sizes == Longs{4, 4});
  TensorSource even = source_of(8, {.batch_size = 4, .drop_last = true});
  CHECK(read_epoch(even).rows == up_to(8));
  TensorSource nothing = source_of(3, {.batch_size = 4, .drop_last = true});
  CHECK(nothing.batches() == 0);
  CHECK(read_epoch(nothing).rows.empty());
}

TEST(tensor_source_shuffles_all_rows_once_an_epoch) {
  TensorSource source = source_of(37, {.batch_size = 5, .shuffle = true, .seed = 3});
  const Longs first = read_epoch(source).rows;
  const Longs second = read_epoch(source).rows;
  CHECK(first != second);
  for (Longs rows : {first, second}) {
    std::sort(rows.begin(), rows.end());
    CHECK(rows == up_to(37));
  }
}

TEST(tensor_source_with_a_seed_draws_what_a_dataloader_draws) {
  for (const std::int64_t rows : {10, 12}) {  // with and without a short last batch
    TensorSource source = source_of(rows, {.batch_size = 4, .shuffle = true, .seed = 42});
    at::Generator same = at::detail::createCPUGenerator(42);
    for (int epoch = 0; epoch < 3; ++epoch) {
      draw_number(same);  // DataLoader's base seed
      const Longs wanted = permutation(rows, same);
      CHECK(read_epoch(source).rows == wanted);
      permutation(rows, same);  // the one a sampler read to its end draws for nothing
      CHECK(source.generator_state().equal(same.get_state()));
    }
  }
}

TEST(tensor_source_draws_the_second_permutation_when_the_sampler_would) {
  TensorSource source = source_of(10, {.batch_size = 4, .shuffle = true, .seed = 1});
  source.begin_epoch();
  Batch batch;
  source.next(batch);
  source.next(batch);
  const at::Tensor before = source.generator_state();
  source.next(batch);  // short: the sampler was asked for a row it did not have
  const at::Tensor after = source.generator_state();
  CHECK(!after.equal(before));
  CHECK(!source.next(batch));
  CHECK(!source.next(batch));
  CHECK(source.generator_state().equal(after));
}

TEST(tensor_source_without_a_seed_draws_from_the_default_generator) {
  Seeded seeded(7);
  TensorSource source = source_of(10, {.batch_size = 4, .shuffle = true});
  const Longs first = read_epoch(source).rows;
  const Longs second = read_epoch(source).rows;
  CHECK(!source.generator_state().defined());
  const at::Tensor state = seeded.generator.get_state();

  seeded.generator.set_current_seed(7);
  for (const Longs& rows : {first, second}) {
    draw_number(std::nullopt);
    const auto seed = *at::empty({}, at::kLong).random_().const_data_ptr<std::int64_t>();
    CHECK(rows == permutation(10, at::detail::createCPUGenerator(static_cast<std::uint64_t>(seed))));
  }
  CHECK(seeded.generator.get_state().equal(state));
}

TEST(tensor_source_in_order_draws_the_base_seed_only) {
  Seeded seeded(7);
  TensorSource source = source_of(10, {.batch_size = 4});
  read_epoch(source);
  const at::Tensor state = seeded.generator.get_state();
  seeded.generator.set_current_seed(7);
  draw_number(std::nullopt);
  CHECK(seeded.generator.get_state().equal(state));
}

TEST(tensor_source_that_is_quiet_draws_nothing_and_does_not_shuffle) {
  Seeded seeded(7);
  const at::Tensor before = seeded.generator.get_state();
  TensorSource source = source_of(10, {.batch_size = 4, .shuffle = true, .quiet = true});
  CHECK(read_epoch(source).rows == up_to(10));
  CHECK(seeded.generator.get_state().equal(before));
}

TEST(tensor_source_goes_on_from_a_saved_generator_state) {
  TensorSource source = source_of(10, {.batch_size = 4, .shuffle = true, .seed = 5});
  read_epoch(source);
  const at::Tensor state = source.generator_state();
  const Longs wanted = read_epoch(source).rows;
  TensorSource other = source_of(10, {.batch_size = 4, .shuffle = true, .seed = 99});
  other.set_generator_state(state);
  CHECK(read_epoch(other).rows == wanted);
  TensorSource without = source_of(10, {});
  CHECK_THROWS(without.set_generator_state(state), std::invalid_argument);
}

TEST(tensor_source_copies_rows_so_that_batches_are_independent) {
  at::Tensor rows = floats({0, 1, 2, 3});
  TensorSource source({rows}, {.batch_size = 2});
  source.begin_epoch();
  Batch first;
  source.next(first);
  first.tensors[0].fill_(9);
  CHECK(values<float>(rows) == std::vector<float>{0, 1, 2, 3});
}

TEST(tensor_source_takes_strided_and_empty_rows) {
  const at::Tensor columns = floats({0, 1, 2, 3, 4, 5}, {2, 3}).t();  // rows (0,3) (1,4) (2,5)
  TensorSource source({columns, at::empty({3, 0})}, {.batch_size = 2});
  CHECK(source.batch_bytes() == 16);
  source.begin_epoch();
  Batch batch;
  source.next(batch);
  CHECK(values<float>(batch.tensors[0]) == std::vector<float>{0, 3, 1, 4});
  CHECK(batch.tensors[1].sizes() == at::IntArrayRef({2, 0}));
}

TEST(tensor_source_refuses_what_has_no_rows) {
  CHECK_THROWS(TensorSource({}, {}), std::invalid_argument);
  CHECK_THROWS(TensorSource({at::empty({})}, {}), std::invalid_argument);
  CHECK_THROWS(TensorSource({at::empty({0, 2})}, {}), std::invalid_argument);
  CHECK_THROWS(TensorSource({at::empty({3}), at::empty({4})}, {}), std::invalid_argument);
  CHECK_THROWS(TensorSource({at::empty({3})}, {.batch_size = 0}), std::invalid_argument);
}
