#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_copy.h>

#include <atomic>
#include <limits>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "pyhooks/callback.h"
#include "pyhooks/memory_copy.h"

namespace pyhooks {

/// Holds a model's own tensors while others' values stand in for them, and gives them back when validation ends: by
/// itself, by an exception or by Ctrl-C. A callback of its own, first of all at these events, so that neither a filter on
/// the one who lent nor its removal can leave the model with what is not its own.
class LentWeights final : public Callback {
 public:
  explicit LentWeights(std::vector<at::Tensor> model) : model_(std::move(model)) { own_.take(model_); }

  Phase phase() const override { return Phase::vote; }

  void on_val_end(Context& ctx) override {
    give_back();
    ctx.remove(ctx.self());
  }
  void on_interrupt(Context&) override { give_back(); }
  void on_exception(Context&) override { give_back(); }

 private:
  void give_back() {
    own_.restore(model_);
    own_.clear();
    model_.clear();
  }

  std::vector<at::Tensor> model_;
  TensorCopies own_;
};

/// Gives `model` the values of `other` until validation has ended; for `on_val_start`. Loans nest: the last one made
/// counts, and is given back first.
inline void lend_weights(Context& ctx, const std::vector<at::Tensor>& model, const std::vector<at::Tensor>& other,
                         std::string_view label) {
  static std::atomic<std::int64_t> loans{0};
  constexpr std::int64_t before_all = std::numeric_limits<std::int64_t>::max() / 2;
  at::NoGradGuard no_grad;
  if (model.empty()) return;
  add_callback(ctx, std::make_shared<LentWeights>(model), label, before_all + loans++);
  at::_foreach_copy_(model, other);
}

}  // namespace pyhooks
