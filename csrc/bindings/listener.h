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

/// A tensor hook together with the events it overrides.
struct MadeHook {
  std::shared_ptr<TensorHook> hook;
  EventMask events;
};

inline MadeHook native_hook(const ClassInfo& info, const std::map<std::string, OptionValue>& options) {
  return {make_tensor_hook(info, options), info.events};
}

}  // namespace pyhooks
