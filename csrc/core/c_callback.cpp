#include "core/c_callback.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/clone.h>
#include <ATen/ops/contiguous.h>
#include <ATen/ops/copy.h>
#include <ATen/ops/empty_strided.h>

#include <limits>
#include <stdexcept>
#include <utility>

namespace pyhooks {

namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr pyhooks_view kNoTensor{nullptr, 0, 0, nullptr, nullptr, -1, -1};

static_assert(PYHOOKS_FLOAT16 == static_cast<int>(at::kHalf) && PYHOOKS_FLOAT32 == static_cast<int>(at::kFloat) &&
              PYHOOKS_FLOAT64 == static_cast<int>(at::kDouble) && PYHOOKS_BFLOAT16 == static_cast<int>(at::kBFloat16) &&
              PYHOOKS_UINT8 == static_cast<int>(at::kByte) && PYHOOKS_INT64 == static_cast<int>(at::kLong) &&
              PYHOOKS_BOOL == static_cast<int>(at::kBool));

// As autograd does with what it leaves in .grad: the parameter's strides, so that one loop goes through both.
void lay_out_like(const at::Tensor& param, at::Tensor& grad) {
  if (grad.layout() != at::kStrided) throw std::runtime_error("a C function cannot look into a sparse gradient");
  if (grad.strides() == param.strides() || (grad.is_contiguous() && param.is_contiguous())) return;
  at::NoGradGuard no_grad;
  grad = param.is_non_overlapping_and_dense()
             ? at::empty_strided(param.sizes(), param.strides(), grad.options()).copy_(grad)
             : grad.contiguous();
}

pyhooks_view view_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return kNoTensor;
  return {.data = tensor.mutable_data_ptr(),
          .numel = tensor.numel(),
          .ndim = tensor.dim(),
          .sizes = tensor.sizes().data(),
          .strides = tensor.strides().data(),
          .dtype = static_cast<std::int32_t>(tensor.scalar_type()),
          .device = tensor.is_cpu() ? -1 : static_cast<std::int32_t>(tensor.get_device())};
}

std::string_view or_none(const char* reason) { return reason ? reason : "no reason given"; }

}  // namespace

/// Each function may throw inside `answer`, which keeps the exception for when the callback has returned.
struct CCallback::Answers {
  static CCallback& self(pyhooks_batch* s) { return *static_cast<CCallback*>(s->core); }

  template <class Result, class Work>
  static Result answer(pyhooks_batch* s, Result otherwise, Work&& work) noexcept {
    try {
      return work(self(s));
    } catch (...) {
      failed(s, std::current_exception());
      return otherwise;
    }
  }

  template <class Work>
  static void act(pyhooks_batch* s, Work&& work) noexcept {
    answer(s, 0, [&](CCallback& self) { return work(self), 0; });
  }

  static void failed(pyhooks_batch* s, std::exception_ptr error) noexcept {
    std::exception_ptr& first = self(s).error_;
    if (!first) first = std::move(error);
  }

  static BatchContext& batch(CCallback& self, const char* what) {
    if (self.batch_context_) return *self.batch_context_;
    throw std::logic_error(std::string(what) + " is for batch events; " + self.batch_.event + " is none");
  }

  static double seconds(pyhooks_batch* s) { return self(s).context_->seconds(); }
  static double loss(pyhooks_batch* s) {
    return answer(s, kNone, [](CCallback& self) { return self.batch_context_ ? self.batch_context_->loss() : kNone; });
  }

  static std::size_t group_of(std::int64_t group) {
    if (group >= 0) return static_cast<std::size_t>(group);
    throw std::out_of_range("learning rate of group " + std::to_string(group) + " asked for; groups count from 0");
  }
  static std::int64_t num_groups(pyhooks_batch* s) { return static_cast<std::int64_t>(self(s).context_->num_groups()); }
  static double lr(pyhooks_batch* s, std::int64_t group) {
    return answer(s, kNone, [&](CCallback& self) {
      const bool is_there = self.context_->num_groups() > 0;
      return is_there ? self.context_->lr(group_of(group)) : kNone;
    });
  }
  static void set_lr(pyhooks_batch* s, double value, std::int64_t group) {
    act(s, [&](CCallback& self) { self.context_->set_lr(value, group_of(group)); });
  }
  static void scale_lr(pyhooks_batch* s, double factor) {
    act(s, [&](CCallback& self) { self.context_->scale_lr(factor); });
  }

  static std::int64_t num_params(pyhooks_batch* s) { return static_cast<std::int64_t>(self(s).context_->num_params()); }
  static const char* param_name(pyhooks_batch* s, std::int64_t i) {
    return answer(s, "", [&](CCallback& self) -> const char* {
      self.name_ = self.context_->param_name(checked(self, i));
      return self.name_.c_str();
    });
  }
  static const pyhooks_view* param(pyhooks_batch* s, std::int64_t i) {
    return view(s, i, 0, [i](CCallback& self) -> const at::Tensor& {
      return self.context_->param(static_cast<std::size_t>(i));
    });
  }
  static const pyhooks_view* grad(pyhooks_batch* s, std::int64_t i) {
    return view(s, i, 1, [i](CCallback& self) -> const at::Tensor& {
      BatchContext& context = batch(self, "grad");
      at::Tensor& grad = context.grad(static_cast<std::size_t>(i));
      if (grad.defined()) lay_out_like(context.param(static_cast<std::size_t>(i)), grad);
      return grad;
    });
  }

