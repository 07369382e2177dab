#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>

#include "pyhooks/options.h"

/// What options of callbacks must be. Each throws std::invalid_argument saying who was given what, and what is wanted.
///
///     explicit Every(const Options& options) : n_(checked::at_least(1, options, "Every", "n")) {}
namespace pyhooks::checked {

/// A number above 0.
inline double positive(const Options& options, const std::string& who, const std::string& name) {
  const double value = options.get<double>(name);
  if (!(value > 0))
    throw std::invalid_argument(who + ": " + name + " is " + std::to_string(value) + "; it must be above 0");
  return value;
}

/// A number above 0, or nothing where the option is not set.
inline std::optional<double> positive_or_none(const Options& options, const std::string& who, const std::string& name) {
  return options.has(name) ? std::optional(positive(options, who, name)) : std::nullopt;
}

/// An integer that is not below `least`.
inline std::int64_t at_least(std::int64_t least, const Options& options, const std::string& who,
                             const std::string& name) {
  const auto value = options.get<std::int64_t>(name);
  if (value < least)
    throw std::invalid_argument(who + ": " + name + " is " + std::to_string(value) + "; it must be at least " +
                                std::to_string(least));
  return value;
}

/// How much of an average each batch keeps: a number in [0, 1).
inline double decay(const Options& options, const std::string& who, const std::string& name) {
  const double value = options.get<double>(name);
  if (!(value >= 0 && value < 1))
    throw std::invalid_argument(who + ": " + name + " is " + std::to_string(value) + "; it must be in [0, 1)");
  return value;
}

/// The position of a word among those it may be: cast it to an enum of the same order.
inline std::size_t choice(const Options& options, const std::string& who, const std::string& name,
                          std::initializer_list<const char*> words) {
  const auto value = options.get<std::string>(name);
  std::string known;
  std::size_t position = 0;
  for (const char* word : words) {
    if (value == word) return position;
    known += (position++ ? ", '" : "'") + std::string(word) + "'";
  }
  throw std::invalid_argument(who + ": " + name + " is '" + value + "'; it must be one of " + known);
}

}  // namespace pyhooks::checked
