#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/clone.h>

#include <cmath>
#include <string>

#include "pyhooks/norm.h"
#include "pyhooks/option_checks.h"
#include "pyhooks/plugin.h"

namespace pyhooks {

/// Logs the simple noise scale tr(Sigma) / |G|^2 (McCandlish et al., "An Empirical Model of Large-Batch Training", 2018):
/// about the batch size beyond which larger batches hardly save steps.
///
/// Of a batch of b rows the squared norm of the gradient is |G|^2 + tr(Sigma) / b on average; two batch sizes give both
/// unknowns (appendix A.1). Their moving averages are divided. The two sizes are
/// - with gradient accumulation, a group's first batch and the whole group;
/// - without, two consecutive batches and the mean of both, as if the step between them had not changed G.
class GradNoiseScale final : public Callback {
 public:
  explicit GradNoiseScale(const Options& options)
      : beta_(checked::decay(options, "GradNoiseScale", "beta")),
        every_(checked::at_least(1, options, "GradNoiseScale", "every")),
        name_(options.get<std::string>("name")) {}

  std::vector<std::string> logs() const override { return {name_}; }

  void state(State& state) override {
    state.field("trace", trace_);
    state.field("signal", signal_);
    state.field("groups", groups_);
  }

  void on_train_start(Context&) override {
    trace_ = signal_ = 0;
    groups_ = 0;
    group_ = {};
  }

  void on_train_epoch_start(Context&) override { first_grads_.clear(); }  // a checkpoint holds no half pairs

  void on_backward_end(BatchContext& ctx) override {
    ++group_.batches;
    group_.inverse_rows += 1 / static_cast<double>(ctx.samples());
    const bool starts = group_.batches == 1;
    if (!ctx.will_update()) {
      if (starts && due()) group_.first = {squared_norm(ctx), group_.inverse_rows};
    } else if (!starts) {
      if (group_.first.inverse_rows > 0) estimate_from_group(ctx);
    } else if (!first_grads_.empty()) {
      estimate_from_pair(ctx);
    } else if (due()) {
      keep_first(ctx);
    }
  }

  void on_before_zero_grad(BatchContext&) override {
    ++groups_;
    group_ = {};
  }

 private:
  /// The squared norm of a mean gradient, and 1 / rows of its batch.
  struct Measured {
    double squared = 0;
    double inverse_rows = 0;
  };
  /// What is known of the accumulation group that is being summed.
  struct Group {
    std::int64_t batches = 0;
    double inverse_rows = 0;  // summed over its batches
    Measured first;           // the first batch's share of the sum
  };

  bool due() const { return groups_ % every_ == 0; }

  double squared_norm(BatchContext& ctx) {
    defined_grads(ctx, grads_);
    return squared_norm(grads_);
  }
  static double squared_norm(const std::vector<at::Tensor>& grads) {
    const double norm = grads.empty() ? 0 : total_norm(grads, 2.0).item<double>();
    return norm * norm;
  }

  // The sum is the mean of m batches' gradients, whose sizes may differ. It may be divided by more than m (an epoch's
  // short last group): that scales both estimates alike, and leaves their ratio.
  void estimate_from_group(BatchContext& ctx) {
    const auto m = static_cast<double>(group_.batches);
    const Measured small{m * m * group_.first.squared, group_.first.inverse_rows};
    take(ctx, small, {squared_norm(ctx), group_.inverse_rows / (m * m)});
  }

  void keep_first(BatchContext& ctx) {
    first_ = {squared_norm(ctx), group_.inverse_rows};
    for (const at::Tensor& grad : grads_) first_grads_.push_back(grad.detach().clone());
  }

  void estimate_from_pair(BatchContext& ctx) {
    const Measured second{squared_norm(ctx), group_.inverse_rows};
    if (grads_.size() == first_grads_.size()) {  // else another part of the model was at work
      at::_foreach_add_(first_grads_, grads_);
      const Measured small{(first_.squared + second.squared) / 2, (first_.inverse_rows + second.inverse_rows) / 2};
      take(ctx, small, {squared_norm(first_grads_) / 4, small.inverse_rows / 2});
    }
    first_grads_.clear();
  }

  // Estimates that are not finite (a loss that overflowed) are left out.
  void take(BatchContext& ctx, const Measured& small, const Measured& big) {
    const double trace = (small.squared - big.squared) / (small.inverse_rows - big.inverse_rows);
    const double signal = small.squared - trace * small.inverse_rows;
    if (!std::isfinite(trace) || !std::isfinite(signal)) return;
    trace_ = beta_ * trace_ + (1 - beta_) * trace;
    signal_ = beta_ * signal_ + (1 - beta_) * signal;
    ctx.log(name_, signal_ > 0 ? trace_ / signal_ : std::nan(""));
  }

  double beta_;
  std::int64_t every_;
  std::string name_;
  double trace_ = 0;   // moving average of tr(Sigma); both start at 0, which their ratio does not see
  double signal_ = 0;  // of |G|^2
  std::int64_t groups_ = 0;
  Group group_;
  Measured first_;                       // of a pair
  std::vector<at::Tensor> first_grads_;  // empty: no pair has begun
  std::vector<at::Tensor> grads_;
};

PYHOOKS_CALLBACK(GradNoiseScale, "grad_noise_scale",
                 "Logs the gradient noise scale: about the largest batch size that pays.",
                 {"beta", "float", 0.99, "how much of the moving averages each estimate keeps, in [0, 1)"},
                 {"every", "int", std::int64_t{1}, "optimizer steps from one estimate to the next"},
                 {"name", "str", std::string("noise_scale"), "the history's column and the epoch's metric"});

}  // namespace pyhooks
