// Times 0, 1, 10 and 100 no-op callbacks of each kind, and prints nanoseconds as JSON:
//
//   "native class event 10"       an event to which 10 listen
//   "native class training 10"    a batch of a training in which 10 listen
//   "virtual calls 10"            the least there is: empty methods of 10 objects called in a plain loop
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

double virtual_calls(const bench::Kind& kind, int callbacks) {
  Loop loop(std::make_shared<Dispatcher>());
  BatchContext context(loop);
  std::vector<std::shared_ptr<Callback>> list;
  for (int i = 0; i < callbacks; ++i) list.push_back(kind.make(i));
  const auto call_all = [&] {
    for (const auto& callback : list) callback->on_backward_end(context);
  };
  return bench::ns_a_call(call_all, bench::calls_a_chunk(callbacks));
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<bench::Contestant> contestants;
  for (const int n : {0, 1, 10, 100}) {
    for (const bench::Kind& kind : bench::kinds()) {
      const std::string count = std::to_string(n);
      contestants.push_back({kind.name + " event " + count, [=] { return bench::event_ns(kind, n); }});
      contestants.push_back({kind.name + " training " + count, [=] { return bench::training_ns(kind, n); }});
    }
  }
  contestants.push_back({"virtual calls 10", [] { return virtual_calls(bench::kinds().front(), 10); }});
  bench::run(std::move(contestants), argc > 1 ? std::atoi(argv[1]) : 7);
}
