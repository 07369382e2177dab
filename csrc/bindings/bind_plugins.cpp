#include <pybind11/stl.h>

#include "bindings/bindings.h"
#include "bindings/errors.h"
#include "bindings/listener.h"
#include "pyhooks/plugin_loader.h"

namespace py = pybind11;
using namespace pyhooks;

namespace {

// A registered class; they stay for good, so Python may hold a pointer.
struct NativeClass {
  const ClassInfo* info;
};

py::list options(const NativeClass& self) {
  py::list result;
  for (const OptionSpec& spec : self.info->options)
    result.append(py::make_tuple(spec.name, spec.type, spec.default_value, spec.help));
  return result;
}

Listener make(const NativeClass& self, const std::map<std::string, OptionValue>& options) {
  return translated(
      [&] {
        if (self.info->kind != "callback")
          throw std::invalid_argument(self.info->name + " is a " + self.info->kind + ", not a callback");
        return native_listener(*self.info, options);
      },
      true);
}

MadeHook make_hook(const NativeClass& self, const std::map<std::string, OptionValue>& options) {
  return translated(
      [&] {
        if (self.info->kind != "tensor_hook")
          throw std::invalid_argument(self.info->name + " is a " + self.info->kind + ", not a tensor hook");
        return native_hook(*self.info, options);
      },
      true);
}

std::vector<NativeClass> to_python(const std::vector<const ClassInfo*>& infos) {
  std::vector<NativeClass> classes;
  for (const ClassInfo* info : infos) classes.push_back({info});
  return classes;
}

py::tuple load(const std::string& path, const std::string& name) {
  try {
    const Plugin* plugin = nullptr;
    {
      const py::gil_scoped_release released;
      plugin = &load_plugin(path, name);
    }
    return py::make_tuple(plugin->torch, to_python(plugin->classes));
  } catch (const PluginError& error) {
    raise(py::module_::import("pyhooks.errors").attr("PluginError")(error.what()));
  }
}

}  // namespace

void bind_plugins(py::module_& module) {
  py::class_<NativeClass>(module, "NativeClass", "A registered native class, of which objects are made with options.")
      .def_property_readonly("kind", [](const NativeClass& self) { return self.info->kind; })
      .def_property_readonly("name", [](const NativeClass& self) { return self.info->name; })
      .def_property_readonly("class_name", [](const NativeClass& self) { return self.info->class_name; })
      .def_property_readonly("help", [](const NativeClass& self) { return self.info->help; })
      .def_property_readonly("options", options, "Each as (name, type, default, help).")
      .def("make", make, py::arg("options"), "Makes a callback; ValueError for options it does not take.")
      .def("make_hook", make_hook, py::arg("options"), "Makes a tensor hook; ValueError for options it does not take.");

  module.def(
      "native_classes", [](const std::string& kind) { return to_python(registered_classes(kind)); }, py::arg("kind"),
      "The registered classes of a kind, as 'callback': the built-in ones, then those of plugins as they were loaded.");
  module.def("load_plugin", load, py::arg("path"), py::arg("name"),
             "Loads a plugin's library; returns (the torch version it was built with or '', its classes).");
}
