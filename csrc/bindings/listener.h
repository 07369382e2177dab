#pragma once

#include <memory>

#include "pyhooks/callback.h"

namespace pyhooks {

/// A callback object together with the events it overrides: what Python hands to a dispatcher.
struct Listener {
  std::shared_ptr<Callback> callback;
  EventMask events;
  bool native;
};

}  // namespace pyhooks
