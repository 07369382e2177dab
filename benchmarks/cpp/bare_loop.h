#pragma once
// A real loop around no model: what remains of a training is the loop itself and its callbacks.

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/loop.h"
#include "timing.h"

namespace bench {

/// Says that it has computed. `work` is called in each step.
class Engine final : public pyhooks::StepEngine {
 public:
  Engine(std::function<void()> work, std::vector<at::Tensor> grads)
      : work_(std::move(work)), grads_(std::move(grads)) {}

  std::string name() const override { return "bench"; }
  bool draws_random() const override { return false; }
  void step(pyhooks::Mode, const pyhooks::Batch&, pyhooks::StepResult& result) override {
    work_();
    result.loss = loss_;
    result.grads = grads_;
  }

 private:
  std::function<void()> work_;
  std::vector<at::Tensor> grads_;
  at::Tensor loss_ = at::zeros({});
};

/// Leaves the parameters alone.
class Optimizer final : public pyhooks::Optimizer {
 public:
  std::size_t groups() const override { return 1; }
  pyhooks::Hyper& hyper(std::size_t) override { return hyper_; }
  void step(const std::vector<at::Tensor>&) override {}
  std::vector<at::Tensor> state_tensors() override { return {}; }

 private:
  pyhooks::Hyper hyper_;
};

/// So many batches of one number.
class Source final : public pyhooks::BatchSource {
 public:
  explicit Source(std::int64_t batches) : batches_(batches) {}
  std::int64_t batches() const override { return batches_; }
  void begin_epoch() override { left_ = batches_; }
  bool next(pyhooks::Batch& batch) override {
    batch.tensors = {row_};
    batch.samples = 1;
    return left_-- > 0;
  }

 private:
  std::int64_t batches_;
  std::int64_t left_ = 0;
  at::Tensor row_ = at::zeros({1});
};

/// Trains an epoch of no model. `params` and `grads` are what callbacks see as such.
inline void train(std::shared_ptr<pyhooks::Dispatcher> dispatcher, std::int64_t batches, std::function<void()> work,
                  const std::vector<at::Tensor>& params = {}, std::vector<at::Tensor> grads = {}) {
  pyhooks::Loop loop(std::move(dispatcher));
  for (std::size_t i = 0; i < params.size(); ++i) loop.config.param_names.push_back("param" + std::to_string(i));
  loop.config.params = params;
  loop.config.engine = std::make_shared<Engine>(std::move(work), std::move(grads));
  loop.config.optimizer = std::make_shared<Optimizer>();
  loop.config.train = std::make_shared<Source>(batches);
  loop.run();
}

/// Nanoseconds from one batch's step to the next one's, the median; the first tenth is not counted.
inline double ns_a_batch(std::shared_ptr<pyhooks::Dispatcher> dispatcher, std::int64_t batches,
                         const std::vector<at::Tensor>& params = {}, std::vector<at::Tensor> grads = {}) {
  std::vector<Clock::time_point> stamps;
  stamps.reserve(static_cast<std::size_t>(batches));
  train(std::move(dispatcher), batches, [&] { stamps.push_back(Clock::now()); }, params, std::move(grads));
  std::vector<double> intervals;
  for (std::size_t i = 1 + stamps.size() / 10; i < stamps.size(); ++i)
    intervals.push_back(nanoseconds(stamps[i] - stamps[i - 1]));
  return quantile(std::move(intervals), 0.5);
}

}  // namespace bench
