#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "pyhooks/callback.h"
#include "pyhooks/plugin.h"

namespace pyhooks {

/// Which tensors a hook is on.
enum class TapKind : std::uint8_t {
  output,      ///< what a module returns
  grad,        ///< the gradient of the loss by what a module returns
  param_grad,  ///< a parameter's gradient, summed over an accumulation group, before clipping
};

/// "output", "grad" or "param_grad".
constexpr std::string_view kind_name(TapKind kind) {
  return kind == TapKind::output ? "output" : kind == TapKind::grad ? "grad" : "param_grad";
}

/// One of the tensors that a hook is on.
struct TapSite {
  std::string name;  ///< the module's, as "layer1.0.conv1"; "lstm[1]": in what it returns; "fc#2": of its second call
  TapKind kind = TapKind::output;
  std::size_t slot = 0;  ///< numbers the tensors of one hook from 0, in the order in which they first came
};

/// What a tensor hook is handed beside the tensor. Valid during the call only.
class TapContext {
 public:
  TapContext(BatchContext& batch, const TapSite& site, bool again) : batch_(batch), site_(site), again_(again) {}

  std::string_view name() const { return site_.name; }
  TapKind kind() const { return site_.kind; }
  std::size_t slot() const { return site_.slot; }

  std::int64_t epoch() const { return batch_.epoch(); }
  std::int64_t batch() const { return batch_.batch(); }
  std::int64_t global_step() const { return batch_.global_step(); }

  /// Whether this tensor is computed a second time in this batch: by the recomputation of activation checkpointing, or
  /// by the comparison of a new plan with eager. Only `replace` is called then; `log` and the requests do nothing.
  bool again() const { return again_; }

  /// Notes a number in the batch's row of the history, column "<tensor>/<kind>/<name>", as "fc1/output/mean". The
  /// epoch's metrics hold the mean.
  void log(std::string_view name, double value) {
    if (again_) return;
    const std::string_view kind = kind_name(site_.kind);
    column_.assign(site_.name).append(1, '/').append(kind).append(1, '/').append(name);
    batch_.log(column_, value);
  }

  /// Leaves out the coming optimizer step, as `BatchContext::skip_step` does.
  void skip_step() { requests_.skip = requests_.skip || !again_; }
  /// Asks training to end after this batch, as `Context::request_stop` does.
  void request_stop(std::string_view reason) {
    if (!again_) requests_.stop = reason;
  }

  /// What has been asked for. It is done when the backward pass is.
  struct Requests {
    bool skip = false;
    std::optional<std::string> stop;
  };
  const Requests& requests() const { return requests_; }

 private:
  BatchContext& batch_;
  const TapSite& site_;
  bool again_;
  std::string column_;
  Requests requests_;
};

/// How often values fell into each of `counts.size()` bins of equal width from `low` to `high`; what lies outside is in
/// the first and the last.
struct Histogram {
  std::string name;  ///< the tensor's
  double low = 0;
  double high = 0;
  std::vector<std::int64_t> counts;
};

/// A callback that also sees tensors inside the model: derive, override `see` to look at them or `replace` to put others
/// in their place, and any event of Callback besides.
///
/// When: in each training batch that the registration's `every` lets pass, at the moment the tensor is there; a parameter's
/// gradient at `on_backward_end`, once an optimizer step. Never in validation, `evaluate` or `predict`. In every engine:
/// without Python and without the GIL in the graph engine.
///
/// Tensors are handed over without autograd history. Do not change them in place; keep a clone, not the tensor.
///
/// Example: stop when a layer has died.
///
///     class DeadLayer final : public pyhooks::TensorHook {
///      public:
///       void see(pyhooks::TapContext& ctx, const at::Tensor& x) override {
///         if (at::count_nonzero(x).item<std::int64_t>() == 0) ctx.request_stop("all zeros at " + std::string(ctx.name()));
///       }
///     };
///     PYHOOKS_TENSOR_HOOK(DeadLayer, "dead_layer", "Stops training when a layer returns nothing but zeros.");
class TensorHook : public Callback {
 public:
  /// Whether `replace` is called, and not `see`.
  virtual bool replaces() const { return false; }
  /// Whether the hook makes sense on that kind of tensor; where not, `add_hook` is refused.
  virtual bool fits(TapKind) const { return true; }

  /// Looks at a tensor. Training goes on bit for bit as if nobody looked.
  virtual void see(TapContext&, const at::Tensor&) {}

  /// Returns what goes on in the tensor's place: of its size, dtype and device.
  ///
  /// A replaced output passes its gradient on unchanged, as if a constant had been added to it (the straight-through
  /// rule): y = x + c with c = replace(x) - x, so dL/dx = dL/dy. A hook that wants another gradient goes on "grad" too.
  ///
  /// The result may depend on the tensor, the context's numbers and torch's default generator, and on nothing that an
  /// earlier call in the same batch has changed: see `TapContext::again`.
  virtual at::Tensor replace(TapContext&, const at::Tensor& tensor) { return tensor; }

  /// Names of what it logs, without the tensor's: "mean", not "fc1/output/mean".
  std::vector<std::string> logs() const override { return {}; }

  /// This epoch's histograms, one a tensor, for `handle.histogram(name)`.
  virtual std::vector<Histogram> histograms() const { return {}; }
};

#pragma GCC visibility push(hidden)
namespace detail {

template <class T>
constexpr void check_tensor_hook() {
  constexpr bool sees = !std::is_same_v<decltype(&T::see), void (TensorHook::*)(TapContext&, const at::Tensor&)>;
  constexpr bool gives =
      !std::is_same_v<decltype(&T::replace), at::Tensor (TensorHook::*)(TapContext&, const at::Tensor&)>;
  constexpr bool says = !std::is_same_v<decltype(&T::replaces), bool (TensorHook::*)() const>;
  static_assert(sees != gives,
                "a tensor hook overrides one of these: "
                "void see(pyhooks::TapContext& ctx, const at::Tensor& x) override; or "
                "at::Tensor replace(pyhooks::TapContext& ctx, const at::Tensor& x) override");
  static_assert(gives == says, "a tensor hook overrides replace() and replaces() together");
}

template <class T>
ClassInfo tensor_hook_info(std::string name, std::string class_name, std::string help,
                           std::vector<OptionSpec> options) {
  if constexpr (derives<TensorHook, T>) {
    check_tensor_hook<T>();
    return {"tensor_hook",      std::move(name),        std::move(class_name), std::move(help),
            std::move(options), overridden_events<T>(), &make<TensorHook, T>};
  }
  return {};
}

}  // namespace detail
#pragma GCC visibility pop

}  // namespace pyhooks

/// Registers a tensor hook class under a name, as PYHOOKS_CALLBACK does a callback class.
#define PYHOOKS_TENSOR_HOOK(Class, name, help, ...)                         \
  PYHOOKS_CHECK_CLASS(Class, ::pyhooks::TensorHook, "pyhooks::TensorHook"); \
  PYHOOKS_REGISTER(::pyhooks::detail::tensor_hook_info<Class>(name, #Class, help, {__VA_ARGS__}))
