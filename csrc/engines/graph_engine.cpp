#include "engines/graph_engine.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace pyhooks {

namespace {

void append_signature(const at::Tensor& tensor, std::vector<std::int64_t>& signature) {
  signature.push_back(static_cast<std::int64_t>(tensor.scalar_type()));
  signature.push_back(tensor.dim());
  signature.insert(signature.end(), tensor.sizes().begin(), tensor.sizes().end());
  signature.insert(signature.end(), tensor.strides().begin(), tensor.strides().end());
}

}  // namespace

std::string GraphEngine::name() const {
  const auto& instead = instead_[static_cast<std::size_t>(Mode::train)];
  return instead ? instead->name() : "graph";
}

bool GraphEngine::draws_random() const {
  const auto mode = static_cast<std::size_t>(Mode::train);
  if (instead_[mode]) return instead_[mode]->draws_random();
  return !last_[mode] || last_[mode]->step->verify > 0 || last_[mode]->step->draws_random;
}

CapturedStep* GraphEngine::find(Mode mode, const Batch& batch) {
  const auto m = static_cast<std::size_t>(mode);
  if (instead_[m]) return nullptr;
  signature_.clear();
  for (const at::Tensor& tensor : batch.tensors) append_signature(tensor, signature_);
  ++steps_;
  if (last_[m] && last_[m]->signature == signature_) {
    last_[m]->used = steps_;
    return last_[m]->step.get();
  }
  for (auto& entry : plans_)
    if (entry->mode == mode && entry->signature == signature_) {
      entry->used = steps_;
      return (last_[m] = entry.get())->step.get();
    }
  auto captured = provider_->capture(mode, batch);
  if (auto* engine = std::get_if<1>(&captured)) {
    instead_[m] = std::move(*engine);
    return nullptr;
  }
  auto step = std::get<0>(captured);
  step->plan->bind(step->fixed);
  make_room();
  plans_.push_back(std::make_unique<Entry>(Entry{mode, signature_, std::move(step), steps_}));
  last_[m] = plans_.back().get();
  return last_[m]->step.get();
}

void GraphEngine::make_room() {
  if (plans_.size() < kMostPlans) return;
  const auto oldest =
      std::min_element(plans_.begin(), plans_.end(), [](const auto& a, const auto& b) { return a->used < b->used; });
  for (Entry*& last : last_)
    if (last == oldest->get()) last = nullptr;
  plans_.erase(oldest);
}

void GraphEngine::run(CapturedStep& step, Mode mode, const Batch& batch, StepResult& result) {
  step.plan->run(batch.tensors, mode == Mode::train, raw_);
  auto next = std::make_move_iterator(raw_.begin());
  if (mode != Mode::predict) result.loss = *next++;
  auto take = [&](std::vector<at::Tensor>& into, std::size_t count) {
    into.assign(next, next + static_cast<std::ptrdiff_t>(count));
    next += static_cast<std::ptrdiff_t>(count);
  };
  take(result.stats, step.n_stats);
  take(result.outputs, step.n_outputs);
  result.grads.assign(next, std::make_move_iterator(raw_.end()));
  raw_.clear();
}

void GraphEngine::step(Mode mode, const Batch& batch, StepResult& result) {
  CapturedStep* step = find(mode, batch);
  if (step && step->verify == 0) return run(*step, mode, batch, result);
  if (step) {
    --step->verify;
    instead_[static_cast<std::size_t>(mode)] =
        provider_->verify(mode, *step, batch, result, [&] { run(*step, mode, batch, result); });
  }
  if (auto& instead = instead_[static_cast<std::size_t>(mode)]) instead->step(mode, batch, result);
}

}  // namespace pyhooks
