#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/interfaces.h"

namespace pyhooks {

/// The state of one parameter, by the names torch.optim gives it.
using ParamState = std::map<std::string, at::Tensor>;

/// A parameter group, with the options of torch.optim's class of the same name.
struct ParamGroup {
  std::vector<std::size_t> params;  ///< indices into the trained parameters
  Hyper hyper;
  double eps = 0;
  double dampening = 0;
  double lr_decay = 0;
  bool nesterov = false;
  bool maximize = false;
  bool amsgrad = false;
};

/// torch.optim's optimizers through ATen's fused kernels: the same arithmetic, bit for bit, as `fused=True`.
///
/// Parameters of a group are stepped together, in buckets of one device and dtype. State is made when a parameter
/// first has a gradient, as torch.optim makes it.
class FusedOptimizer : public Optimizer {
 public:
  FusedOptimizer(std::vector<at::Tensor> params, std::vector<ParamGroup> groups, std::vector<ParamState> states);

  std::size_t groups() const override { return groups_.size(); }
  Hyper& hyper(std::size_t group) override { return groups_.at(group).hyper; }
  ParamGroup& group(std::size_t i) { return groups_.at(i); }
  void step(const std::vector<at::Tensor>& grads) override;
  std::vector<at::Tensor> state_tensors() override;

  /// The states, in the order of the parameters; empty where a parameter has not been stepped yet.
  const std::vector<ParamState>& states() const { return states_; }

 protected:
  /// What one kernel call works on. `states[k]` holds the k-th of `state_names` for each parameter.
  struct Bucket {
    std::size_t group = 0;
    bool fresh = false;  ///< the states were made for this step
    std::vector<std::size_t> indices;
    std::vector<at::Tensor> params;
    std::vector<at::Tensor> grads;
    std::vector<std::vector<at::Tensor>> states;
  };

  /// The state tensors a parameter of the group has.
  virtual std::span<const char* const> state_names(const ParamGroup& group) const = 0;
  virtual void update(const ParamGroup& group, Bucket& bucket) = 0;

 private:
  bool planned(const std::vector<at::Tensor>& grads) const;
  void plan(const std::vector<at::Tensor>& grads);
  Bucket& bucket_for(std::size_t group, std::size_t param, bool fresh);

  std::vector<at::Tensor> params_;
  std::vector<ParamGroup> groups_;
  std::vector<ParamState> states_;
  std::vector<Bucket> buckets_;
  std::vector<bool> planned_for_;  // which gradients were defined when the buckets were made
  bool fresh_ = true;              // some bucket is fresh: plan again after the step
};

/// The registered optimizers: "sgd", "adam", "adamw", "adagrad".
std::vector<std::string> fused_optimizers();

/// Makes a registered optimizer; throws std::invalid_argument for another name.
std::shared_ptr<FusedOptimizer> make_fused_optimizer(const std::string& kind, std::vector<at::Tensor> params,
                                                     std::vector<ParamGroup> groups, std::vector<ParamState> states);

}  // namespace pyhooks
