#include <ATen/ops/add.h>
#include <ATen/ops/randn_like.h>

#include <cmath>
#include <stdexcept>

#include "pyhooks/tap.h"

namespace pyhooks {

/// Adds Gaussian noise to gradients, less and less of it: at step t (optimizer steps made, from 0) of the variance
/// std^2 / (1 + t)^decay (Neelakantan et al., "Adding gradient noise improves learning for very deep networks", 2015,
/// equation 1, their eta being std^2 and their gamma decay).
class GradNoise final : public TensorHook {
 public:
  explicit GradNoise(const Options& options)
      : std_(not_negative(options, "std")), decay_(not_negative(options, "decay")) {}

  bool replaces() const override { return true; }
  bool fits(TapKind kind) const override { return kind != TapKind::output; }

  at::Tensor replace(TapContext& ctx, const at::Tensor& grad) override {
    const double scale = std_ / std::pow(1.0 + static_cast<double>(ctx.global_step()), decay_ / 2);
    return at::add(grad, at::randn_like(grad), scale);
  }

 private:
  static double not_negative(const Options& options, const std::string& name) {
    const double value = options.get<double>(name);
    if (!(value >= 0 && std::isfinite(value)))
      throw std::invalid_argument(name + " is " + std::to_string(value) + "; it must be a finite number, not below 0");
    return value;
  }

  double std_;
  double decay_;
};

PYHOOKS_TENSOR_HOOK(GradNoise, "grad_noise", "Adds Gaussian noise to gradients, less and less of it.",
                    {"std", "float", 0.1, "standard deviation at the first step"},
                    {"decay", "float", 0.55, "the variance falls as 1 / (1 + step)^decay"});

}  // namespace pyhooks
