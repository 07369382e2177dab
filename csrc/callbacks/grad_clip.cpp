#include <ATen/core/Tensor.h>

#include <optional>
#include <stdexcept>

#include "pyhooks/clip.h"
#include "pyhooks/norm.h"
#include "pyhooks/option_checks.h"
#include "pyhooks/plugin.h"

namespace pyhooks {

/// Clips gradients in place before each optimizer step, by total norm, by value, or by norm and then by value.
class GradClip final : public Callback {
 public:
  explicit GradClip(const Options& options)
      : max_norm_(checked::positive_or_none(options, "GradClip", "max_norm")),
        max_value_(checked::positive_or_none(options, "GradClip", "max_value")) {
    if (!max_norm_ && !max_value_)
      throw std::invalid_argument("GradClip wants max_norm, max_value or both; it was given neither");
  }

  Phase phase() const override { return Phase::mutate; }

  void optimizer_step(BatchContext& ctx) override {
    defined_grads(ctx, grads_);
    if (max_norm_) clip_grad_norm(grads_, *max_norm_);
    if (max_value_) clip_grad_value(grads_, *max_value_);
    grads_.clear();
  }

 private:
  std::optional<double> max_norm_;
  std::optional<double> max_value_;
  std::vector<at::Tensor> grads_;
};

PYHOOKS_CALLBACK(
    GradClip, "grad_clip", "Clips gradients in place before each optimizer step, by total norm and by value.",
    {"max_norm", "float", {}, "largest total 2-norm, as torch.nn.utils.clip_grad_norm_; None: no limit"},
    {"max_value", "float", {}, "largest absolute value, as torch.nn.utils.clip_grad_value_; None: no limit"});

}  // namespace pyhooks
