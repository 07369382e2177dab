#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/add.h>
#include <ATen/ops/mul.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>

#include "pyhooks/averaged_weights.h"
#include "pyhooks/option_checks.h"
#include "pyhooks/plugin.h"

namespace pyhooks {

/// Keeps an exponential moving average of the weights, validates with it, and may leave it in the model at the end.
///
/// Without a ramp the first update copies the weights, as torch.optim.swa_utils.AveragedModel does, and the decay is the
/// same ever after. With one (`warmup` or `tau`) the average starts at the weights before training and the n-th update
/// (n from 1) has a smaller decay.
class EMA final : public Callback {
 public:
  explicit EMA(const Options& options)
      : decay_(checked::decay(options, "EMA", "decay")),
        warmup_(options.get<bool>("warmup")),
        tau_(checked::positive_or_none(options, "EMA", "tau")),
        every_(checked::at_least(1, options, "EMA", "every")),
        validate_(options.get<bool>("validate")),
        final_(options.get<bool>("final")),
        weights_(options, "EMA") {
    if (tau_ && warmup_) throw std::invalid_argument("EMA was given warmup and tau; it wants one ramp or none");
  }

  Phase phase() const override { return Phase::mutate; }

  void state(State& state) override {
    state.field("updates", updates_);
    weights_.state(state);
  }

  void on_train_start(Context& ctx) override {
    updates_ = 0;
    weights_.reset(ctx);
    if (tau_ || warmup_) weights_.begin();
  }

  void on_params_update(BatchContext& ctx) override {
    if (ctx.global_step() % every_ != 0) return;
    const double decay = ramped(static_cast<double>(++updates_));
    weights_.update(ctx, [decay](const auto& averages, const auto& model) { blend(averages, model, decay); });
  }

  void on_val_start(Context& ctx) override {
    if (validate_) weights_.lend(ctx, "EMA's weights");
  }

  void on_train_end(Context&) override {
    if (final_) weights_.give();
  }

 private:
  double ramped(double update) const {
    if (tau_) return decay_ * (1 - std::exp(-update / *tau_));
    return warmup_ ? std::min(decay_, (1 + update) / (10 + update)) : decay_;
  }

  // The operations of torch.optim.swa_utils.get_ema_multi_avg_fn.
  static void blend(const std::vector<at::Tensor>& averages, const std::vector<at::Tensor>& model, double decay) {
    if (averages.front().is_floating_point() || averages.front().is_complex()) {
      at::_foreach_lerp_(averages, model, 1 - decay);
      return;
    }
    for (std::size_t i = 0; i < averages.size(); ++i)
      averages[i].copy_(at::add(at::mul(averages[i], decay), at::mul(model[i], 1 - decay)));
  }

  double decay_;
  bool warmup_;
  std::optional<double> tau_;
  std::int64_t every_;
  bool validate_;
  bool final_;
  std::int64_t updates_ = 0;
  AveragedWeights weights_;
};

PYHOOKS_CALLBACK(
    EMA, "ema", "Keeps an exponential moving average of the weights and validates with it.",
    {"decay", "float", 0.9999, "how much of the average each update keeps, in [0, 1)"},
    {"warmup", "bool", false, "of the n-th update the decay is min(decay, (1 + n) / (10 + n))"},
    {"tau", "float", {}, "of the n-th update the decay is decay * (1 - exp(-n / tau)); None: no such ramp"},
    {"every", "int", std::int64_t{1}, "optimizer steps an update"},
    {"buffers", "str", std::string("copy"), "'copy' the buffers at each update, or 'average' them too"},
    {"validate", "bool", true, "validation runs with the averages"},
    {"final", "bool", false, "the model has the averages when training has ended"});

}  // namespace pyhooks
