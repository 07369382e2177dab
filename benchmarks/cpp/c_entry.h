#pragma once
// Plain C functions as batch callbacks.

#include <memory>

#include "core/c_callback.h"

namespace bench {

/// The least a C function can do.
inline void c_nothing(pyhooks_batch*, void*) {}

/// A C function that listens to on_train_batch_end.
inline std::shared_ptr<pyhooks::Callback> c_entry(pyhooks_function function = c_nothing) {
  return std::make_shared<pyhooks::CCallback>(
      pyhooks::CEntry{.function = function, .event = pyhooks::Event::on_train_batch_end});
}

}  // namespace bench
