// Times the dispatcher and prints nanoseconds as JSON: {"nobody": [one number a round, ...], ...}.
//
//   pyhooks_bench [rounds]        rounds of all figures take turns, so that a busy machine slows all of them
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/dispatcher.h"
#include "core/loop.h"

namespace {

using namespace pyhooks;

constexpr std::int64_t kEvents = 5'000'000;

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

/// A dispatcher with `callbacks` listeners of one class, and a loop for their context.
struct Bench {
  template <class T>
  static Bench of(const char* name, int callbacks, const Filter& filter = {}) {
    Bench bench{name, callbacks, std::make_shared<Dispatcher>(), nullptr, {}};
    bench.loop = std::make_unique<Loop>(bench.dispatcher);
    for (int i = 0; i < callbacks; ++i)
      bench.dispatcher->add(std::make_shared<T>(), overridden_events<T>(), filter, "bench");
    return bench;
  }

  /// Nanoseconds an event; where there are several callbacks, an event and callback.
  double run() {
    BatchContext context(*loop);
    const auto start = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < kEvents; ++i) {
      dispatcher->fire<Event::on_train_batch_end>(context);
      asm volatile("" ::: "memory");  // every event is fired, none is merged with the next
    }
    const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
    return elapsed.count() / static_cast<double>(kEvents) / (callbacks > 1 ? callbacks : 1);
  }

  const char* name;
  int callbacks;
  std::shared_ptr<Dispatcher> dispatcher;
  std::unique_ptr<Loop> loop;
  std::vector<double> rounds;
};

void print(const std::vector<Bench>& benches) {
  const char* between = "{";
  for (const Bench& bench : benches) {
    std::printf("%s\"%s\": [", between, bench.name);
    for (std::size_t i = 0; i < bench.rounds.size(); ++i) std::printf("%s%.4f", i ? ", " : "", bench.rounds[i]);
    std::printf("]");
    between = ", ";
  }
  std::printf("}\n");
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
  std::vector<Bench> benches;
  benches.push_back(Bench::of<Count>("nobody", 0));
  benches.push_back(Bench::of<Count>("one", 1));
  benches.push_back(Bench::of<Look>("looking", 1));
  benches.push_back(Bench::of<Count>("filtered", 1, {.every = 10}));
  benches.push_back(Bench::of<Count>("eight", 8));
  for (Bench& bench : benches) bench.run();  // warm up
  for (int round = 0; round < rounds; ++round)
    for (Bench& bench : benches) bench.rounds.push_back(bench.run());
  print(benches);
}
