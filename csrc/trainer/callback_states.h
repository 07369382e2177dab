#pragma once

#include <map>
#include <string>

#include "core/dispatcher.h"
#include "core/state_map.h"
#include "files/checkpoint_file.h"

namespace pyhooks {

/// What native callbacks want kept, as pyhooks/resume.py writes it: a list of keys and states; tensors go to `tensors`.
Json save_states(const Dispatcher& dispatcher, TensorMap& tensors);

/// The states in a checkpoint, by key. Throws std::invalid_argument if one is of a callback that is not registered.
std::map<std::string, StateMap> states_in(const Checkpoint& checkpoint, const Dispatcher& dispatcher);

}  // namespace pyhooks
