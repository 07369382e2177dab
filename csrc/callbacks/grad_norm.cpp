#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <string>

#include "pyhooks/norm.h"
#include "pyhooks/option_checks.h"
#include "pyhooks/plugin.h"

namespace pyhooks {

/// Logs the total norm of the gradients of each optimizer step, and of each parameter's if asked to: as backward left
/// them, or as the optimizer gets them.
class GradNorm final : public Callback {
 public:
  explicit GradNorm(const Options& options)
      : norm_type_(checked::positive(options, "GradNorm", "norm_type")),
        per_parameter_(options.get<bool>("per_parameter")),
        after_clipping_(options.get<bool>("after_clipping")),
        name_(options.get<std::string>("name")) {}

  std::vector<std::string> logs() const override { return {name_}; }

  void on_backward_end(BatchContext& ctx) override {
    if (!after_clipping_ && ctx.will_update()) measure(ctx);
  }
  // The short group of a stop, or of a source that could not tell its length, did not know at backward that it would
  // update: it is measured here.
  void optimizer_step(BatchContext& ctx) override {
    if (!measured_) measure(ctx);
  }
  void on_before_zero_grad(BatchContext&) override { measured_ = false; }

 private:
  void measure(BatchContext& ctx) {
    measured_ = true;
    defined_grads(ctx, grads_);
    if (grads_.empty()) return;
    const at::Tensor norms = each_norm(grads_, norm_type_);
    grads_.clear();
    ctx.log(name_, at::linalg_vector_norm(norms, norm_type_).item<double>());
    if (per_parameter_) log_each(ctx, norms.to(at::kCPU, at::kDouble));
  }

  void log_each(BatchContext& ctx, const at::Tensor& norms) {
    name_columns(ctx);
    const double* norm = norms.const_data_ptr<double>();
    for (std::size_t i = 0; i < ctx.num_params(); ++i)
      if (ctx.grad(i).defined()) ctx.log(columns_[i], *norm++);
  }

  void name_columns(BatchContext& ctx) {
    columns_.resize(ctx.num_params());
    for (std::size_t i = 0; i < columns_.size(); ++i)
      if (columns_[i].empty() || columns_[i].substr(name_.size() + 1) != ctx.param_name(i))
        columns_[i] = name_ + "/" + std::string(ctx.param_name(i));
  }

  double norm_type_;
  bool per_parameter_;
  bool after_clipping_;
  std::string name_;
  bool measured_ = false;  // the coming step's gradients
  std::vector<at::Tensor> grads_;
  std::vector<std::string> columns_;
};

PYHOOKS_CALLBACK(GradNorm, "grad_norm", "Logs the norm of the gradients of each optimizer step.",
                 {"norm_type", "float", 2.0, "the p of the p-norm; inf: the largest absolute value"},
                 {"per_parameter", "bool", false, "log each parameter's norm too, as <name>/<parameter>"},
                 {"after_clipping", "bool", false, "measure what the optimizer gets, not what backward left"},
                 {"name", "str", std::string("grad_norm"), "the history's column and the epoch's metric"});

}  // namespace pyhooks
