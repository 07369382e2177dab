// Times the dispatcher and prints nanoseconds as JSON: {"nobody": [one number a round, ...], ...}.
//
//   pyhooks_bench_dispatch [rounds]        rounds of all figures take turns, so that a busy machine slows all of them
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/dispatcher.h"
#include "core/loop.h"
#include "timing.h"

namespace {

using namespace pyhooks;

constexpr int kEventsAChunk = 20'000;

/// The least a callback can do.
class Count final : public Callback {
 public:
  void on_train_batch_end(BatchContext&) override { ++count_; }

 private:
  std::int64_t count_ = 0;
};

/// Looks at what most callbacks look at.
class Look final : public Callback {
 public:
  void on_train_batch_end(BatchContext& ctx) override { sum_ += ctx.batch() + ctx.epoch(); }

 private:
  std::int64_t sum_ = 0;
};

/// An event with `callbacks` listeners of one class; where there are several, an event and callback.
template <class T>
bench::Contestant event(std::string name, int callbacks, const Filter& filter = {}) {
  auto dispatcher = std::make_shared<Dispatcher>();
  auto loop = std::make_shared<Loop>(dispatcher);
  for (int i = 0; i < callbacks; ++i) dispatcher->add(std::make_shared<T>(), overridden_events<T>(), filter, "bench");
  const auto measure = [=] {
    BatchContext context(*loop);
    const auto fire = [&] { dispatcher->fire<Event::on_train_batch_end>(context); };
    return bench::ns_a_call(fire, kEventsAChunk) / (callbacks > 1 ? callbacks : 1);
  };
  return {std::move(name), measure};
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<bench::Contestant> contestants;
  contestants.push_back(event<Count>("nobody", 0));
  contestants.push_back(event<Count>("one", 1));
  contestants.push_back(event<Look>("looking", 1));
  contestants.push_back(event<Count>("filtered", 1, {.every = 10}));
  contestants.push_back(event<Count>("eight", 8));
  bench::run(std::move(contestants), argc > 1 ? std::atoi(argv[1]) : 7);
}
