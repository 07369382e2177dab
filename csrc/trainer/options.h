#pragma once

#include <memory>

#include "trainer/parts.h"

namespace pyhooks {

/// Checks a user's options and makes the parts of a trainer. Throws std::invalid_argument.
std::unique_ptr<TrainerParts> make_parts(TrainerOptions options);

}  // namespace pyhooks
