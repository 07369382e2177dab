#pragma once
// The ways to listen to every batch without Python, each as a callback that does nothing.

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/dispatcher.h"

namespace bench {

/// The least a callback can do; each number is a class of its own.
template <int number = 0>
class NoOp final : public pyhooks::Callback {
 public:
  void on_train_batch_end(pyhooks::BatchContext&) override {}
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

/// A way to listen. `make` returns the i-th no-op; `events` are those it is called at, of which one is timed:
/// on_train_batch_end.
struct Kind {
  std::string name;
  Make make;
  pyhooks::EventMask events = pyhooks::bit(pyhooks::Event::on_train_batch_end);
};

/// All kinds. A new one is a line here and one in bench_dispatch.py's KINDS.
inline std::vector<Kind> kinds() {
  return {
      {"native class", [](int) { return std::make_shared<NoOp<>>(); }},
      {"ten native classes", of_ten_classes},
  };
}

/// A dispatcher with `count` no-ops of a kind.
inline std::shared_ptr<pyhooks::Dispatcher> dispatcher_with(const Kind& kind, int count) {
  auto dispatcher = std::make_shared<pyhooks::Dispatcher>();
  for (int i = 0; i < count; ++i) dispatcher->add(kind.make(i), kind.events, {}, kind.name);
  return dispatcher;
}

}  // namespace bench
