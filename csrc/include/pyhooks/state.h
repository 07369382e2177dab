#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace at {
class Tensor;
}

namespace pyhooks {

/// What `Callback::state` names its fields to: a checkpoint, being written or read. The same lines do both.
///
/// Example:
///
///     void state(pyhooks::State& state) override {
///       state.field("sum", sum_);
///       state.field("count", count_);
///     }
///
/// Reading throws std::invalid_argument where the checkpoint has no such field, or one of another type.
class State {
 public:
  /// Whether the fields are being read from a checkpoint; else they are being written.
  virtual bool loading() const = 0;
  virtual void field(std::string_view name, double& value) = 0;
  virtual void field(std::string_view name, std::int64_t& value) = 0;
  virtual void field(std::string_view name, bool& value) = 0;
  virtual void field(std::string_view name, std::string& value) = 0;
  virtual void field(std::string_view name, std::vector<double>& value) = 0;
  /// Undefined tensors stay undefined. Reading copies into a defined tensor of the same shape and dtype, and replaces
  /// any other.
  virtual void field(std::string_view name, at::Tensor& value) = 0;

 protected:
  ~State() = default;
};

}  // namespace pyhooks
