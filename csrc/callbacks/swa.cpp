#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/add.h>
#include <ATen/ops/div.h>
#include <ATen/ops/sub.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <stdexcept>
#include <string>

#include "pyhooks/averaged_weights.h"
#include "pyhooks/option_checks.h"
#include "pyhooks/plugin.h"

namespace pyhooks {

/// Stochastic weight averaging (Izmailov et al., 2018): from some epoch on, the equal average of the weights at the end of
/// epochs, or after optimizer steps; there the learning rate may go to a constant.
class SWA final : public Callback {
 public:
  explicit SWA(const Options& options)
      : start_(options.get<double>("start")),
        every_(checked::at_least(1, options, "SWA", "every")),
        per_step_(checked::choice(options, "SWA", "per", {"epoch", "step"}) == 1),
        lr_(checked::positive_or_none(options, "SWA", "lr")),
        anneal_epochs_(checked::at_least(0, options, "SWA", "anneal_epochs")),
        cosine_(checked::choice(options, "SWA", "anneal", {"cos", "linear"}) == 0),
        validate_(options.get<bool>("validate")),
        final_(options.get<bool>("final")),
        weights_(options, "SWA") {
    if (!(start_ >= 0 && std::isfinite(start_)) || (start_ > 1 && start_ != std::floor(start_)))
      throw std::invalid_argument("SWA: start is " + std::to_string(start_) +
                                  "; it must be an epoch (0, 1, 2, ...) or a share of the run between 0 and 1");
  }

  Phase phase() const override { return Phase::mutate; }

  void state(State& state) override {
    state.field("moments", moments_);
    state.field("averaged", averaged_);
    state.field("rates", rates_);
    weights_.state(state);
  }

  void on_train_start(Context& ctx) override {
    moments_ = averaged_ = 0;
    rates_.clear();
    weights_.reset(ctx);
  }

  void on_train_batch_start(BatchContext& ctx) override {
    if (!lr_ || !started(ctx)) return;
    while (rates_.size() < ctx.num_groups()) rates_.push_back(ctx.lr(rates_.size()));
    const double share = annealed(ctx.epoch() - first_epoch(ctx));
    for (std::size_t group = 0; group < ctx.num_groups(); ++group)
      ctx.set_lr(*lr_ * share + rates_[group] * (1 - share), group);
  }

  void on_params_update(BatchContext& ctx) override {
    if (per_step_ && started(ctx)) update(ctx);
  }

  void on_train_epoch_end(Context& ctx) override {
    if (!per_step_ && started(ctx)) update(ctx);
  }

  void on_val_start(Context& ctx) override {
    if (validate_) weights_.lend(ctx, "SWA's weights");
  }

  void on_train_end(Context&) override {
    if (final_) weights_.give();
  }

 private:
  std::int64_t first_epoch(const Context& ctx) const {
    return static_cast<std::int64_t>(start_ < 1 ? start_ * static_cast<double>(ctx.epochs()) : start_);
  }
  bool started(const Context& ctx) const { return ctx.epoch() >= first_epoch(ctx); }

  // How far the learning rate has gone to its constant: the formula of torch.optim.swa_utils.SWALR.
  double annealed(std::int64_t epochs) const {
    if (epochs >= anneal_epochs_) return 1;
    const double t = static_cast<double>(epochs) / static_cast<double>(anneal_epochs_);
    return cosine_ ? (1 - std::cos(std::numbers::pi * t)) / 2 : t;
  }

  void update(Context& ctx) {
    if (++moments_ % every_ != 0) return;
    weights_.update(ctx, [this](const auto& averages, const auto& model) { average(averages, model); });
    ++averaged_;
  }

  // The operations that torch.optim.swa_utils.AveragedModel has for each device if it is given no function.
  void average(const std::vector<at::Tensor>& averages, const std::vector<at::Tensor>& model) const {
    const at::Tensor& first = averages.front();
    if (first.is_cpu() || !(first.is_floating_point() || first.is_complex())) return one_by_one(averages, model);
    at::_foreach_lerp_(averages, model, 1.0F / static_cast<float>(averaged_ + 1));
  }

  void one_by_one(const std::vector<at::Tensor>& averages, const std::vector<at::Tensor>& model) const {
    const auto count = static_cast<double>(averaged_ + 1);
    for (std::size_t i = 0; i < averages.size(); ++i) {
      if (averages[i].scalar_type() == at::kBool)  // there is no mean of flags
        averages[i].copy_(model[i]);
      else
        averages[i].copy_(at::add(averages[i], at::div(at::sub(model[i], averages[i]), count)));
    }
  }

  double start_;
  std::int64_t every_;
  bool per_step_;
  std::optional<double> lr_;
  std::int64_t anneal_epochs_;
  bool cosine_;
  bool validate_;
  bool final_;
  std::int64_t moments_ = 0;   // ends of epochs, or steps, since the start
  std::int64_t averaged_ = 0;  // of them taken into the average
  std::vector<double> rates_;  // the groups' learning rates at the start
  AveragedWeights weights_;
};

PYHOOKS_CALLBACK(SWA, "swa", "Averages the weights of the last epochs equally (stochastic weight averaging).",
                 {"start", "float", 0.75, "the epoch it starts in, from 0; below 1: the share of the run before it"},
                 {"every", "int", std::int64_t{1}, "epochs, or steps, an update"},
                 {"per", "str", std::string("epoch"), "'epoch' or 'step': what `every` counts"},
                 {"lr", "float", {}, "the learning rate from the start on; None: it is left alone"},
                 {"anneal_epochs", "int", std::int64_t{10}, "epochs it takes to get to `lr`; 0: at once"},
                 {"anneal", "str", std::string("cos"), "how it gets there: 'cos' or 'linear'"},
                 {"buffers", "str", std::string("copy"), "'copy' the buffers at each update, or 'average' them too"},
                 {"validate", "bool", false, "validation runs with the average, once there is one"},
                 {"final", "bool", false, "the model has the average when training has ended"});

}  // namespace pyhooks
