// Tensor hooks of the kind that users write, for test_own_hooks.py.
#include <ATen/ops/add.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/randn_like.h>
#include <pyhooks/tap.h>

#include <stdexcept>
#include <string>

/// Does something at one batch.
class At final : public pyhooks::TensorHook {
 public:
  explicit At(const pyhooks::Options& options)
      : batch_(options.get<std::int64_t>("batch")), what_(options.get<std::string>("what")) {}

  void see(pyhooks::TapContext& ctx, const at::Tensor& x) override {
    if (ctx.batch() != batch_) return;
    if (what_ == "invalid_argument") throw std::invalid_argument("bad value");
    if (what_ == "out_of_range") throw std::out_of_range("too far");
    if (what_ == "runtime_error") throw std::runtime_error("gone wrong");
    if (what_ == "torch") at::mul(x, x.new_empty({7, 7, 7}));
    if (what_ == "stop") ctx.request_stop("seen enough of " + std::string(ctx.name()));
    if (what_ == "skip") ctx.skip_step();
  }

 private:
  std::int64_t batch_;
  std::string what_;
};

PYHOOKS_TENSOR_HOOK(At, "at", "Does something at one batch.", {"batch", "int", std::int64_t{1}, "which"},
                    {"what", "str", std::string("stop"), "what"});

/// Adds noise to outputs.
class Noise final : public pyhooks::TensorHook {
 public:
  bool replaces() const override { return true; }
  at::Tensor replace(pyhooks::TapContext&, const at::Tensor& x) override { return at::add(x, at::randn_like(x), 0.1); }
};

PYHOOKS_TENSOR_HOOK(Noise, "noise", "Adds noise.");

/// Draws from a state of its own that changes with each call, as a hook must not.
class Drifting final : public pyhooks::TensorHook {
 public:
  bool replaces() const override { return true; }
  at::Tensor replace(pyhooks::TapContext&, const at::Tensor& x) override { return at::mul(x, ++calls_); }

 private:
  int calls_ = 0;
};

PYHOOKS_TENSOR_HOOK(Drifting, "drifting", "Multiplies by the number of its calls.");

/// A tensor hook is a callback too: logs a mean of means at the end of each epoch, and keeps state.
class Events final : public pyhooks::TensorHook {
 public:
  void state(pyhooks::State& state) override { state.field("batches", batches_); }
  void on_train_start(pyhooks::Context&) override { batches_ = 0; }
  void on_train_batch_end(pyhooks::BatchContext&) override { ++batches_; }
  void on_train_epoch_end(pyhooks::Context& ctx) override {
    ctx.log("seen", static_cast<double>(seen_));
    ctx.log("batches", static_cast<double>(batches_));
    seen_ = 0;
  }
  void see(pyhooks::TapContext&, const at::Tensor& x) override { seen_ += x.size(0); }

 private:
  std::int64_t seen_ = 0;
  std::int64_t batches_ = 0;
};

PYHOOKS_TENSOR_HOOK(Events, "events", "Counts rows and batches.");