  static std::size_t checked(const CCallback& self, std::int64_t i) {
    const auto count = static_cast<std::int64_t>(self.context_->num_params());
    if (i >= 0 && i < count) return static_cast<std::size_t>(i);
    throw std::out_of_range("parameter " + std::to_string(i) + " asked for, but " + std::to_string(count) +
                            " parameters are trained");
  }

  template <class Find>
  static const pyhooks_view* view(pyhooks_batch* s, std::int64_t i, std::size_t kind, Find&& find) {
    return answer(s, &kNoTensor, [&](CCallback& self) -> const pyhooks_view* {
      const std::size_t at = checked(self, i);
      std::vector<pyhooks_view>& views = self.views_[kind];
      views.resize(self.context_->num_params());
      views[at] = view_of(find(self));
      return &views[at];
    });
  }

  static std::int32_t will_update(pyhooks_batch* s) {
    return self(s).batch_context_ && self(s).batch_context_->will_update();
  }
  static void skip_step(pyhooks_batch* s) {
    act(s, [](CCallback& self) { batch(self, "skip_step").skip_step(); });
  }

  static void log(pyhooks_batch* s, const char* name, double value) {
    act(s, [&](CCallback& self) { self.context_->log(name, value); });
  }
  static double logged(pyhooks_batch* s, const char* name) {
    double value = kNone;
    act(s, [&](CCallback& self) { self.context_->logged(name, value); });
    return value;
  }
  static double metric(pyhooks_batch* s, const char* name) {
    double value = kNone;
    act(s, [&](CCallback& self) { self.context_->metric(name, value); });
    return value;
  }

  static void request_stop(pyhooks_batch* s, const char* reason) {
    act(s, [&](CCallback& self) { self.context_->request_stop(or_none(reason)); });
  }
  static void request_save(pyhooks_batch* s, const char* reason) {
    act(s, [&](CCallback& self) { self.context_->request_save(or_none(reason)); });
  }
  static void snapshot(pyhooks_batch* s, const char* reason) {
    act(s, [&](CCallback& self) { self.context_->snapshot(or_none(reason)); });
  }

  static void fail(pyhooks_batch* s, const char* message) {
    act(s, [&](CCallback& self) {
      if (!message && self.entry_.pending_error) std::rethrow_exception(self.entry_.pending_error());
      throw std::runtime_error(message ? message : "the function failed without a message");
    });
  }

  static void put_into(pyhooks_batch& batch) {
    batch.seconds = seconds;
    batch.loss = loss;
    batch.num_groups = num_groups;
    batch.lr = lr;
    batch.set_lr = set_lr;
    batch.scale_lr = scale_lr;
    batch.num_params = num_params;
    batch.param_name = param_name;
    batch.param = param;
    batch.grad = grad;
    batch.will_update = will_update;
    batch.skip_step = skip_step;
    batch.log = log;
    batch.logged = logged;
    batch.metric = metric;
    batch.request_stop = request_stop;
    batch.request_save = request_save;
    batch.snapshot = snapshot;
    batch.fail = fail;
  }
};

CCallback::CCallback(CEntry entry) : entry_(std::move(entry)) {
  if (!entry_.function) throw std::invalid_argument("the C function's address is null");
  const at::Tensor& initial = entry_.state;
  if (initial.defined() && (initial.scalar_type() != at::kDouble || !initial.is_cpu()))
    throw std::invalid_argument("the state of a C function is an array of float64 on the CPU");
  state_ = copy_state();
  batch_.struct_size = sizeof(pyhooks_batch);
  batch_.core = this;
  batch_.event = info(entry_.event).name.data();
  Answers::put_into(batch_);
  reset_state();
}

EventMask CCallback::events() const {
  return bit(entry_.event) | (state_.defined() ? bit(Event::on_train_start) : EventMask{0});
}

void CCallback::state(State& state) {
  if (!state_.defined()) return;
  at::Tensor loaded = state_;
  state.field("state", loaded);  // reads into the same memory, unless the shape is another
  if (!loaded.is_same(state_))
    throw std::invalid_argument("the saved state has another shape than the state of this function");
}

at::Tensor CCallback::copy_state() const {
  const at::Tensor& source = state_.defined() ? state_ : entry_.state;
  return source.defined() ? source.contiguous().clone() : at::Tensor();
}

void CCallback::reset_state() {
  if (!state_.defined()) return;
  state_.copy_(entry_.state);
  batch_.state = state_.mutable_data_ptr<double>();
  batch_.state_size = state_.numel();
}

}  // namespace pyhooks
