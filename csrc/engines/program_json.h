#pragma once

#include "engines/program.h"
#include "files/json.h"
#include "files/safetensors.h"

namespace pyhooks {

/// Reads a program as pyhooks/export.py writes it. `tensors`: by name, for the program's constants.
/// Throws std::invalid_argument for what is not one.
Program program_from(const Json& json, const TensorMap& tensors);

}  // namespace pyhooks
