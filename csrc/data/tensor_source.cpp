#include "data/tensor_source.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randperm.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace pyhooks {

namespace {

// DataLoader draws one number for its workers' seeds each time it is iterated, workers or not.
void draw_base_seed(const std::optional<at::Generator>& generator) { at::empty({}, at::kLong).random_(generator); }

}  // namespace

TensorSource::TensorSource(std::vector<at::Tensor> tensors, const Config& config)
    : tensors_(std::move(tensors)), config_(config) {
  if (tensors_.empty() || tensors_[0].dim() == 0) throw std::invalid_argument("a data source wants tensors with rows");
  rows_ = tensors_[0].size(0);
  for (at::Tensor& tensor : tensors_) {
    if (tensor.dim() == 0 || tensor.size(0) != rows_)
      throw std::invalid_argument("the tensors of a data source differ in rows");
    if (tensor.layout() != at::kStrided)
      throw std::invalid_argument("a data source wants dense tensors; one is sparse: call .to_dense() on it");
    if (!tensor.is_cpu())
      throw std::invalid_argument("a data source wants tensors on the CPU; one is on " + tensor.device().str());
    tensor = tensor.resolve_conj().resolve_neg().contiguous();  // rows are copied as bytes
  }
  if (rows_ == 0 || config_.batch_size < 1)
    throw std::invalid_argument("a data source wants at least one row, and batches of at least one");
  if (config_.seed) generator_ = at::detail::createCPUGenerator(*config_.seed);
}

std::int64_t TensorSource::batches() const {
  return config_.drop_last ? rows_ / config_.batch_size : (rows_ + config_.batch_size - 1) / config_.batch_size;
}

std::int64_t TensorSource::batch_bytes() const {
  std::int64_t bytes = 0;
  for (const at::Tensor& tensor : tensors_)
    bytes += static_cast<std::int64_t>(tensor.nbytes()) / rows_ * std::min(rows_, config_.batch_size);
  return bytes;
}

void TensorSource::begin_epoch() {
  position_ = 0;
  if (config_.quiet) return;
  draw_base_seed(generator_);
  if (!config_.shuffle) return;
  if (generator_) {
    order_ = at::randperm(rows_, generator_, at::kLong);
    return;
  }
  // RandomSampler without a generator seeds one of its own from the default generator.
  const std::int64_t seed = *at::empty({}, at::kLong).random_().const_data_ptr<std::int64_t>();
  order_ = at::randperm(rows_, at::detail::createCPUGenerator(static_cast<std::uint64_t>(seed)), at::kLong);
}

at::Tensor TensorSource::gather(const at::Tensor& rows, std::int64_t first, std::int64_t count) const {
  std::vector<std::int64_t> sizes = rows.sizes().vec();
  sizes[0] = count;
  at::Tensor batch = at::empty(sizes, rows.options());
  const std::size_t bytes = rows.nbytes() / static_cast<std::size_t>(rows_);
  const char* from = static_cast<const char*>(rows.const_data_ptr());
  char* to = static_cast<char*>(batch.mutable_data_ptr());
  if (bytes == 0) return batch;
  if (!order_.defined()) {
    std::memcpy(to, from + static_cast<std::size_t>(first) * bytes, static_cast<std::size_t>(count) * bytes);
    return batch;
  }
  const std::int64_t* order = order_.const_data_ptr<std::int64_t>() + first;
  for (std::int64_t i = 0; i < count; ++i, to += bytes)
    std::memcpy(to, from + static_cast<std::size_t>(order[i]) * bytes, bytes);
  return batch;
}

bool TensorSource::next(Batch& batch) {
  const std::int64_t count = std::min(config_.batch_size, rows_ - position_);
  if (count <= 0 || (config_.drop_last && count < config_.batch_size)) {
    finish_order();
    return false;
  }
  batch.tensors.resize(tensors_.size());
  for (std::size_t i = 0; i < tensors_.size(); ++i) batch.tensors[i] = gather(tensors_[i], position_, count);
  batch.samples = count;
  position_ += count;
  if (count < config_.batch_size) finish_order();  // the sampler was asked for more rows than it had
  return true;
}

// A sampler that is read to its end has drawn a second permutation, of which it took nothing.
void TensorSource::finish_order() {
  if (generator_ && order_.defined()) at::randperm(rows_, generator_, at::kLong);
  order_.reset();
}

at::Tensor TensorSource::generator_state() const { return generator_ ? generator_->get_state() : at::Tensor(); }

void TensorSource::set_generator_state(const at::Tensor& state) {
  if (!generator_) throw std::invalid_argument("this data source has no generator of its own whose state could be set");
  generator_->set_state(state);
}

}  // namespace pyhooks
