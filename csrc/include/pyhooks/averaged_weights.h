#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/clone.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "pyhooks/lent_weights.h"
#include "pyhooks/option_checks.h"
#include "pyhooks/state.h"

namespace pyhooks {

/// Averages of the trained parameters and the model's buffers, kept beside the model: what EMA and SWA are made of.
///
/// An average begins as a copy, at its first update or at `begin`. A parameter that is frozen later on is averaged
/// still. Buffers are averaged too, or copied at each update: `use_buffers` of torch.optim.swa_utils.AveragedModel.
class AveragedWeights {
 public:
  /// The option `buffers` of callback `who` is "copy" or "average"; std::invalid_argument for anything else.
  AveragedWeights(const Options& options, const std::string& who)
      : average_buffers_(checked::choice(options, who, "buffers", {"copy", "average"}) == 1) {}

  /// Forgets all averages.
  void reset(Context& ctx) {
    entries_.clear();
    follow(ctx);
  }

  /// Copies what has no average yet.
  void begin() {
    at::NoGradGuard no_grad;
    for (Entry& entry : entries_)
      if (!entry.average.defined()) entry.average = entry.model.detach().clone();
    arrange();
  }

  /// Calls `average(averages, model)` with lists of tensors of the same device and dtype, then begins what has no average
  /// yet. Costs nothing but that while the model's tensors stay the same ones.
  template <class Average>
  void update(Context& ctx, Average&& average) {
    at::NoGradGuard no_grad;
    if (!follows(ctx)) follow(ctx);
    for (Bucket& bucket : averaged_) average(bucket.averages, bucket.model);
    for (Bucket& bucket : copied_) at::_foreach_copy_(bucket.averages, bucket.model);
    if (!begun_) begin();
  }

  /// Lets the model have the averages during validation; for `on_val_start`.
  void lend(Context& ctx, std::string_view label) const {
    const Bucket all = begun();
    lend_weights(ctx, all.model, all.averages, label);
  }

  /// Gives the model the averages for good.
  void give() const {
    at::NoGradGuard no_grad;
    const Bucket all = begun();
    if (!all.model.empty()) at::_foreach_copy_(all.model, all.averages);
  }

  /// Names the averages "average.<parameter or buffer>".
  void state(State& state) {
    for (Entry& entry : entries_) {
      if (state.loading() && !entry.average.defined()) entry.average = at::empty_like(entry.model);
      state.field("average." + entry.name, entry.average);
      if (entry.average.defined() && entry.average.sizes() != entry.model.sizes())
        throw std::invalid_argument("the saved average of " + entry.name + " has another shape than the model's");
    }
    if (state.loading()) arrange();
  }

 private:
  struct Entry {
    std::string name;
    bool buffer;
    at::Tensor model;
    at::Tensor average;  // undefined: not begun
  };
  struct Bucket {
    std::vector<at::Tensor> averages;
    std::vector<at::Tensor> model;
  };

  static bool alike(const at::Tensor& a, const at::Tensor& b) {
    return a.device() == b.device() && a.scalar_type() == b.scalar_type();
  }

  // Whether the model's tensors are those that were followed last.
  bool follows(Context& ctx) const {
    const std::size_t params = ctx.num_params();
    if (followed_.size() != params + ctx.num_buffers()) return false;
    for (std::size_t i = 0; i < followed_.size(); ++i)
      if (followed_[i] != (i < params ? ctx.param(i) : ctx.buffer(i - params)).unsafeGetTensorImpl()) return false;
    return true;
  }

  void follow(Context& ctx) {
    followed_.clear();
    for (std::size_t i = 0; i < ctx.num_params(); ++i) follow(ctx.param_name(i), ctx.param(i), false);
    for (std::size_t i = 0; i < ctx.num_buffers(); ++i) follow(ctx.buffer_name(i), ctx.buffer(i), true);
    arrange();
  }

  void follow(std::string_view name, const at::Tensor& tensor, bool buffer) {
    followed_.push_back(tensor.unsafeGetTensorImpl());
    auto entry = std::find_if(entries_.begin(), entries_.end(),
                              [&](const Entry& e) { return e.name == name && e.buffer == buffer; });
    if (entry == entries_.end()) entry = entries_.insert(entry, {std::string(name), buffer, {}, {}});
    entry->model = tensor;
    at::Tensor& average = entry->average;
    if (average.defined() && (!alike(average, tensor) || average.sizes() != tensor.sizes())) average.reset();
  }

  // Sorts what has an average into lists that the foreach operations take.
  void arrange() {
    averaged_.clear();
    copied_.clear();
    for (const Entry& entry : entries_)
      if (entry.average.defined()) place(entry, entry.buffer && !average_buffers_ ? copied_ : averaged_);
    begun_ = std::all_of(entries_.begin(), entries_.end(), [](const Entry& e) { return e.average.defined(); });
  }

  static void place(const Entry& entry, std::vector<Bucket>& buckets) {
    auto bucket = std::find_if(buckets.begin(), buckets.end(),
                               [&](const Bucket& b) { return alike(b.averages.front(), entry.average); });
    if (bucket == buckets.end()) bucket = buckets.insert(bucket, Bucket{});
    bucket->averages.push_back(entry.average);
    bucket->model.push_back(entry.model);
  }

  Bucket begun() const {
    Bucket all;
    for (const Entry& entry : entries_) {
      if (!entry.average.defined()) continue;
      all.averages.push_back(entry.average);
      all.model.push_back(entry.model);
    }
    return all;
  }

  bool average_buffers_;
  std::vector<Entry> entries_;
  std::vector<const void*> followed_;  // the model's tensors, in the context's order
  std::vector<Bucket> averaged_;
  std::vector<Bucket> copied_;
  bool begun_ = false;
};

}  // namespace pyhooks
