#include "core/dispatcher.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace pyhooks {

std::uint64_t Dispatcher::add(std::shared_ptr<Callback> callback, EventMask events, const Filter& filter,
                              std::string label, bool native) {
  if (filter.every < 1)
    throw std::invalid_argument("every is " + std::to_string(filter.every) + "; it must be at least 1");
  auto registration = std::make_shared<Registration>();
  registration->id = next_id_++;
  registration->label = std::move(label);
  registration->callback = std::move(callback);
  registration->events = events;
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
    changed();
    return true;
  }
  return false;
}

void Dispatcher::changed() {
  stale_ = true;
  if (depth_ == 0) rebuild();
}

// Run events come once: for a callback of several events they are its set-up and its end, which no filter skips.
bool Dispatcher::filtered(const Registration& registration, EventKind kind) {
  if (registration.filter.always()) return false;
  return kind != EventKind::run || std::has_single_bit(registration.events);
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
    for (const auto& registration : registrations_)
      if (registration->events & bit(static_cast<Event>(e)))
        list.push_back({registration->callback.get(), registration.get(), filtered(*registration, kEvents[e].kind)});
    std::stable_sort(list.begin(), list.end(),
                     [](const Entry& a, const Entry& b) { return a.callback->phase() < b.callback->phase(); });
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
  removed_.clear();
  current_ = nullptr;
  for (auto& registration : registrations_) registration->stats = {};
}

}  // namespace pyhooks
