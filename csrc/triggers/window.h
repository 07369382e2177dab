#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "triggers/program.h"

namespace pyhooks::triggers {

/// A statistic of the values pushed so far; the caller pushes finite ones only.
class Window {
 public:
  virtual ~Window() = default;
  /// Takes a value in; returns the statistic.
  virtual double push(double value) = 0;
  /// NaN where there are too few values: none, or one for `std`.
  virtual double statistic() const = 0;
  virtual void clear() = 0;
  /// What a checkpoint must keep for the statistic to go on bit for bit.
  virtual std::vector<double> kept() const = 0;
  /// Takes what `kept` returned; throws std::invalid_argument for what it cannot have returned.
  virtual void restore(const std::vector<double>& kept) = 0;
};

/// ema: of all values, each weighing (n - 1) / (n + 1) of the next one, the weights' sum 1: as pandas' ewm(span=n).mean(),
/// which is LossMeter's average with decay (n - 1) / (n + 1).
/// min, max, mean, std: of the last n; std has the divisor n - 1, as torch.std. O(1) a push on average: once in n pushes
/// n values are gone through. Nothing is ever subtracted from a sum, so no rounding error stays behind.
std::unique_ptr<Window> make_window(WindowKind kind, std::int64_t length);

}  // namespace pyhooks::triggers
