#include <pyhooks/plugin.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

/// Logs how noisy the loss is from batch to batch: its standard deviation over its mean, both moving averages. When that
/// grows, batches have become too small to tell a good step from a bad one.
class NoiseScale final : public pyhooks::Callback {
 public:
  explicit NoiseScale(const pyhooks::Options& options)
      : beta_(options.get<double>("beta")), every_(options.get<int>("every")) {
    if (!(beta_ >= 0 && beta_ < 1)) throw std::invalid_argument("NoiseScale: beta must be in [0, 1)");
    if (every_ < 1) throw std::invalid_argument("NoiseScale: every must be at least 1");
  }

  std::vector<std::string> logs() const override { return {"noise_scale"}; }

  void state(pyhooks::State& state) override {  // kept in checkpoints
    state.field("mean", mean_);
    state.field("square", square_);
    state.field("weight", weight_);
  }

  void on_train_start(pyhooks::Context&) override { mean_ = square_ = weight_ = 0; }

  void on_train_batch_end(pyhooks::BatchContext& ctx) override {
    const double loss = ctx.loss();
    mean_ = std::lerp(loss, mean_, beta_);
    square_ = std::lerp(loss * loss, square_, beta_);
    weight_ = std::lerp(1.0, weight_, beta_);
    const double ratio = square_ * weight_ / (mean_ * mean_);
    if (ctx.batch() % every_ == 0) ctx.log("noise_scale", std::sqrt(std::max(ratio - 1, 0.0)));
  }

 private:
  double beta_;
  int every_;
  double mean_ = 0, square_ = 0, weight_ = 0;
};

PYHOOKS_CALLBACK(NoiseScale, "noise_scale", "Logs how noisy the loss is from batch to batch.",
                 {"beta", "float", 0.9, "how much of the averages each batch keeps, in [0, 1)"},
                 {"every", "int", 10, "log at every so many batches of an epoch"});
