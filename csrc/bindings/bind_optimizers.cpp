#include <ATen/core/grad_mode.h>
#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include "bindings/bindings.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "optim/fused.h"

namespace py = pybind11;
using namespace pyhooks;

namespace {

py::tuple to_tuple(const Hyper& hyper) {
  return py::make_tuple(hyper.lr, hyper.momentum, hyper.beta1, hyper.beta2, hyper.weight_decay);
}

Hyper to_hyper(const py::tuple& fields) {
  return {fields[0].cast<double>(), fields[1].cast<double>(), fields[2].cast<double>(), fields[3].cast<double>(),
          fields[4].cast<double>()};
}

/// An optimizer that only Python knows: stepped with the GIL held, once a step.
class PythonOptimizer final : public Optimizer {
 public:
  /// `function(grads, hypers)`: grads are tensors or None; hypers one tuple a group.
  /// `states()`: the optimizer's state tensors.
  PythonOptimizer(py::object function, py::object states, std::size_t groups)
      : function_(std::move(function)), states_(std::move(states)), hypers_(groups) {}
  ~PythonOptimizer() override {
    Gil gil;
    function_ = py::object();
    states_ = py::object();
  }

  std::size_t groups() const override { return hypers_.size(); }
  Hyper& hyper(std::size_t group) override { return hypers_.at(group); }

  void step(const std::vector<at::Tensor>& grads) override {
    Gil gil;
    py::list gradients;
    for (const at::Tensor& grad : grads) gradients.append(grad.defined() ? py::cast(grad) : py::none());
    py::list hypers;
    for (const Hyper& hyper : hypers_) hypers.append(to_tuple(hyper));
    function_(gradients, hypers);
  }

  std::vector<at::Tensor> state_tensors() override {
    Gil gil;
    return states_().cast<std::vector<at::Tensor>>();
  }

 private:
  py::object function_;
  py::object states_;
  std::vector<Hyper> hypers_;
};

/// Copies torch.optim's options of a group; those it does not have keep their defaults.
void set_options(ParamGroup& group, const py::dict& options) {
  group.hyper = to_hyper(options["hyper"]);
  auto number = [&](const char* name, double& value) {
    if (options.contains(name)) value = options[name].cast<double>();
  };
  auto flag = [&](const char* name, bool& value) {
    if (options.contains(name)) value = options[name].cast<bool>();
  };
  number("eps", group.eps);
  number("dampening", group.dampening);
  number("lr_decay", group.lr_decay);
  flag("nesterov", group.nesterov);
  flag("maximize", group.maximize);
  flag("amsgrad", group.amsgrad);
}

std::shared_ptr<FusedOptimizer> make(const std::string& kind, std::vector<at::Tensor> params, const py::list& groups,
                                     std::vector<ParamState> states) {
  std::vector<ParamGroup> param_groups;
  for (py::handle item : groups) {
    const py::dict options = py::reinterpret_borrow<py::dict>(item);
    ParamGroup group;
    group.params = options["params"].cast<std::vector<std::size_t>>();
    set_options(group, options);
    param_groups.push_back(std::move(group));
  }
  return make_fused_optimizer(kind, std::move(params), std::move(param_groups), std::move(states));
}

}  // namespace

void bind_optimizers(py::module_& module) {
  module.def("fused_optimizers", fused_optimizers, "Names of the optimizers that run natively.");
  module.def(
      "make_optimizer",
      [](const std::string& kind, std::vector<at::Tensor> params, const py::list& groups,
         std::vector<ParamState> states) {
        return translated([&] { return make(kind, std::move(params), groups, std::move(states)); });
      },
      py::arg("kind"), py::arg("params"), py::arg("groups"), py::arg("states"),
      "Makes a fused optimizer. A group is a dict: params (indices), hyper (lr, momentum, beta1, beta2, weight_decay), "
      "and torch.optim's options.");

  py::class_<Optimizer, std::shared_ptr<Optimizer>>(module, "Optimizer")
      .def_property_readonly("hypers",
                             [](Optimizer& self) {
                               py::list hypers;
                               for (std::size_t i = 0; i < self.groups(); ++i) hypers.append(to_tuple(self.hyper(i)));
                               return hypers;
                             })
      .def("set_hyper",
           [](Optimizer& self, std::size_t group, const py::tuple& fields) { self.hyper(group) = to_hyper(fields); });
  py::class_<FusedOptimizer, Optimizer, std::shared_ptr<FusedOptimizer>>(module, "FusedOptimizer")
      .def("set_options", [](FusedOptimizer& self, std::size_t group,
                             const py::dict& options) { set_options(self.group(group), options); })
      .def_property_readonly("states", &FusedOptimizer::states)
      .def("step", [](FusedOptimizer& self, const std::vector<std::optional<at::Tensor>>& grads) {
        std::vector<at::Tensor> defined;
        for (const auto& grad : grads) defined.push_back(grad.value_or(at::Tensor()));
        at::NoGradGuard no_grad;
        translated([&] { self.step(defined); });
      });
  py::class_<PythonOptimizer, Optimizer, std::shared_ptr<PythonOptimizer>>(module, "PythonOptimizer")
      .def(py::init<py::object, py::object, std::size_t>(), py::arg("function"), py::arg("states"), py::arg("groups"));
}
