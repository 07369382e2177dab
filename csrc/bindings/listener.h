#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/registry.h"

namespace pyhooks {

/// A callback object together with the events it overrides: what Python hands to a dispatcher.
struct Listener {
  std::shared_ptr<Callback> callback;
  EventMask events;
  bool native;
};

inline Listener native_listener(const ClassInfo& info, const std::map<std::string, OptionValue>& options) {
  return {make_callback(info, options), info.events, true};
}

}  // namespace pyhooks
