#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_copy.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "pyhooks/context.h"
#include "pyhooks/state.h"

namespace pyhooks {

/// Copies of tensors, made again and again into the same memory.
class TensorCopies {
 public:
  /// Copies `tensors`; where they have the form of the last ones, into the memory of the last copies.
  void take(std::vector<at::Tensor> tensors) {
    at::NoGradGuard no_grad;
    originals_ = std::move(tensors);
    if (same(originals_, same_place)) return copy(copies_, originals_);
    copies_.clear();
    for (const at::Tensor& tensor : originals_) copies_.push_back(tensor.detach().clone());
  }

  std::size_t size() const { return copies_.size(); }

  /// Of `tensors`, those that the copies were made of, in order; empty unless all of those are there. Copies that come
  /// from a checkpoint were made of another process's tensors: these they fit by position and form.
  std::vector<at::Tensor> originals_among(const std::vector<at::Tensor>& tensors) const {
    if (originals_.empty()) return same(tensors, same_form) ? tensors : std::vector<at::Tensor>{};
    std::vector<at::Tensor> found;
    for (const at::Tensor& tensor : tensors)
      if (found.size() < size() && tensor.is_same(originals_[found.size()])) found.push_back(tensor);
    return found.size() == size() ? found : std::vector<at::Tensor>{};
  }

  /// Writes the copies into these tensors, `size()` of them, in place.
  void restore(const std::vector<at::Tensor>& originals) const {
    at::NoGradGuard no_grad;
    copy(originals, copies_);
  }

  void clear() {
    originals_.clear();
    copies_.clear();
  }

  /// Keeps the copies as fields "<name>.0", "<name>.1" and so on, and how many there are as "<name>".
  void state(State& state, const std::string& name) {
    auto count = static_cast<std::int64_t>(size());
    state.field(name, count);
    if (state.loading()) {
      originals_.clear();
      copies_.resize(static_cast<std::size_t>(count));
    }
    for (std::size_t i = 0; i < size(); ++i) state.field(name + "." + std::to_string(i), copies_[i]);
  }

 private:
  static bool same_form(const at::Tensor& a, const at::Tensor& b) {
    return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type();
  }
  static bool same_place(const at::Tensor& a, const at::Tensor& b) {
    return same_form(a, b) && a.device() == b.device();
  }
  template <class Same>
  bool same(const std::vector<at::Tensor>& tensors, Same alike) const {
    return std::equal(copies_.begin(), copies_.end(), tensors.begin(), tensors.end(), alike);
  }
  static void copy(const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from) {
    std::vector<at::Tensor> others_to;
    std::vector<at::Tensor> others_from;
    for (std::size_t i = 0; i < to.size(); ++i) {
      if (small(to[i], from[i])) {
        std::memcpy(to[i].mutable_data_ptr(), from[i].const_data_ptr(), to[i].nbytes());
      } else {
        others_to.push_back(to[i]);
        others_from.push_back(from[i]);
      }
    }
    if (!others_to.empty()) at::_foreach_copy_(others_to, others_from);
  }
  // Batch norm's statistics, say: at::copy_ takes longer to find out what to do than to do it.
  static bool small(const at::Tensor& a, const at::Tensor& b) {
    constexpr std::int64_t kSmall = 4096;
    return a.numel() > 0 && a.numel() <= kSmall && a.is_cpu() && b.is_cpu() && a.scalar_type() == b.scalar_type() &&
           a.layout() == at::kStrided && b.layout() == at::kStrided && a.strides() == b.strides() &&
           a.is_non_overlapping_and_dense();
  }

