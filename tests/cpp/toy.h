#pragma once
// A training of one weight: y = w x, the loss (w x - y)^2 averaged over the rows, its gradient written by hand.

#include <cmath>
#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core/loop.h"
#include "tensors.h"
#include "trace.h"

namespace toy {

/// The step, in plain C++. One statistic: [rows with |error| < 1, rows].
class Engine final : public pyhooks::StepEngine {
 public:
  explicit Engine(at::Tensor weight) : weight_(std::move(weight)) {}

  std::function<void(pyhooks::Mode, int step)> before;  ///< may throw; steps are counted over all modes
  std::int64_t accumulate = 1;

  std::string name() const override { return "toy"; }
  bool draws_random() const override { return false; }
  void step(pyhooks::Mode mode, const pyhooks::Batch& batch, pyhooks::StepResult& result) override {
    if (before) before(mode, steps_++);
    const std::vector<float> x = values<float>(batch.tensors[0]);
    const std::vector<float> y = values<float>(batch.tensors[1]);
    const auto rows = static_cast<float>(x.size());
    std::vector<float> outputs;
    float loss = 0;
    float slope = 0;
    float close = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      outputs.push_back(value(weight_) * x[i]);
      const float error = outputs[i] - y[i];
      loss += error * error / rows;
      slope += 2 * error * x[i] / rows;
      close += std::abs(error) < 1 ? 1.0F : 0.0F;
    }
    result.loss = floats({loss}, {});
    result.stats = {floats({close, rows})};
    result.outputs = {floats(outputs)};
    result.grads.clear();
    if (mode == pyhooks::Mode::train) result.grads = {floats({slope / static_cast<float>(accumulate)})};
  }

 private:
  at::Tensor weight_;
  int steps_ = 0;
};

/// Plain gradient descent; keeps what each step was made with.
class Descent final : public pyhooks::Optimizer {
 public:
  explicit Descent(at::Tensor weight) : weight_(std::move(weight)) { hyper_.lr = 0.25; }

  std::vector<float> grads;
  std::vector<pyhooks::Hyper> hypers;

  std::size_t groups() const override { return 1; }
  pyhooks::Hyper& hyper(std::size_t) override { return hyper_; }
  void step(const std::vector<at::Tensor>& gradients) override {
    grads.push_back(value(gradients.at(0)));
    hypers.push_back(hyper_);
    weight_.fill_(value(weight_) - static_cast<float>(hyper_.lr) * grads.back());
  }
  std::vector<at::Tensor> state_tensors() override { return {}; }

 private:
  at::Tensor weight_;
  pyhooks::Hyper hyper_;
};

/// Batches given beforehand: of each the rows of x, y being twice as much.
class Source final : public pyhooks::BatchSource {
 public:
  explicit Source(std::vector<std::vector<float>> batches) : batches_(std::move(batches)) {}

  bool knows_length = true;
  int throws_at = -1;  ///< the batch that cannot be read
  std::function<void()> at_end;
  int begun = 0;
  int ended = 0;

  std::int64_t batches() const override { return knows_length ? static_cast<std::int64_t>(batches_.size()) : -1; }
  void begin_epoch() override {
    ++begun;
    position_ = 0;
  }
  bool next(pyhooks::Batch& batch) override {
    if (throws_at == static_cast<int>(position_)) throw std::runtime_error("unreadable");
    if (position_ == batches_.size()) return false;
    const std::vector<float>& x = batches_[position_++];
    std::vector<float> y;
    for (float number : x) y.push_back(2 * number);
    batch.tensors = {floats(x), floats(y)};
    batch.samples = static_cast<std::int64_t>(x.size());
    return true;
  }
  void end_epoch() override {
    ++ended;
    if (at_end) at_end();
  }

 private:
  std::vector<std::vector<float>> batches_;
  std::size_t position_ = 0;
};

/// A loop with all that, and a Trace listening.
struct Training {
  explicit Training(std::int64_t epochs, std::vector<std::vector<float>> batches = {{1}, {1}}) {
    source = std::make_shared<Source>(std::move(batches));
    dispatcher->add(trace, kEveryEvent, {}, "trace");
    loop.config.epochs = epochs;
    loop.config.fitness = "-train/loss";
    loop.config.param_names = {"w"};
    loop.config.params = {weight};
    loop.config.metrics = {{"close", [](const std::vector<double>& sums) { return sums.at(0) / sums.at(1); }}};
    loop.config.engine = engine;
    loop.config.optimizer = descent;
    loop.config.train = source;
  }

  void validate_on(std::vector<std::vector<float>> batches) {
    val = std::make_shared<Source>(std::move(batches));
    loop.config.val = val;
  }
  void accumulate(std::int64_t batches) { loop.config.accumulate = engine->accumulate = batches; }

  at::Tensor weight = floats({0});
  std::shared_ptr<pyhooks::Dispatcher> dispatcher = std::make_shared<pyhooks::Dispatcher>();
  pyhooks::Loop loop{dispatcher};
  std::shared_ptr<Engine> engine = std::make_shared<Engine>(weight);
  std::shared_ptr<Descent> descent = std::make_shared<Descent>(weight);
  std::shared_ptr<Trace> trace = std::make_shared<Trace>();
  std::shared_ptr<Source> source;
  std::shared_ptr<Source> val;
};

/// Notes of several parts in one list.
inline Notes join(const std::vector<Notes>& parts) {
  Notes all;
  for (const Notes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

/// The events up to the first epoch.
inline const Notes kStart{"on_pretrain_routine_start 0", "on_pretrain_routine_end 0", "on_train_start 0"};

/// The events of a training batch, at "epoch.batch".
inline Notes train_batch(const std::string& at, bool updates = true) {
  Notes notes{"on_train_batch_start " + at, "on_backward_end " + at};
  if (updates)
    for (const char* event : {"optimizer_step ", "on_params_update ", "on_before_zero_grad "})
      notes.push_back(event + at);
  notes.push_back("on_train_batch_end " + at);
  return notes;
}

}  // namespace toy
