#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "check.h"
#include "data/prefetch.h"

using namespace pyhooks;

namespace {

/// Batches without tensors, numbered by their samples; counts how far it has been read.
class Numbers final : public BatchSource {
 public:
  explicit Numbers(int count, int throw_at = -1) : count_(count), throw_at_(throw_at) {}

  std::int64_t batches() const override { return count_; }
  void begin_epoch() override { given = 0; }
  bool next(Batch& batch) override {
    threads_seen += std::this_thread::get_id() != home_ ? 1 : 0;
    const int number = given++;
    if (number == throw_at_) throw std::runtime_error("batch " + std::to_string(number));
    if (number >= count_) return false;
    batch.samples = number;
    return true;
  }
  void end_epoch() override { ++ended; }

  std::atomic<int> given{0};
  std::atomic<int> ended{0};
  std::atomic<int> threads_seen{0};  // reads from another thread than the one that made this

 private:
  int count_;
  int throw_at_;
  std::thread::id home_ = std::this_thread::get_id();
};

bool always() { return true; }
bool never() { return false; }

std::vector<std::int64_t> read_all(BatchSource& source) {
  std::vector<std::int64_t> numbers;
  Batch batch;
  while (source.next(batch)) numbers.push_back(batch.samples);
  return numbers;
}

/// Waits until the condition holds, two seconds at most.
template <class Condition>
bool soon(Condition&& condition) {
  for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return condition();
}

const std::vector<std::int64_t> kFive{0, 1, 2, 3, 4};

}  // namespace

TEST(prefetch_keeps_the_order_epoch_after_epoch) {
  auto numbers = std::make_shared<Numbers>(5);
  Prefetch prefetch(numbers, always);
  CHECK(prefetch.batches() == 5);
  for (int epoch = 0; epoch < 3; ++epoch) {
    prefetch.begin_epoch();
    CHECK(read_all(prefetch) == kFive);
    Batch batch;
    CHECK(!prefetch.next(batch));  // and stays at the end
    prefetch.end_epoch();
  }
  CHECK(numbers->ended == 3);
  CHECK(numbers->threads_seen > 0);
}

TEST(prefetch_reads_ahead_no_further_than_its_depth) {
  auto numbers = std::make_shared<Numbers>(100);
  Prefetch prefetch(numbers, always, 3);
  prefetch.begin_epoch();
  Batch batch;
  prefetch.next(batch);
  CHECK(numbers->given == 1);  // the first in the caller's thread
  CHECK(numbers->threads_seen == 0);
  prefetch.next(batch);
  CHECK(soon([&] { return numbers->given >= 5; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(numbers->given == 5);  // two taken, three ready
}

TEST(prefetch_never_runs_ahead_when_not_allowed) {
  auto numbers = std::make_shared<Numbers>(5);
  Prefetch prefetch(numbers, never);
  prefetch.begin_epoch();
  Batch batch;
  for (int i = 1; i <= 5; ++i) {
    CHECK(prefetch.next(batch));
    CHECK(numbers->given == i);
  }
  CHECK(!prefetch.next(batch));
  CHECK(numbers->threads_seen == 0);
}

TEST(prefetch_starts_once_it_is_allowed) {
  auto numbers = std::make_shared<Numbers>(5);
  bool allowed = false;
  Prefetch prefetch(numbers, [&] { return allowed; });
  prefetch.begin_epoch();
  Batch batch;
  prefetch.next(batch);
  prefetch.next(batch);
  CHECK(numbers->threads_seen == 0);
  allowed = true;
  CHECK(read_all(prefetch) == std::vector<std::int64_t>{2, 3, 4});
  CHECK(numbers->threads_seen > 0);
}

TEST(prefetch_hands_on_an_exception_once_after_the_batches_before_it) {
  auto numbers = std::make_shared<Numbers>(5, 3);
  Prefetch prefetch(numbers, always);
  prefetch.begin_epoch();
  Batch batch;
  for (int i = 0; i < 3; ++i) {
    CHECK(prefetch.next(batch));
    CHECK(batch.samples == i);
  }
  CHECK_THROWS(prefetch.next(batch), std::runtime_error);
  CHECK(!prefetch.next(batch));
  prefetch.end_epoch();
  CHECK(numbers->ended == 1);
}

TEST(prefetch_forgets_an_exception_that_nobody_fetched) {
  auto numbers = std::make_shared<Numbers>(5, 2);
  Prefetch prefetch(numbers, always);
  prefetch.begin_epoch();
  Batch batch;
  prefetch.next(batch);
  prefetch.next(batch);
  CHECK(soon([&] { return numbers->given == 3; }));
  prefetch.end_epoch();
  prefetch.begin_epoch();
  CHECK(prefetch.next(batch));
  CHECK(batch.samples == 0);
}

TEST(prefetch_can_end_in_mid_epoch_and_begin_anew) {
  auto numbers = std::make_shared<Numbers>(100);
  Prefetch prefetch(numbers, always);
  Batch batch;
  for (int epoch = 0; epoch < 20; ++epoch) {
    prefetch.begin_epoch();
    for (int i = 0; i <= epoch % 4; ++i) {
      CHECK(prefetch.next(batch));
      CHECK(batch.samples == i);
    }
    prefetch.end_epoch();
    CHECK(numbers->ended == epoch + 1);
  }
}

TEST(prefetch_can_be_destroyed_while_it_reads) {
  auto numbers = std::make_shared<Numbers>(100);
  {
    Prefetch prefetch(numbers, always);
    prefetch.begin_epoch();
    Batch batch;
    prefetch.next(batch);
    prefetch.next(batch);
  }
  CHECK(numbers.use_count() == 1);
}
