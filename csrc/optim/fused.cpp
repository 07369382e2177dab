#include "optim/fused.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace pyhooks {

namespace {

at::Tensor new_state(std::string_view name, const at::Tensor& param) {
  if (name == "step") return at::zeros({}, param.options().dtype(at::kFloat));
  return at::zeros_like(param, {}, at::MemoryFormat::Preserve);
}

}  // namespace

FusedOptimizer::FusedOptimizer(std::vector<at::Tensor> params, std::vector<ParamGroup> groups,
                               std::vector<ParamState> states)
    : params_(std::move(params)), groups_(std::move(groups)), states_(std::move(states)) {
  states_.resize(params_.size());
}

FusedOptimizer::Bucket& FusedOptimizer::bucket_for(std::size_t group, std::size_t param, bool fresh) {
  const at::Tensor& tensor = params_[param];
  for (Bucket& bucket : buckets_) {
    const at::Tensor& other = bucket.params.front();
    if (bucket.group == group && bucket.fresh == fresh && other.device() == tensor.device() &&
        other.scalar_type() == tensor.scalar_type())
      return bucket;
  }
  buckets_.push_back({.group = group, .fresh = fresh, .indices = {}, .params = {}, .grads = {}, .states = {}});
  return buckets_.back();
}

void FusedOptimizer::plan(const std::vector<at::Tensor>& grads) {
  buckets_.clear();
  fresh_ = false;
  planned_for_.assign(grads.size(), false);
  for (std::size_t i = 0; i < grads.size(); ++i) planned_for_[i] = grads[i].defined();
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const std::span<const char* const> names = state_names(groups_[g]);
    for (std::size_t i : groups_[g].params) {
      if (!planned_for_.at(i)) continue;
      const bool fresh = !names.empty() && !states_[i].contains(names.back());
      fresh_ |= fresh;
      Bucket& bucket = bucket_for(g, i, fresh);
      bucket.indices.push_back(i);
      bucket.params.push_back(params_[i]);
      bucket.states.resize(names.size());
      for (std::size_t k = 0; k < names.size(); ++k) {
        at::Tensor& state = states_[i][names[k]];
        if (!state.defined()) state = new_state(names[k], params_[i]);
        bucket.states[k].push_back(state);
      }
    }
  }
}

// Whether the buckets are those for these gradients, and for the groups' options (a momentum may come and go).
bool FusedOptimizer::planned(const std::vector<at::Tensor>& grads) const {
  if (fresh_ || planned_for_.size() != grads.size()) return false;
  for (std::size_t i = 0; i < grads.size(); ++i)
    if (planned_for_[i] != grads[i].defined()) return false;
  return std::all_of(buckets_.begin(), buckets_.end(), [this](const Bucket& bucket) {
    return bucket.states.size() == state_names(groups_[bucket.group]).size();
  });
}

void FusedOptimizer::step(const std::vector<at::Tensor>& grads) {
  if (!planned(grads)) plan(grads);
  for (Bucket& bucket : buckets_) {
    bucket.grads.clear();
    for (std::size_t i : bucket.indices) bucket.grads.push_back(grads[i]);
    update(groups_[bucket.group], bucket);
    bucket.grads.clear();
  }
}

std::vector<at::Tensor> FusedOptimizer::state_tensors() {
  std::vector<at::Tensor> tensors;
  for (const ParamState& state : states_)
    for (const auto& [name, tensor] : state) tensors.push_back(tensor);
  return tensors;
}

}  // namespace pyhooks
