#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "pyhooks/callback.h"

namespace pyhooks {

/// The phases' names, in the order of the enumeration.
inline constexpr const char* phase_names[] = {"vote", "mutate", "save", "observe"};

/// The phase of that name; ValueError naming them all if there is none.
inline Phase phase_from(const std::string& name) {
  for (std::size_t i = 0; i < std::size(phase_names); ++i)
    if (name == phase_names[i]) return static_cast<Phase>(i);
  throw pybind11::value_error("phase is '" + name + "'; it must be one of vote, mutate, save, observe");
}

}  // namespace pyhooks
