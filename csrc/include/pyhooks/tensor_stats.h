#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/count_nonzero.h>
#include <ATen/ops/histc.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/std.h>

#include <array>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "pyhooks/tap.h"

namespace pyhooks {

/// A statistic of a tensor, by name. In the tensor's own precision, half and bfloat16 in float.
struct TensorStat {
  std::string_view name;
  double (*of)(const at::Tensor&);
};

/// The scalar statistics there are.
inline constexpr auto kTensorStats = std::to_array<TensorStat>({
    {"mean", [](const at::Tensor& x) { return at::mean(x).item().toDouble(); }},
    // Of the population: a single value has 0, not NaN.
    {"std", [](const at::Tensor& x) { return at::std(x, std::nullopt, 0).item().toDouble(); }},
    {"norm", [](const at::Tensor& x) { return at::linalg_vector_norm(x).item().toDouble(); }},
    {"zeros",
     [](const at::Tensor& x) {
       const auto all = static_cast<double>(x.numel());
       return (all - at::count_nonzero(x).item().toDouble()) / all;
     }},
    {"nonfinite",
     [](const at::Tensor& x) {
       return static_cast<double>(x.numel()) - at::count_nonzero(at::isfinite(x)).item().toDouble();
     }},
});

/// Logs statistics of each tensor it is on; the base of ActivationStats and GradStats.
class TensorStats : public TensorHook {
 public:
  explicit TensorStats(const Options& options) : bins_(options.get<std::int64_t>("bins")) {
    if (bins_ < 1) throw std::invalid_argument("bins is " + std::to_string(bins_) + "; it must be at least 1");
    if (options.has("range")) range_ = options.get<double>("range");
    if (!(range_ >= 0) || (options.has("range") && !(range_ > 0 && std::isfinite(range_))))
      throw std::invalid_argument("range is " + std::to_string(range_) + "; it must be above 0, and finite");
    choose(options.get<std::string>("stats"));
  }

  std::vector<std::string> logs() const override {
    std::vector<std::string> names;
    for (const TensorStat* stat : chosen_) names.emplace_back(stat->name);
    return names;
  }
  std::vector<Histogram> histograms() const override { return histograms_; }

  void on_train_start(Context&) override { histograms_.clear(); }
  void on_train_epoch_start(Context&) override {
    for (Histogram& histogram : histograms_) histogram.counts.assign(static_cast<std::size_t>(bins_), 0);
  }

  void see(TapContext& ctx, const at::Tensor& tensor) override {
    const at::Tensor x = computable(tensor);
    for (const TensorStat* stat : chosen_) ctx.log(stat->name, stat->of(x));
    if (with_histogram_ && x.numel() > 0) count(ctx, x);
  }

 private:
  static at::Tensor computable(const at::Tensor& tensor) {
    const at::Tensor dense = tensor.is_sparse() ? tensor.to_dense() : tensor;
    const bool small = dense.scalar_type() == at::kHalf || dense.scalar_type() == at::kBFloat16;
    return small ? dense.to(at::kFloat) : dense;
  }

  // "mean, norm": names with commas between.
  void choose(std::string_view names) {
    while (!names.empty()) {
      const std::size_t comma = names.find(',');
      std::string_view name = names.substr(0, comma);
      names = comma == std::string_view::npos ? std::string_view() : names.substr(comma + 1);
      while (name.starts_with(' ')) name.remove_prefix(1);
      while (name.ends_with(' ')) name.remove_suffix(1);
      add(name);
    }
    if (chosen_.empty() && !with_histogram_) throw std::invalid_argument("stats is empty; there are " + all_names());
  }

  void add(std::string_view name) {
    if (name == "histogram") {
      with_histogram_ = true;
      return;
    }
    for (const TensorStat& stat : kTensorStats)
      if (stat.name == name) return chosen_.push_back(&stat);
    throw std::invalid_argument("no statistic '" + std::string(name) + "'; there are " + all_names());
  }

  static std::string all_names() {
    std::string names;
    for (const TensorStat& stat : kTensorStats) names.append(stat.name).append(", ");
    return names + "histogram";
  }

  void count(const TapContext& ctx, const at::Tensor& x) {
    if (histograms_.size() <= ctx.slot()) histograms_.resize(ctx.slot() + 1);
    Histogram& histogram = histograms_[ctx.slot()];
    if (histogram.counts.empty()) begin(histogram, ctx, x);
    const at::Tensor inside = at::clamp(x, histogram.low, histogram.high);
    const at::Tensor counts = at::histc(inside, bins_, histogram.low, histogram.high).to(at::kCPU, at::kDouble);
    const double* found = counts.const_data_ptr<double>();
    for (std::size_t i = 0; i < histogram.counts.size(); ++i) histogram.counts[i] += std::llround(found[i]);
  }

  void begin(Histogram& histogram, const TapContext& ctx, const at::Tensor& x) const {
    double high = range_ > 0 ? range_ : at::abs(x).max().item().toDouble();
    if (!(high > 0 && std::isfinite(high))) high = 1;
    histogram = {std::string(ctx.name()), -high, high, std::vector<std::int64_t>(static_cast<std::size_t>(bins_), 0)};
  }

  std::vector<const TensorStat*> chosen_;
  bool with_histogram_ = false;
  std::int64_t bins_;
  double range_ = 0;                   // 0: from the first tensor
  std::vector<Histogram> histograms_;  // by slot
};

}  // namespace pyhooks

/// The options of a TensorStats class, for its registration.
#define PYHOOKS_TENSOR_STATS_OPTIONS                                                                           \
  {"stats", "str", std::string("mean, std, norm, zeros, nonfinite"),                                           \
   "which, with commas between: mean, std, norm, zeros (the share of them), nonfinite (how many), histogram"}, \
      {"bins", "int", std::int64_t{64}, "bins of the histogram"},                                              \
      {"range",                                                                                                \
       "float",                                                                                                \
       {},                                                                                                     \
       "the histogram goes from -range to range; None: the first tensor's largest absolute value"}
