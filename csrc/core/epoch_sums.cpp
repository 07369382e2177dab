#include "core/epoch_sums.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/item.h>

namespace pyhooks {

double scalar_value(const at::Tensor& tensor) {
  if (tensor.scalar_type() == at::kFloat && tensor.is_cpu())
    return static_cast<double>(*tensor.const_data_ptr<float>());
  return tensor.item().toDouble();
}

void EpochSums::clear() {
  loss_ = 0;
  samples_ = 0;
  for (auto& stats : stats_) stats.assign(stats.size(), 0.0);
}

namespace {

template <class T>
void add_values(std::vector<double>& sums, const at::Tensor& values) {
  const T* data = values.const_data_ptr<T>();
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(data[i]);
}

void add_stats(std::vector<double>& sums, const at::Tensor& stats) {
  sums.resize(static_cast<std::size_t>(stats.numel()), 0.0);
  if (stats.is_cpu() && stats.is_contiguous() && stats.scalar_type() == at::kFloat)
    return add_values<float>(sums, stats);
  add_values<double>(sums, stats.to(at::kCPU, at::kDouble).contiguous());
}

}  // namespace

void EpochSums::add(double loss, const StepResult& result, std::int64_t samples) {
  loss_ += loss * static_cast<double>(samples);
  samples_ += samples;
  stats_.resize(result.stats.size());
  for (std::size_t i = 0; i < stats_.size(); ++i) add_stats(stats_[i], result.stats[i]);
}

}  // namespace pyhooks
