// One class an optimizer: what state it keeps and which fused kernel it calls. See torch/optim for each formula.
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_fused_adagrad.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>

#include <array>
#include <stdexcept>
#include <utility>

#include "optim/fused.h"

namespace pyhooks {

namespace {

void count_step(std::vector<at::Tensor>& steps) {
  if (steps.empty() || !steps[0].is_cpu()) return at::_foreach_add_(steps, 1);
  for (at::Tensor& step : steps) *step.mutable_data_ptr<float>() += 1.0F;
}

class Sgd final : public FusedOptimizer {
 public:
  using FusedOptimizer::FusedOptimizer;

 private:
  std::span<const char* const> state_names(const ParamGroup& group) const override {
    static constexpr std::array names{"momentum_buffer"};
    return std::span(names).first(group.hyper.momentum == 0 ? 0 : 1);
  }
  void update(const ParamGroup& group, Bucket& bucket) override {
    at::TensorList momentum;
    if (!bucket.states.empty()) momentum = bucket.states[0];
    at::_fused_sgd_(bucket.params, bucket.grads, momentum, group.hyper.weight_decay, group.hyper.momentum,
                    group.hyper.lr, group.dampening, group.nesterov, group.maximize, bucket.fresh);
  }
};

template <bool decoupled>
class AdamBase final : public FusedOptimizer {
 public:
  using FusedOptimizer::FusedOptimizer;

 private:
  std::span<const char* const> state_names(const ParamGroup& group) const override {
    static constexpr std::array names{"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
    return std::span(names).first(group.amsgrad ? 4 : 3);
  }
  void update(const ParamGroup& group, Bucket& bucket) override {
    auto& states = bucket.states;
    const Hyper& hyper = group.hyper;
    at::TensorList maxima;
    if (group.amsgrad) maxima = states[3];
    count_step(states[0]);
    const auto kernel = [&](auto function) {
      function(bucket.params, bucket.grads, states[1], states[2], maxima, states[0], hyper.lr, hyper.beta1, hyper.beta2,
               hyper.weight_decay, group.eps, group.amsgrad, group.maximize);
    };
    if constexpr (decoupled)
      kernel([](auto&&... args) { at::_fused_adamw_(std::forward<decltype(args)>(args)...); });
    else
      kernel([](auto&&... args) { at::_fused_adam_(std::forward<decltype(args)>(args)...); });
  }
};

class Adagrad final : public FusedOptimizer {
 public:
  using FusedOptimizer::FusedOptimizer;

 private:
  std::span<const char* const> state_names(const ParamGroup&) const override {
    static constexpr std::array names{"step", "sum"};
    return names;
  }
  void update(const ParamGroup& group, Bucket& bucket) override {
    count_step(bucket.states[0]);
    at::_fused_adagrad_(bucket.params, bucket.grads, bucket.states[1], bucket.states[0], group.hyper.lr, group.lr_decay,
                        group.hyper.weight_decay, group.eps, group.maximize);
  }
};

template <class T>
std::shared_ptr<FusedOptimizer> make(std::vector<at::Tensor> params, std::vector<ParamGroup> groups,
                                     std::vector<ParamState> states) {
  return std::make_shared<T>(std::move(params), std::move(groups), std::move(states));
}

struct Kind {
  const char* name;
  std::shared_ptr<FusedOptimizer> (*make)(std::vector<at::Tensor>, std::vector<ParamGroup>, std::vector<ParamState>);
};

// A new fused optimizer: its class above, its line here.
constexpr Kind kKinds[] = {
    {"sgd", make<Sgd>},
    {"adam", make<AdamBase<false>>},
    {"adamw", make<AdamBase<true>>},
    {"adagrad", make<Adagrad>},
};

}  // namespace

std::vector<std::string> fused_optimizers() {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) names.emplace_back(kind.name);
  return names;
}

std::shared_ptr<FusedOptimizer> make_fused_optimizer(const std::string& kind, std::vector<at::Tensor> params,
                                                     std::vector<ParamGroup> groups, std::vector<ParamState> states) {
  for (const Kind& known : kKinds)
    if (kind == known.name) return known.make(std::move(params), std::move(groups), std::move(states));
  throw std::invalid_argument("no fused optimizer '" + kind + "'");
}

}  // namespace pyhooks
