#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "pyhooks/callback.h"

namespace pyhooks {

/// When a registration is called. The n-th occurrence of an event since `fit` began (n counts from 1) calls it if
/// after < n < before and every divides n; `once` removes it after its first call. Run events of a callback that listens
/// to several events always pass.
struct Filter {
  std::int64_t every = 1;
  bool once = false;
  std::int64_t after = 0;
  std::int64_t before = std::numeric_limits<std::int64_t>::max();

  bool always() const {
    return every == 1 && !once && after == 0 && before == std::numeric_limits<std::int64_t>::max();
  }
  bool passes(std::int64_t n) const { return n > after && n < before && n % every == 0; }
};

/// Calls of one kind and what they took; `timed` of them were timed.
struct CallTimes {
  std::uint64_t calls = 0;
  std::uint64_t timed = 0;
  double timed_ns = 0;

  double total_ns() const { return timed ? timed_ns / static_cast<double>(timed) * static_cast<double>(calls) : 0.0; }
};

/// What a callback has cost. Of the calls at batch events every 64th is timed, of the others each.
struct CallbackStats {
  CallTimes batch;
  CallTimes other;  // apart from `batch`: what a slow run event took must not be scaled by the number of batches
  double max_ns = 0;
  std::uint64_t stops = 0;

  std::uint64_t calls() const { return batch.calls + other.calls; }
  double total_ns() const { return batch.total_ns() + other.total_ns(); }
  double mean_ns() const { return calls() ? total_ns() / static_cast<double>(calls()) : 0.0; }
};

/// A callback in the dispatcher.
struct Registration {
  std::uint64_t id = 0;
  std::string label;
  std::shared_ptr<Callback> callback;
  EventMask events = 0;
  Filter filter;
  bool native = true;
  bool alive = true;
  CallbackStats stats;
};

/// Calls, for each event, those who override it, in the order of phase and registration.
///
/// Callbacks may add and remove callbacks (themselves too) while an event runs: a removed one is not called any more,
/// an added one is called from the next event on. Used by one thread at a time.
class Dispatcher {
 public:
  /// Returns the registration's id. Throws std::invalid_argument for a filter's `every` below 1.
  std::uint64_t add(std::shared_ptr<Callback> callback, EventMask events, const Filter& filter, std::string label,
                    bool native = true);
  /// False if there is no such registration (any more).
  bool remove(std::uint64_t id);

  /// Calls the listeners of an event; the first exception goes straight out, `current()` then says whose it was.
  template <Event event>
  void fire(ContextOf<info(event).kind>& context);

  /// Calls all listeners even if some throw; returns the exceptions. For events that must reach everybody.
  template <Event event>
  std::vector<std::exception_ptr> fire_all(ContextOf<info(event).kind>& context);

  /// Whether anybody listens to the event.
  bool listens(Event event) const { return !lists_[index(event)].empty(); }
  /// The live registrations in order of registration.
  std::vector<std::shared_ptr<Registration>> registrations() const;
  /// The listeners of an event in the order they are called.
  std::vector<std::shared_ptr<Registration>> listeners(Event event) const;
  /// Calls `act` with each callback that is held, removed ones too.
  template <class Act>
  void each(Act&& act) const {
    for (const auto* list : {&registrations_, &removed_})
      for (const auto& registration : *list) act(*registration->callback);
  }
  /// Who is being called, or was when an exception came out; null otherwise.
  const Registration* current() const { return current_; }
  Registration* current() { return current_; }
  void forget_current() { current_ = nullptr; }
  /// Event counts and statistics start again, as `fit` does.
  void reset_counts();

 private:
  struct Entry {
    Callback* callback;
    Registration* registration;
    bool filtered;
  };
  struct Nesting {  // keeps the lists still while an event runs
    explicit Nesting(Dispatcher& dispatcher) : dispatcher_(dispatcher) { ++dispatcher_.depth_; }
    ~Nesting() {
      if (--dispatcher_.depth_ == 0 && dispatcher_.stale_) dispatcher_.rebuild();
    }
    Dispatcher& dispatcher_;
  };

  static std::size_t index(Event event) { return static_cast<std::size_t>(event); }
  template <Event event>
  void call(const Entry& entry, std::int64_t count, ContextOf<info(event).kind>& context);
  template <Event event>
  static void invoke(Callback& callback, ContextOf<info(event).kind>& context);
  static bool filtered(const Registration& registration, EventKind kind);
  void changed();
  void rebuild();

  std::array<std::vector<Entry>, kNumEvents> lists_;
  std::array<std::int64_t, kNumEvents> counts_{};
  std::vector<std::shared_ptr<Registration>> registrations_;
  std::vector<std::shared_ptr<Registration>> removed_;  // kept until the next run: current() may still name them
  Registration* current_ = nullptr;
  std::uint64_t next_id_ = 1;
  int depth_ = 0;
  bool stale_ = false;
};

template <Event event>
void Dispatcher::invoke(Callback& callback, ContextOf<info(event).kind>& context) {
#define PYHOOKS_EVENT(name, kind) \
  if constexpr (event == Event::name) callback.name(context);
#include "pyhooks/events.def"
#undef PYHOOKS_EVENT
}

template <Event event>
inline void Dispatcher::call(const Entry& entry, std::int64_t count, ContextOf<info(event).kind>& context) {
  Registration& registration = *entry.registration;
  if (entry.filtered) {
    if (!registration.alive || !registration.filter.passes(count)) return;
    if (registration.filter.once) remove(registration.id);
  }
  current_ = &registration;
  constexpr bool batch = info(event).kind == EventKind::batch;
  constexpr std::uint64_t sample = batch ? 64 : 1;
  CallTimes& times = batch ? registration.stats.batch : registration.stats.other;
  if (times.calls++ % sample != 0) {
    invoke<event>(*entry.callback, context);
  } else {
    const auto start = std::chrono::steady_clock::now();
    invoke<event>(*entry.callback, context);
    const double ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
    ++times.timed;
    times.timed_ns += ns;
    if (ns > registration.stats.max_ns) registration.stats.max_ns = ns;
  }
}

template <Event event>
inline void Dispatcher::fire(ContextOf<info(event).kind>& context) {
  const std::int64_t count = ++counts_[index(event)];
  const std::vector<Entry>& list = lists_[index(event)];
  if (list.empty()) [[likely]]
    return;
  Registration* outer = current_;
  Nesting nesting(*this);
  for (const Entry& entry : list)
    if (!stale_ || entry.registration->alive) call<event>(entry, count, context);
  current_ = outer;
}

template <Event event>
std::vector<std::exception_ptr> Dispatcher::fire_all(ContextOf<info(event).kind>& context) {
  std::vector<std::exception_ptr> errors;
  const std::int64_t count = ++counts_[index(event)];
  Registration* outer = current_;
  Nesting nesting(*this);
  for (const Entry& entry : lists_[index(event)]) {
    try {
      if (entry.registration->alive) call<event>(entry, count, context);
    } catch (...) {
      errors.push_back(std::current_exception());
    }
  }
  current_ = outer;
  return errors;
}

}  // namespace pyhooks
