#pragma once
// The ways to listen to every batch without Python, each as a callback that does nothing.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bare_loop.h"
#include "core/c_callback.h"
#include "core/dispatcher.h"
#include "core/registry.h"
#include "timing.h"

namespace bench {

/// The event that is timed: the first at which loss and gradients are there, and where triggers are evaluated.
inline constexpr pyhooks::Event kTimed = pyhooks::Event::on_backward_end;

/// The least a callback can do; each number is a class of its own.
template <int number = 0>
class NoOp final : public pyhooks::Callback {
 public:
  void on_backward_end(pyhooks::BatchContext&) override {}
};

using Make = std::function<std::shared_ptr<pyhooks::Callback>(int i)>;

/// The i-th of ten classes, over and over.
inline std::shared_ptr<pyhooks::Callback> of_ten_classes(int i) {
  constexpr int classes = 10;
  static const auto make = []<int... numbers>(std::integer_sequence<int, numbers...>) {
    return std::array<Make, classes>{[](int) { return std::make_shared<NoOp<numbers>>(); }...};
  }(std::make_integer_sequence<int, classes>());
  return make[static_cast<std::size_t>(i % classes)](i);
}

inline void c_no_op(pyhooks_batch*, void*) {}

inline std::shared_ptr<pyhooks::Callback> of_c_function(pyhooks_function function) {
  return std::make_shared<pyhooks::CCallback>(pyhooks::CEntry{.function = function, .event = kTimed});
}

/// Three terms, all of which are evaluated, and none of which ever holds: the bare loop's loss is 0.
inline std::shared_ptr<pyhooks::Callback> trigger_of_three_terms() {
  const std::string when = "loss > 3 * ema(loss, 100) or step < 0 or not isfinite(loss)";
  return pyhooks::make_callback("trigger", {{"when", when}, {"do", std::string("stop")}});
}

/// A way to listen. `make` returns the i-th no-op.
struct Kind {
  std::string name;
  Make make;
};

/// All kinds but numba's functions, which Python compiles (python_calls.py). A new one is a line here and one in
/// bench_dispatch.py's KINDS.
inline std::vector<Kind> kinds() {
  return {
      {"native class", [](int) { return std::make_shared<NoOp<>>(); }},
      {"ten native classes", of_ten_classes},
      {"C entry", [](int) { return of_c_function(c_no_op); }},
      {"trigger", [](int) { return trigger_of_three_terms(); }},
  };
}

/// A dispatcher with `count` no-ops of a kind.
inline std::shared_ptr<pyhooks::Dispatcher> dispatcher_with(const Kind& kind, int count) {
  auto dispatcher = std::make_shared<pyhooks::Dispatcher>();
  for (int i = 0; i < count; ++i) dispatcher->add(kind.make(i), pyhooks::bit(kTimed), {}, kind.name);
  return dispatcher;
}

/// Fires the timed event of another dispatcher over and over, in the second batch of a training.
class Prober final : public pyhooks::Callback {
 public:
  Prober(std::shared_ptr<pyhooks::Dispatcher> probed, int calls) : probed_(std::move(probed)), calls_(calls) {}

  double ns = 0;  ///< an event

  void on_backward_end(pyhooks::BatchContext& ctx) override {
    if (ctx.batch() == 1) ns = ns_a_call([&] { probed_->fire<kTimed>(ctx); }, calls_);
  }

 private:
  std::shared_ptr<pyhooks::Dispatcher> probed_;
  int calls_;
};

inline int calls_a_chunk(int callbacks) { return 20'000 / (callbacks + 1); }

/// Nanoseconds an event to which `callbacks` of a kind listen.
inline double event_ns(const Kind& kind, int callbacks) {
  auto prober = std::make_shared<Prober>(dispatcher_with(kind, callbacks), calls_a_chunk(callbacks));
  auto dispatcher = std::make_shared<pyhooks::Dispatcher>();
  dispatcher->add(prober, pyhooks::overridden_events<Prober>(), {}, "prober");
  train(dispatcher, 2, [] {});
  return prober->ns;
}

/// Nanoseconds a batch of a training in which `callbacks` of a kind listen.
inline double training_ns(const Kind& kind, int callbacks) {
  return ns_a_batch(dispatcher_with(kind, callbacks), 10'000);
}

}  // namespace bench
