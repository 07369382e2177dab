#include "core/dispatcher.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <stdexcept>
#include <tuple>
#include <utility>

namespace pyhooks {

namespace {

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

bool is_power_of_ten(std::uint64_t n) {
  while (n % 10 == 0) n /= 10;
  return n == 1;
}

}  // namespace

std::uint64_t Dispatcher::add(std::shared_ptr<Callback> callback, EventMask events, const Filter& filter,
                              std::string label, bool native, Manner manner) {
  if (filter.every < 1)
    throw std::invalid_argument("every is " + std::to_string(filter.every) + "; it must be at least 1");
  if (manner.key.empty())
    manner.key = free_key(label);
  else if (manner.key != free_key(manner.key))
    throw std::invalid_argument("there is a callback '" + manner.key + "' already; give this one another id");
  auto registration = std::make_shared<Registration>();
  registration->manner = std::move(manner);
  registration->id = next_id_++;
  registration->label = std::move(label);
  registration->callback = std::move(callback);
  registration->events = registration->callback->wants(events);
  registration->filter = filter;
  registration->native = native;
  registrations_.push_back(registration);
  changed();
  return registration->id;
}

bool Dispatcher::remove(std::uint64_t id) {
  for (auto& registration : registrations_) {
    if (registration->id != id || !registration->alive) continue;
    registration->alive = false;
    for (auto& list : lists_)
      for (Entry& entry : list) entry.special |= entry.registration == registration.get();
    changed();
    return true;
  }
  return false;
}

bool Dispatcher::may_act(const Context& context) {
  if (!current_ || !current_->callback->filters_itself() || current_->filter.always()) return true;
  if (!passes(*current_, counts_[index(current_event_)], context)) return false;
  if (current_->filter.once) remove(current_->id);
  return true;
}

// The label, or "label#2" and so on where it is taken.
std::string Dispatcher::free_key(const std::string& label) const {
  std::string key = label;
  const auto taken = [&] {
    return std::any_of(registrations_.begin(), registrations_.end(),
                       [&](const auto& other) { return other->alive && other->manner.key == key; });
  };
  for (int number = 2; taken(); ++number) key = label + "#" + std::to_string(number);
  return key;
}

bool Dispatcher::passes(Registration& registration, std::int64_t count, const Context& context) {
  const Filter& filter = registration.filter;
  if (!filter.passes(count)) return false;
  const double seconds = filter.seconds > 0 ? context.seconds() : 0;
  if (filter.seconds > 0 && registration.last_seconds >= 0 && seconds - registration.last_seconds < filter.seconds)
    return false;
  if (filter.samples > 0 && context.samples_seen() - registration.last_samples < filter.samples) return false;
  registration.last_seconds = seconds;
  registration.last_samples = context.samples_seen();
  return true;
}

// A callback that has spent more than its share of the time since its first call waits until it has not.
bool Dispatcher::within_budget(Registration& registration, Event event) {
  if (registration.manner.budget <= 0) return true;
  const std::int64_t now = now_ns();
  if (registration.watched_since_ns < 0) registration.watched_since_ns = now;
  const auto elapsed = static_cast<double>(now - registration.watched_since_ns);
  if (registration.spent_ns <= registration.manner.budget * elapsed) return true;
  if (registration.stats.thinned++ == 0 && on_notice) on_notice({registration, event, nullptr});
  return false;
}

// In a handler: reports what was thrown, or throws it on.
void Dispatcher::failed(Registration& registration, Event event) {
  const std::exception_ptr error = std::current_exception();
  if (registration.manner.on_error == ErrorPolicy::raise || (is_fatal && is_fatal(error)))
    std::rethrow_exception(error);
  ++registration.stats.failures;
  if (registration.manner.on_error == ErrorPolicy::disable) remove(registration.id);
  if (on_notice && is_power_of_ten(registration.stats.failures)) on_notice({registration, event, error});
}

void Dispatcher::changed() {
  stale_ = true;
  if (depth_ == 0) rebuild();
}

// For a callback of batch events those of epochs, and for each of several events those of runs, are its set-up, its
// sums and its end, which no filter skips.
bool Dispatcher::filtered(const Registration& registration, EventKind kind) {
  if (registration.filter.always() || registration.callback->filters_itself()) return false;
  if (kind == EventKind::epoch) return (registration.events & events_of(EventKind::batch)) == 0;
  return kind == EventKind::batch || std::has_single_bit(registration.events);
}

// Whether more has to be looked at than that it is there, each time before it is called. A callback that was not timed
// yet is, at its first call.
bool Dispatcher::special(const Registration& registration, EventKind kind) {
  if (!registration.alive || filtered(registration, kind) || registration.manner.on_error != ErrorPolicy::raise)
    return true;
  return kind == EventKind::batch && (registration.manner.budget > 0 || registration.stats.batch.timed == 0);
}

void Dispatcher::rebuild() {
  stale_ = false;
  auto dead =
      std::stable_partition(registrations_.begin(), registrations_.end(), [](const auto& r) { return r->alive; });
  std::move(dead, registrations_.end(), std::back_inserter(removed_));
  registrations_.erase(dead, registrations_.end());
  for (std::size_t e = 0; e < kNumEvents; ++e) {
    std::vector<Entry>& list = lists_[e];
    list.clear();
    const EventKind kind = kEvents[e].kind;
    for (const auto& r : registrations_)
      if (r->events & bit(static_cast<Event>(e)))
        list.push_back({r->callback.get(), r.get(), filtered(*r, kind), special(*r, kind)});
    const auto place = [](const Entry& entry) {
      return std::make_tuple(entry.callback->phase(), -entry.registration->manner.priority,
                             !entry.callback->reads().empty());
    };
    std::stable_sort(list.begin(), list.end(), [&](const Entry& a, const Entry& b) { return place(a) < place(b); });
  }
}

std::vector<std::shared_ptr<Registration>> Dispatcher::registrations() const {
  std::vector<std::shared_ptr<Registration>> alive;
  for (const auto& registration : registrations_)
    if (registration->alive) alive.push_back(registration);
  return alive;
}

std::vector<std::shared_ptr<Registration>> Dispatcher::listeners(Event event) const {
  std::vector<std::shared_ptr<Registration>> result;
  for (const Entry& entry : lists_[index(event)])
    for (const auto& registration : registrations_)
      if (registration.get() == entry.registration && registration->alive) result.push_back(registration);
  return result;
}

void Dispatcher::reset_counts() {
  counts_.fill(0);
  timed_next_.fill(0);
  removed_.clear();
  current_ = nullptr;
  for (auto& registration : registrations_) {
    registration->stats = {};
    registration->last_seconds = -1;
    registration->last_samples = 0;
    registration->spent_ns = 0;
    registration->watched_since_ns = -1;
  }
  changed();
}

}  // namespace pyhooks
