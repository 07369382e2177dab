#include <ATen/core/grad_mode.h>
#include <pybind11/stl.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/utils/pybind.h>

#include "bindings/bindings.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "core/interfaces.h"
#include "engines/graph_engine.h"

namespace py = pybind11;
using namespace pyhooks;

namespace {

/// Forward and loss in Python, the GIL held; backward through autograd's C++ engine, without it.
class PythonEngine final : public StepEngine {
 public:
  /// `function(tensors, mode)` returns (loss to differentiate or None, loss or None, stats, outputs).
  PythonEngine(py::object function, std::vector<at::Tensor> params)
      : function_(std::move(function)), params_(std::move(params)) {}
  ~PythonEngine() override {
    Gil gil;
    function_ = py::object();
  }

  std::string name() const override { return "python"; }
  bool draws_random() const override { return true; }  // nobody knows

  void step(Mode mode, const Batch& batch, StepResult& result) override {
    at::AutoGradMode grad_mode(mode == Mode::train);
    if (mode == Mode::train)
      for (at::Tensor& param : params_) param.mutable_grad().reset();
    const at::Tensor root = forward(mode, batch, result);
    if (mode != Mode::train) return;
    backward(root);
    result.grads.clear();
    for (at::Tensor& param : params_) result.grads.push_back(std::move(param.mutable_grad()));
  }

 private:
  at::Tensor forward(Mode mode, const Batch& batch, StepResult& result) {
    Gil gil;
    const py::tuple returned = function_(batch.tensors, mode_name(mode));
    if (!returned[1].is_none()) result.loss = returned[1].cast<at::Tensor>();
    result.stats = returned[2].cast<std::vector<at::Tensor>>();
    result.outputs = returned[3].cast<std::vector<at::Tensor>>();
    return returned[0].is_none() ? at::Tensor() : returned[0].cast<at::Tensor>();
  }

  // A Python exception, of a gradient hook say, comes back as autograd's own type and with Python's error indicator set.
  static void backward(const at::Tensor& root) {
    try {
      root._backward({}, std::nullopt, std::nullopt, false);
    } catch (python_error& error) {
      Gil gil;
      error.restore();
      throw py::error_already_set();
    }
  }

  py::object function_;
  std::vector<at::Tensor> params_;
};

/// Asks a Python object for plans: `capture(mode, tensors)` returns (Plan, fixed tensors, n_stats, n_outputs,
/// draws_random, verify) or an engine; `verify(mode, tensors, run)` returns None or an engine.
class PythonPlanProvider final : public PlanProvider {
 public:
  explicit PythonPlanProvider(py::object object) : object_(std::move(object)) {}
  ~PythonPlanProvider() override {
    Gil gil;
    object_ = py::object();
  }

  std::variant<std::shared_ptr<CapturedStep>, std::shared_ptr<StepEngine>> capture(Mode mode,
                                                                                   const Batch& batch) override {
    Gil gil;
    at::AutoGradMode grad_mode(true);
    const py::object captured = object_.attr("capture")(mode_name(mode), batch.tensors);
    if (py::isinstance<StepEngine>(captured)) return captured.cast<std::shared_ptr<StepEngine>>();
    const py::tuple parts = captured;
    auto step = std::make_shared<CapturedStep>();
    step->plan = parts[0].cast<std::shared_ptr<Plan>>();
    step->fixed = parts[1].cast<std::vector<at::Tensor>>();
    step->n_stats = parts[2].cast<std::size_t>();
    step->n_outputs = parts[3].cast<std::size_t>();
    step->draws_random = parts[4].cast<bool>();
    step->verify = parts[5].cast<int>();
    return step;
  }

  std::shared_ptr<StepEngine> verify(Mode mode, const CapturedStep& step, const Batch& batch, StepResult& result,
                                     const std::function<void()>& run) override {
    Gil gil;
    at::AutoGradMode grad_mode(true);
    const py::cpp_function run_plan([&] {
      {
        py::gil_scoped_release release;
        run();
      }
      auto listed = [](const std::vector<at::Tensor>& tensors) {
        py::list list;
        for (const at::Tensor& tensor : tensors) list.append(tensor.defined() ? py::cast(tensor) : py::none());
        return list;
      };
      const py::object loss = result.loss.defined() ? py::cast(result.loss) : py::none();
      return py::make_tuple(loss, listed(result.stats), listed(result.outputs), listed(result.grads));
    });
    const py::object engine = object_.attr("verify")(mode_name(mode), step.plan, batch.tensors, run_plan);
    return engine.is_none() ? nullptr : engine.cast<std::shared_ptr<StepEngine>>();
  }

 private:
  py::object object_;
};

Mode mode_from(const std::string& name) {
  for (Mode mode : {Mode::train, Mode::eval, Mode::predict})
    if (name == mode_name(mode)) return mode;
  throw py::value_error("mode is '" + name + "'; it must be train, eval or predict");
}

Batch batch_of(std::vector<at::Tensor> tensors) {
  const std::int64_t samples = tensors.empty() || tensors[0].dim() == 0 ? 1 : tensors[0].size(0);
  return {std::move(tensors), samples};
}

}  // namespace

void bind_engines(py::module_& module) {
  py::class_<StepEngine, std::shared_ptr<StepEngine>>(module, "StepEngine", "How a step is computed.")
      .def_property_readonly("name", &StepEngine::name)
      .def_property_readonly("draws_random", &StepEngine::draws_random)
      .def(
          "step",
          [](StepEngine& self, const std::string& mode, std::vector<at::Tensor> tensors) {
            const Mode m = mode_from(mode);
            StepResult result;
            const Batch batch = batch_of(std::move(tensors));
            translated([&] {
              py::gil_scoped_release release;
              self.step(m, batch, result);
            });
            const py::object loss = result.loss.defined() ? py::cast(result.loss) : py::none();
            return py::make_tuple(loss, py::cast(result.stats), py::cast(result.outputs));
          },
          py::arg("mode"), py::arg("tensors"), "One step by hand: (loss or None, stats, outputs).");
  py::class_<PythonEngine, StepEngine, std::shared_ptr<PythonEngine>>(module, "PythonEngine")
      .def(py::init<py::object, std::vector<at::Tensor>>(), py::arg("function"), py::arg("params"));
  py::class_<GraphEngine, StepEngine, std::shared_ptr<GraphEngine>>(module, "GraphEngine")
      .def(py::init([](py::object provider) {
             return std::make_shared<GraphEngine>(std::make_shared<PythonPlanProvider>(std::move(provider)));
           }),
           py::arg("provider"))
      .def_property_readonly("plans", &GraphEngine::plans)
      .def(
          "prepare",
          [](GraphEngine& self, const std::string& mode, std::vector<at::Tensor> tensors) {
            translated([&] { self.prepare(mode_from(mode), batch_of(std::move(tensors))); });
          },
          py::arg("mode"), py::arg("tensors"), "Captures the plan for batches like this one now.");
}
