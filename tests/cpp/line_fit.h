#pragma once
// A trainer in C++ of y = x W' + b on eleven rows: for tests of pyhooks/trainer.h.

#include <ATen/ops/linear.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/mul.h>

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "pyhooks/trainer.h"
#include "tensors.h"

namespace line_fit {

inline at::Tensor waves(std::vector<std::int64_t> sizes, double speed) {
  std::int64_t count = 1;
  for (std::int64_t size : sizes) count *= size;
  std::vector<float> numbers;
  for (std::int64_t i = 0; i < count; ++i)
    numbers.push_back(static_cast<float>(std::sin(static_cast<double>(i) * speed)));
  return floats(numbers, std::move(sizes));
}

inline std::vector<at::Tensor> data(std::int64_t rows = 11) { return {waves({rows, 3}, 1.3), waves({rows, 2}, 0.7)}; }

/// The model and what it was asked; `options()` are a trainer's, with Adam.
struct Model {
  at::Tensor weight = waves({2, 3}, 2.1).set_requires_grad(true);
  at::Tensor bias = waves({2}, 0.3).set_requires_grad(true);
  at::Tensor frozen = floats({1});
  at::Tensor steps = floats({0}, {});  // a buffer that counts training steps
  bool training = false;

  pyhooks::TrainerOptions options() {
    pyhooks::TrainerOptions options;
    options.parameters = {{"weight", weight}, {"bias", bias}, {"frozen", frozen}};
    options.buffers = {{"steps", steps}};
    options.step = [this](const std::vector<at::Tensor>& batch) -> pyhooks::StepOutput {
      if (training) steps.add_(1);
      const at::Tensor out = at::mul(at::linear(batch[0], weight, bias), frozen);
      return {at::mse_loss(out, batch[1]), {out}};
    };
    options.set_training = [this](bool on) { training = on; };
    options.optimizer = {"adam", {{"lr", 0.05}}};
    return options;
  }
};

/// Callbacks made of one function.
struct AtBatchEnd final : pyhooks::Callback {
  explicit AtBatchEnd(std::function<void(pyhooks::BatchContext&)> act) : act(std::move(act)) {}
  void on_train_batch_end(pyhooks::BatchContext& ctx) override { act(ctx); }
  std::function<void(pyhooks::BatchContext&)> act;
};

struct AtEpochEnd final : pyhooks::Callback {
  explicit AtEpochEnd(std::function<void(pyhooks::Context&)> act) : act(std::move(act)) {}
  void on_fit_epoch_end(pyhooks::Context& ctx) override { act(ctx); }
  std::function<void(pyhooks::Context&)> act;
};

}  // namespace line_fit
