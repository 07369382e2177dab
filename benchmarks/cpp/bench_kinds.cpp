// Times 0, 1, 10 and 100 no-op callbacks of each kind, and prints nanoseconds as JSON:
//
//   "native class event 10"       an event to which 10 listen
//   "native class training 10"    a batch of a training in which 10 listen
//   "native class virtual 10"     the least there is: the 10 methods called in a plain loop
//
//   pyhooks_bench_kinds [rounds]        rounds of all take turns, so that a busy machine slows all of them
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "bare_loop.h"
#include "kinds.h"
#include "timing.h"

namespace {

using namespace pyhooks;

constexpr int kBatches = 10'000;

int calls_a_chunk(int callbacks) { return 20'000 / (callbacks + 1); }

double event(const bench::Kind& kind, int callbacks) {
  auto dispatcher = bench::dispatcher_with(kind, callbacks);
  Loop loop(dispatcher);
  BatchContext context(loop);
  return bench::ns_a_call([&] { dispatcher->fire<Event::on_train_batch_end>(context); }, calls_a_chunk(callbacks));
}

double training(const bench::Kind& kind, int callbacks) {
  return bench::ns_a_batch(bench::dispatcher_with(kind, callbacks), kBatches);
}

double virtual_calls(const bench::Kind& kind, int callbacks) {
  Loop loop(std::make_shared<Dispatcher>());
  BatchContext context(loop);
  std::vector<std::shared_ptr<Callback>> list;
  for (int i = 0; i < callbacks; ++i) list.push_back(kind.make(i));
  const auto call_all = [&] {
    for (const auto& callback : list) callback->on_train_batch_end(context);
  };
  return bench::ns_a_call(call_all, calls_a_chunk(callbacks));
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<bench::Contestant> contestants;
  for (const int n : {0, 1, 10, 100}) {
    for (const bench::Kind& kind : bench::kinds()) {
      const std::string count = std::to_string(n);
      contestants.push_back({kind.name + " event " + count, [=] { return event(kind, n); }});
      contestants.push_back({kind.name + " training " + count, [=] { return training(kind, n); }});
      contestants.push_back({kind.name + " virtual " + count, [=] { return virtual_calls(kind, n); }});
    }
  }
  bench::run(std::move(contestants), argc > 1 ? std::atoi(argv[1]) : 7);
}
