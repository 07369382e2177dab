#include <ATen/ops/mul.h>

#include <cmath>
#include <stdexcept>

#include "pyhooks/tap.h"

namespace pyhooks {

/// Multiplies gradients by a number.
class GradScale final : public TensorHook {
 public:
  explicit GradScale(const Options& options) : factor_(options.get<double>("factor")) {
    if (!std::isfinite(factor_))
      throw std::invalid_argument("factor is " + std::to_string(factor_) + "; it must be a finite number");
  }

  bool replaces() const override { return true; }
  bool fits(TapKind kind) const override { return kind != TapKind::output; }

  at::Tensor replace(TapContext&, const at::Tensor& grad) override { return at::mul(grad, factor_); }

 private:
  double factor_;
};

PYHOOKS_TENSOR_HOOK(GradScale, "grad_scale", "Multiplies gradients by a number.",
                    {"factor", "float", 1.0, "the number; negative ones reverse the gradient"});

}  // namespace pyhooks
