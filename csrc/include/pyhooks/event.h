#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace pyhooks {

/// A named moment of training. The names are Ultralytics'; events.def is the list.
enum class Event : std::uint8_t {
#define PYHOOKS_EVENT(name, kind) name,
#include "pyhooks/events.def"
#undef PYHOOKS_EVENT
};

/// Who may listen to an event: native code only (`batch`), or Python too (`epoch`, `run`).
enum class EventKind : std::uint8_t { run, epoch, batch };

struct EventInfo {
  std::string_view name;
  EventKind kind;
};

/// All events, indexed by `Event`, in the order of events.def.
inline constexpr auto kEvents = std::to_array<EventInfo>({
#define PYHOOKS_EVENT(name, kind) {#name, EventKind::kind},
#include "pyhooks/events.def"
#undef PYHOOKS_EVENT
});

inline constexpr std::size_t kNumEvents = kEvents.size();

constexpr const EventInfo& info(Event event) { return kEvents[static_cast<std::size_t>(event)]; }

/// The event of that name, or nothing.
constexpr std::optional<Event> find_event(std::string_view name) {
  for (std::size_t i = 0; i < kNumEvents; ++i)
    if (kEvents[i].name == name) return static_cast<Event>(i);
  return std::nullopt;
}

/// A set of events, one bit each.
using EventMask = std::uint64_t;
static_assert(kNumEvents <= 64);

constexpr EventMask bit(Event event) { return EventMask{1} << static_cast<unsigned>(event); }

/// All events of a kind.
constexpr EventMask events_of(EventKind kind) {
  EventMask mask = 0;
  for (std::size_t i = 0; i < kNumEvents; ++i)
    if (kEvents[i].kind == kind) mask |= EventMask{1} << i;
  return mask;
}

}  // namespace pyhooks
