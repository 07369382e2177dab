#pragma once

#include <pybind11/pybind11.h>

#include "engines/program.h"

namespace pyhooks {

/// Reads a pyhooks.capture.Program.
Program to_program(pybind11::handle object);

}  // namespace pyhooks
