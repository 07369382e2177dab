#pragma once
// Tensor hooks for tests: one that looks, one that replaces.

#include <ATen/ops/mul.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/tap.h"
#include "fake_host.h"
#include "tensors.h"

/// Notes the name and the first value of what it sees; then does `also`, which may log, vote or throw.
class Watcher final : public pyhooks::TensorHook {
 public:
  std::vector<std::pair<std::string, float>> seen;
  std::vector<std::size_t> slots;
  std::function<void(pyhooks::TapContext&)> also;

  std::vector<std::string> logs() const override { return {"first"}; }
  void see(pyhooks::TapContext& ctx, const at::Tensor& tensor) override {
    seen.emplace_back(ctx.name(), value(tensor));
    slots.push_back(ctx.slot());
    if (also) also(ctx);
  }
};

/// Puts `make(tensor)` in a tensor's place; by default its double.
class Replacer final : public pyhooks::TensorHook {
 public:
  std::function<at::Tensor(pyhooks::TapContext&, const at::Tensor&)> make =
      [](pyhooks::TapContext&, const at::Tensor& tensor) { return at::mul(tensor, 2); };
  pyhooks::TapKind only = pyhooks::TapKind::output;  ///< with `picky`: the one kind it fits
  bool picky = false;

  bool replaces() const override { return true; }
  bool fits(pyhooks::TapKind kind) const override { return !picky || kind == only; }
  at::Tensor replace(pyhooks::TapContext& ctx, const at::Tensor& tensor) override { return make(ctx, tensor); }
};

/// A tap in a run of its own: a host, and the events of its batches.
template <class Hook>
struct Tapped {
  explicit Tapped(pyhooks::TapConfig config = {}) : Tapped(std::make_shared<Hook>(), std::move(config)) {}
  Tapped(std::shared_ptr<Hook> hook, pyhooks::TapConfig config)
      : hook(std::move(hook)),
        tap(std::make_unique<pyhooks::Tap>(this->hook, pyhooks::overridden_events<Hook>(), std::move(config))) {
    tap->on_train_start(ctx);
    tap->on_train_epoch_start(ctx);
  }

  /// A batch in which `work` is the step.
  void batch(const std::function<void()>& work = [] {}) {
    tap->on_train_batch_start(ctx);
    work();
    tap->on_backward_end(ctx);
    if (host.updates) {
      tap->optimizer_step(ctx);
      tap->on_before_zero_grad(ctx);
    }
    tap->on_train_batch_end(ctx);
  }

  FakeHost host;
  pyhooks::BatchContext ctx{host};
  std::shared_ptr<Hook> hook;
  std::unique_ptr<pyhooks::Tap> tap;
};
