#include <pybind11/stl.h>

#include "bindings/bindings.h"
#include "bindings/errors.h"
#include "bindings/listener.h"
#include "core/registry.h"
#include "core/tap.h"

namespace py = pybind11;
using namespace pyhooks;

namespace {

TapKind kind_from(const std::string& name) {
  for (TapKind kind : {TapKind::output, TapKind::grad, TapKind::param_grad})
    if (name == kind_name(kind)) return kind;
  throw py::value_error("on is '" + name + "'; it must be one of output, grad, param_grad");
}

py::dict cost(const Tap& tap) {
  const TapCost& cost = tap.cost();
  py::dict result;
  result["calls"] = cost.calls;
  result["total_ns"] = cost.total_ns;
  result["mean_ns"] = cost.calls ? cost.total_ns / static_cast<double>(cost.calls) : 0.0;
  result["max_ns"] = cost.max_ns;
  return result;
}

py::dict histograms(const Tap& tap) {
  py::dict result;
  for (const Histogram& histogram : tap.histograms())
    if (!histogram.counts.empty())
      result[py::str(histogram.name)] = py::make_tuple(histogram.low, histogram.high, histogram.counts);
  return result;
}

}  // namespace

void bind_taps(py::module_& module) {
  // Where the operators are called from Python: by the python engine, and while a plan is verified.
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      std::rethrow_exception(error);
    } catch (const TapError& thrown) {
      py::set_error(py::module_::import("pyhooks.errors").attr("CallbackError"), thrown.what());
    }
  });

  py::class_<MadeHook>(module, "TensorHook", "A tensor hook and the events it overrides.")
      .def_property_readonly("replaces", [](const MadeHook& self) { return self.hook->replaces(); });
  module.def(
      "make_tensor_hook",
      [](const std::string& name, const std::map<std::string, OptionValue>& options) {
        return translated([&] { return native_hook(find_tensor_hook(name), options); }, true);
      },
      py::arg("name"), py::arg("options"), "Makes a registered tensor hook; ValueError for wrong names or options.");

  py::class_<Tap, std::shared_ptr<Tap>>(module, "Tap", "A tensor hook at work in one trainer.")
      .def(py::init([](const MadeHook& made, const std::string& on, std::int64_t every, std::string label,
                       std::vector<std::string> names) {
             const TapConfig config{kind_from(on), every, std::move(label), std::move(names)};
             return translated([&] { return std::make_shared<Tap>(made.hook, made.events, config); });
           }),
           py::arg("hook"), py::arg("on"), py::arg("every"), py::arg("label"), py::arg("names"))
      .def("listener", [](const std::shared_ptr<Tap>& self) { return Listener{self, self->events(), true}; })
      .def("site", &Tap::site, py::arg("name"), "The number by which pyhooks::see and pyhooks::replace name a tensor.")
      .def_property_readonly("sites", &Tap::sites)
      .def_property_readonly("replaces", &Tap::replaces)
      .def("cost", cost, "calls (tensors handed over), total_ns, mean_ns, max_ns.")
      .def("histograms", histograms, "By tensor: (low, high, counts).");
}
