#pragma once

#include <string>

#include "triggers/program.h"

namespace pyhooks::triggers {

/// Compiles an expression; the grammar is in docs/triggers.md. Whether its names exist is not asked here.
/// Throws TriggerError where it is none, or is no condition.
Program compile(const std::string& text);

}  // namespace pyhooks::triggers
