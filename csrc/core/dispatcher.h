#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "pyhooks/callback.h"

namespace pyhooks {

/// When a registration is called. The n-th occurrence of an event since `fit` began (n counts from 1) calls it if
/// after < n < before and every divides n; of those, with `seconds` only the first and then those that many seconds after
/// the last call, and with `samples` only those at which that many training rows have come since the last call (or the
/// start). `once` removes it after its first call. Of a callback that listens to batch events too, epoch events always
/// pass; of one that listens to several events, run events do.
struct Filter {
  std::int64_t every = 1;
  bool once = false;
  std::int64_t after = 0;
  std::int64_t before = std::numeric_limits<std::int64_t>::max();
  double seconds = 0;
  std::int64_t samples = 0;

  bool always() const {
    return every == 1 && !once && after == 0 && before == std::numeric_limits<std::int64_t>::max() && seconds == 0 &&
           samples == 0;
  }
  bool passes(std::int64_t n) const { return n > after && n < before && n % every == 0; }
};

/// What happens when a callback throws: the exception ends training; or it is reported and training goes on, with the
/// callback (`warn`) or without it (`disable`).
enum class ErrorPolicy : std::uint8_t { raise, warn, disable };

/// How a callback is registered, besides the filter.
struct Manner {
  std::int64_t priority = 0;  ///< within a phase, higher ones are called first
  ErrorPolicy on_error = ErrorPolicy::raise;
  double budget = 0;     ///< the most it may cost at batch events, as a share of the time; 0: no limit
  std::string key = {};  ///< names its state in checkpoints; "": its label, numbered where several have the same
};

/// Calls of one kind and what they took; `timed` of them were timed.
struct CallTimes {
  std::uint64_t calls = 0;
  std::uint64_t timed = 0;
  double timed_ns = 0;

  double total_ns() const { return timed ? timed_ns / static_cast<double>(timed) * static_cast<double>(calls) : 0.0; }
};

/// What a callback has cost. Of the calls at batch events the first and one in 61 are timed, of the others each.
struct CallbackStats {
  CallTimes batch;
  CallTimes other;  // apart from `batch`: what a slow run event took must not be scaled by the number of batches
  double max_ns = 0;
  std::uint64_t stops = 0;
  std::uint64_t failures = 0;  ///< exceptions that did not end training
  std::uint64_t thinned = 0;   ///< calls left out for the budget

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
  Manner manner;
  bool native = true;
  bool alive = true;
  CallbackStats stats;

  // what filters and budget remember, in this run
  double last_seconds = -1;
  std::int64_t last_samples = 0;
  double spent_ns = 0;
  std::int64_t watched_since_ns = -1;
};

/// Something to tell the user about a callback while training goes on.
struct Notice {
  const Registration& who;
  Event event;
  std::exception_ptr error;  ///< what it threw; null: it is called less often, to keep to its budget
};

/// Calls, for each event, those who override it, in the order of phase, priority and registration.
///
/// Callbacks may add and remove callbacks (themselves too) while an event runs: a removed one is not called any more,
/// an added one is called from the next event on. Used by one thread at a time.
class Dispatcher {
 public:
  /// Registers a callback for the events among these that it wants. Returns the registration's id. Throws std::invalid_argument for a filter's `every` below 1, and for a key that is
  /// taken.
  std::uint64_t add(std::shared_ptr<Callback> callback, EventMask events, const Filter& filter, std::string label,
                    bool native = true, Manner manner = {});
  /// False if there is no such registration (any more).
  bool remove(std::uint64_t id);

  /// For the callback that is being called, if it filters itself: whether its filters let it act now.
  bool may_act(const Context& context);

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
  /// The event that is being fired, or was when an exception came out.
  Event current_event() const { return current_event_; }
  /// Who is told of errors that do not end training, of each callback the 1st, 10th, 100th and so on; and of a callback
  /// that outruns its budget, once a run. May throw, which ends training.
  std::function<void(const Notice&)> on_notice;
  /// Whether an exception ends training whatever the callback's policy says (Ctrl-C).
  std::function<bool(const std::exception_ptr&)> is_fatal;
  /// Event counts and statistics start again, as `fit` does.
  void reset_counts();

 private:
  struct Entry {
    Callback* callback;
    Registration* registration;
    bool filtered;
    bool special;  // not called as a matter of course: filtered, with a policy or a budget, not timed yet, or removed
  };
  struct Nesting {  // keeps the lists still while an event runs
    explicit Nesting(Dispatcher& dispatcher) : dispatcher_(dispatcher) { ++dispatcher_.depth_; }
    ~Nesting() {
      if (--dispatcher_.depth_ == 0 && dispatcher_.stale_) dispatcher_.rebuild();
    }
    Dispatcher& dispatcher_;
  };

  static constexpr std::int64_t kTimedEvery = 61;

