#include <pybind11/stl.h>
#include <torch/csrc/Device.h>
#include <torch/csrc/Dtype.h>
#include <torch/csrc/Layout.h>
#include <torch/csrc/MemoryFormat.h>
#include <torch/csrc/utils/pybind.h>

#include "bindings/bindings.h"
#include "bindings/convert_program.h"
#include "bindings/errors.h"
#include "engines/plan.h"

namespace py = pybind11;

namespace pyhooks {

namespace {

c10::IValue constant(py::handle object) {
  PyObject* raw = object.ptr();
  if (object.is_none()) return {};
  if (PyBool_Check(raw)) return object.cast<bool>();
  if (PyLong_Check(raw)) return object.cast<std::int64_t>();
  if (PyFloat_Check(raw)) return object.cast<double>();
  if (PyComplex_Check(raw)) return c10::IValue(object.cast<c10::complex<double>>());
  if (PyUnicode_Check(raw)) return object.cast<std::string>();
  if (THPDtype_Check(raw)) return static_cast<std::int64_t>(reinterpret_cast<THPDtype*>(raw)->scalar_type);
  if (THPLayout_Check(raw)) return static_cast<std::int64_t>(reinterpret_cast<THPLayout*>(raw)->layout);
  if (THPMemoryFormat_Check(raw))
    return static_cast<std::int64_t>(reinterpret_cast<THPMemoryFormat*>(raw)->memory_format);
  if (THPDevice_Check(raw)) return reinterpret_cast<THPDevice*>(raw)->device;
  throw std::invalid_argument("a program holds an argument of type " + std::string(Py_TYPE(raw)->tp_name));
}

Arg to_arg(py::handle object) {
  Arg arg;
  if (py::isinstance<py::list>(object) || py::isinstance<py::tuple>(object)) {
    arg.kind = Arg::Kind::list;
    for (py::handle item : object) arg.items.push_back(to_arg(item));
  } else if (py::hasattr(object, "index") && py::hasattr(object, "__dataclass_fields__")) {
    arg.kind = Arg::Kind::reg;
    arg.reg = object.attr("index").cast<int>();
  } else {
    arg.value = constant(object);
  }
  return arg;
}

Op to_op(py::handle object) {
  Op op;
  op.name = object.attr("name").cast<std::string>();
  op.overload = object.attr("overload").cast<std::string>();
  for (py::handle arg : object.attr("args")) op.args.push_back(to_arg(arg));
  for (const auto& [key, value] : object.attr("kwargs").cast<py::dict>())
    op.kwargs.emplace_back(key.cast<std::string>(), to_arg(value));
  op.outs = object.attr("outs").cast<std::vector<int>>();
  op.source = object.attr("source").cast<std::string>();
  return op;
}

}  // namespace

Program to_program(py::handle object) {
  Program program;
  program.n_inputs = object.attr("n_inputs").cast<int>();
  program.n_registers = object.attr("n_registers").cast<int>();
  program.constants = object.attr("constants").cast<std::vector<std::pair<int, at::Tensor>>>();
  for (py::handle op : object.attr("ops")) program.ops.push_back(to_op(op));
  program.outputs = object.attr("outputs").cast<std::vector<int>>();
  return program;
}

}  // namespace pyhooks

void bind_plan(py::module_& module) {
  using namespace pyhooks;
  py::class_<Plan, std::shared_ptr<Plan>>(module, "Plan", "A captured program made ready to run natively.")
      .def(py::init([](const py::object& program) {
             return translated([&] { return std::make_shared<Plan>(to_program(program)); });
           }),
           py::arg("program"))
      .def("bind", &Plan::bind, py::arg("tensors"), "Sets the inputs that stay the same from run to run.")
      .def(
          "run",
          [](Plan& self, const std::vector<at::Tensor>& batch, bool grad_mode) {
            std::vector<at::Tensor> outputs;
            return translated([&] {
              {
                py::gil_scoped_release release;
                self.run(batch, grad_mode, outputs);
              }
              py::list result;  // None where the program gives None
              for (const at::Tensor& output : outputs) result.append(output.defined() ? py::cast(output) : py::none());
              return result;
            });
          },
          py::arg("batch"), py::arg("grad_mode") = true)
      .def("__len__", &Plan::size);
}
