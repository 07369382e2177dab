#include <atomic>
#include <thread>

#include "check.h"
#include "core/snapshot.h"

using namespace pyhooks;

namespace {

// All fields from one number: a torn read shows.
Peek peek_of(std::int64_t n) { return {n, n + 1, n + 2, n + 3, n + 4, static_cast<double>(n), n * 2.0, n + 5}; }

bool whole(const Peek& peek) {
  const std::int64_t n = peek.epoch;
  return peek.epochs == n + 1 && peek.batch == n + 2 && peek.batches == n + 3 && peek.global_step == n + 4 &&
         peek.loss == static_cast<double>(n) && peek.seconds == n * 2.0 && peek.training == n + 5;
}

}  // namespace

TEST(snapshot_starts_with_zeros_and_gives_back_what_was_stored) {
  Seqlock<Peek> lock;
  CHECK(lock.load().epoch == 0);
  CHECK(lock.load().loss == 0);
  lock.store(peek_of(7));
  CHECK(lock.load().epoch == 7);
  CHECK(whole(lock.load()));
}

TEST(snapshot_is_never_torn_while_another_thread_writes) {
  Seqlock<Peek> lock;
  lock.store(peek_of(0));
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (std::int64_t n = 1; n <= 200'000; ++n) lock.store(peek_of(n));
    done = true;
  });
  bool all_whole = true;
  bool in_order = true;
  std::int64_t last = 0;
  while (!done) {
    const Peek peek = lock.load();
    all_whole &= whole(peek);
    in_order &= peek.epoch >= last;
    last = peek.epoch;
  }
  writer.join();
  CHECK(all_whole);
  CHECK(in_order);
  CHECK(lock.load().epoch == 200'000);
}
