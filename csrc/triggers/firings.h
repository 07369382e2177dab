#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pyhooks::triggers {

/// A trigger's expression held, and it was allowed to act.
struct Firing {
  std::int64_t epoch = 0;
  std::int64_t batch = 0;
  std::int64_t step = 0;       ///< optimizer steps made before this batch's
  std::vector<double> values;  ///< in the order of `Firings::names`
};

/// What a trigger with the action `call` keeps for whoever fetches it.
class Firings {
 public:
  virtual ~Firings() = default;
  /// The expression's names and windows, as they are written there.
  virtual std::vector<std::string> names() const = 0;
  /// Those since the last call, oldest first.
  virtual std::vector<Firing> take() = 0;
};

}  // namespace pyhooks::triggers