  std::vector<at::Tensor> originals_;  // empty: from a checkpoint, or nothing was taken
  std::vector<at::Tensor> copies_;
};

namespace detail {

inline std::vector<at::Tensor> params(Context& ctx) {
  std::vector<at::Tensor> tensors;
  for (std::size_t i = 0; i < ctx.num_params(); ++i) tensors.push_back(ctx.param(i));
  return tensors;
}

inline std::vector<at::Tensor> buffers(Context& ctx) {
  std::vector<at::Tensor> tensors;
  for (std::size_t i = 0; i < ctx.num_buffers(); ++i) tensors.push_back(ctx.buffer(i));
  return tensors;
}

inline std::vector<at::Tensor> optimizer_tensors(Context& ctx) {
  std::vector<at::Tensor> tensors;
  for (std::size_t i = 0, count = ctx.num_optimizer_tensors(); i < count; ++i)
    tensors.push_back(ctx.optimizer_tensor(i));
  return tensors;
}

}  // namespace detail

/// A copy of all that training changes, to go back to: parameters, buffers, the optimizer's tensors.
///
/// Going back leaves alone what else moves on: step counts and schedules, the random numbers and the order of the data. So
/// what comes next are other batches with other random numbers; the same ones would only lead to where they led before.
/// Numbers that an optimizer stepped in Python keeps outside of tensors stay as they are too.
///
/// Example: go back when the loss is bad.
///
///     class Back final : public pyhooks::Callback {
///       void on_train_epoch_start(pyhooks::Context& ctx) override { copy_.take(ctx); }
///       void on_backward_end(pyhooks::BatchContext& ctx) override {
///         if (ctx.loss() > 100 && copy_.restore(ctx)) ctx.skip_step();
///       }
///       pyhooks::TrainingCopy copy_;
///     };
class TrainingCopy {
 public:
  /// Copies everything, into the memory of the last copy: from the second time on no tensor is allocated.
  void take(Context& ctx) {
    params_.take(detail::params(ctx));
    buffers_.take(detail::buffers(ctx));
    optimizer_.take(detail::optimizer_tensors(ctx));
    taken_ = true;
  }

  /// Puts everything back, bit for bit. Optimizer tensors that have been made since the copy become zero, which is what
  /// the optimizers make them from: momenta, second moments and step counts start anew. Returns false, and changes
  /// nothing, if there is no copy or it is one of other tensors (layers were frozen or unfrozen since).
  bool restore(Context& ctx) const {
    const std::vector<at::Tensor> params = detail::params(ctx);
    const std::vector<at::Tensor> buffers = detail::buffers(ctx);
    const std::vector<at::Tensor> optimizer = detail::optimizer_tensors(ctx);
    const std::vector<at::Tensor> known = optimizer_.originals_among(optimizer);
    if (!taken_ || !of_all(params_, params) || !of_all(buffers_, buffers) || known.size() != optimizer_.size())
      return false;
    params_.restore(params);
    buffers_.restore(buffers);
    optimizer_.restore(known);
    for (const at::Tensor& tensor : optimizer)
      if (!contains(known, tensor)) tensor.zero_();
    return true;
  }

  bool taken() const { return taken_; }

  /// Forgets the copy and gives its memory back.
  void clear() {
    for (TensorCopies* copies : {&params_, &buffers_, &optimizer_}) copies->clear();
    taken_ = false;
  }

  /// Keeps the copy in checkpoints, which grow by its size.
  void state(State& state) {
    state.field("taken", taken_);
    params_.state(state, "param");
    buffers_.state(state, "buffer");
    optimizer_.state(state, "optimizer");
  }

 private:
  static bool of_all(const TensorCopies& copies, const std::vector<at::Tensor>& tensors) {
    return copies.size() == tensors.size() && copies.originals_among(tensors).size() == tensors.size();
  }
  static bool contains(const std::vector<at::Tensor>& tensors, const at::Tensor& tensor) {
    return std::any_of(tensors.begin(), tensors.end(), [&](const at::Tensor& other) { return other.is_same(tensor); });
  }

  TensorCopies params_;
  TensorCopies buffers_;
  TensorCopies optimizer_;
  bool taken_ = false;
};

/// The buffers as they were before a batch: what its forward pass has put into them (batch norm's running statistics) is
/// taken back for a batch that is left out.
class BuffersBeforeBatch {
 public:
  /// At `on_train_batch_start`.
  void take(BatchContext& ctx) {
    copies_.take(detail::buffers(ctx));
    batch_ = ctx.samples_seen();
  }
  /// Later in the same batch; after another one it does nothing.
  void restore(BatchContext& ctx) const {
    if (batch_ == ctx.samples_seen()) copies_.restore(detail::buffers(ctx));
  }

 private:
  TensorCopies copies_;
  std::int64_t batch_ = -1;
};

}  // namespace pyhooks