  static std::size_t index(Event event) { return static_cast<std::size_t>(event); }
  template <Event event, bool timed>
  void call(Entry& entry, std::int64_t count, ContextOf<info(event).kind>& context);
  template <Event event>
  void call_specially(Entry& entry, std::int64_t count, ContextOf<info(event).kind>& context);
  template <Event event, bool timed>
  static void call_counted(const Entry& entry, ContextOf<info(event).kind>& context);
  template <Event event>
  bool is_timed(std::int64_t count);
  template <Event event>
  static void invoke(Callback& callback, ContextOf<info(event).kind>& context);
  static bool filtered(const Registration& registration, EventKind kind);
  static bool special(const Registration& registration, EventKind kind);
  static bool passes(Registration& registration, std::int64_t count, const Context& context);
  bool within_budget(Registration& registration, Event event);
  void failed(Registration& registration, Event event);
  std::string free_key(const std::string& label) const;
  void changed();
  void rebuild();

  std::array<std::vector<Entry>, kNumEvents> lists_;
  std::array<std::int64_t, kNumEvents> counts_{};
  std::array<std::int64_t, kNumEvents> timed_next_{};  // the count from which on the calls of an event are timed again
  std::vector<std::shared_ptr<Registration>> registrations_;
  std::vector<std::shared_ptr<Registration>> removed_;  // kept until the next run: current() may still name them
  Registration* current_ = nullptr;
  Event current_event_{};
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

template <Event event, bool timed>
inline void Dispatcher::call(Entry& entry, std::int64_t count, ContextOf<info(event).kind>& context) {
  current_ = entry.registration;
  if (entry.special) [[unlikely]]
    call_specially<event>(entry, count, context);
  else
    call_counted<event, timed>(entry, context);
}

// Whether the calls of this event are timed. Decided once for all its listeners: for each it would take half as long as
// the call. 61 has no factor in common with what callbacks do every 2, 10 or 64 batches.
template <Event event>
inline bool Dispatcher::is_timed(std::int64_t count) {
  if constexpr (info(event).kind != EventKind::batch) return true;
  if (count < timed_next_[index(event)]) [[likely]]
    return false;
  timed_next_[index(event)] = count + kTimedEvery;
  return true;
}

template <Event event, bool timed>
inline void Dispatcher::call_counted(const Entry& entry, ContextOf<info(event).kind>& context) {
  CallbackStats& stats = entry.registration->stats;
  constexpr bool batch = info(event).kind == EventKind::batch;
  CallTimes& times = batch ? stats.batch : stats.other;
  ++times.calls;
  if constexpr (!timed) return invoke<event>(*entry.callback, context);
  const auto start = std::chrono::steady_clock::now();
  invoke<event>(*entry.callback, context);
  const double ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
  ++times.timed;
  times.timed_ns += ns;
  if (batch) entry.registration->spent_ns += ns;
  if (ns > stats.max_ns) stats.max_ns = ns;
}

template <Event event>
[[gnu::noinline]] void Dispatcher::call_specially(Entry& entry, std::int64_t count,
                                                  ContextOf<info(event).kind>& context) {
  Registration& registration = *entry.registration;
  if (!registration.alive) return;
  if (entry.filtered && !passes(registration, count, context)) return;
  constexpr EventKind kind = info(event).kind;
  if (kind == EventKind::batch && !within_budget(registration, event)) return;
  if (entry.filtered && registration.filter.once) remove(registration.id);
  const CallTimes& times = registration.stats.batch;
  const bool timed =
      kind != EventKind::batch || registration.manner.budget > 0 || times.timed == 0 || times.calls % kTimedEvery == 0;
  try {
    if (timed)
      call_counted<event, true>(entry, context);
    else
      call_counted<event, false>(entry, context);
    entry.special = special(registration, kind);
  } catch (...) {
    failed(registration, event);
  }
}

template <Event event>
inline void Dispatcher::fire(ContextOf<info(event).kind>& context) {
  const std::int64_t count = ++counts_[index(event)];
  std::vector<Entry>& list = lists_[index(event)];
  if (list.empty()) [[likely]]
    return;
  Registration* outer = current_;
  const Event outer_event = current_event_;
  Nesting nesting(*this);
  current_event_ = event;
  if (is_timed<event>(count)) {
    for (Entry& entry : list) call<event, true>(entry, count, context);
  } else {
#pragma GCC unroll 4  // a tenth of the time of ten calls
    for (Entry& entry : list) call<event, false>(entry, count, context);
  }
  current_ = outer;
  current_event_ = outer_event;
}

template <Event event>
std::vector<std::exception_ptr> Dispatcher::fire_all(ContextOf<info(event).kind>& context) {
  std::vector<std::exception_ptr> errors;
  const std::int64_t count = ++counts_[index(event)];
  Registration* outer = current_;
  const Event outer_event = current_event_;
  Nesting nesting(*this);
  current_event_ = event;
  for (Entry& entry : lists_[index(event)]) {
    try {
      call<event, true>(entry, count, context);
    } catch (...) {
      errors.push_back(std::current_exception());
    }
  }
  current_ = outer;
  current_event_ = outer_event;
  return errors;
}

}  // namespace pyhooks
