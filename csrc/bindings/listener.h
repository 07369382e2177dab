#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "core/registry.h"

namespace pyhooks {

/// A callback object together with the events it overrides: what Python hands to a dispatcher.
struct Listener {
  std::shared_ptr<Callback> callback;
  EventMask events;
  bool native;
};

inline Listener native_listener(const ClassInfo& info, const std::map<std::string, OptionValue>& options) {
  std::shared_ptr<Callback> callback = make_callback(info, options);
  const EventMask events = callback->wants(info.events);
  return {std::move(callback), events, true};
}

}  // namespace pyhooks
