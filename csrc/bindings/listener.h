#pragma once

#include <memory>

#include "pyhooks/callback.h"

namespace pyhooks {

/// A callback object together with the events it overrides.
struct Listener {
  std::shared_ptr<Callback> callback;
  EventMask events;
  bool native;
};

}  // namespace pyhooks
