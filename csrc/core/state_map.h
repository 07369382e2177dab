#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "pyhooks/callback.h"

namespace pyhooks {

/// The value of a field of a callback's state.
using StateValue = std::variant<double, std::int64_t, bool, std::string, std::vector<double>, at::Tensor>;
/// A callback's state: its fields by name, in the order in which it named them.
using StateMap = std::vector<std::pair<std::string, StateValue>>;

/// What a callback wants kept; empty if it keeps nothing. Tensors are copied.
/// Throws std::invalid_argument where it names two fields the same.
StateMap save_state(Callback& callback);

/// Gives a callback what `save_state` returned. Throws std::invalid_argument naming a field that is missing or of another
/// type.
void load_state(Callback& callback, const StateMap& saved);

}  // namespace pyhooks
