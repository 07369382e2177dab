#include <pybind11/stl.h>

#include "bindings/bindings.h"
#include "bindings/errors.h"
#include "bindings/python_callback.h"
#include "core/dispatcher.h"
#include "core/registry.h"

namespace py = pybind11;
using namespace pyhooks;

namespace {

constexpr const char* kind_name(EventKind kind) {
  return kind == EventKind::run ? "run" : kind == EventKind::epoch ? "epoch" : "batch";
}

constexpr const char* phase_names[] = {"vote", "mutate", "save", "observe"};

Phase phase_from(const std::string& name) {
  for (std::size_t i = 0; i < std::size(phase_names); ++i)
    if (name == phase_names[i]) return static_cast<Phase>(i);
  throw py::value_error("phase is '" + name + "'; it must be one of vote, mutate, save, observe");
}

py::list events() {
  py::list result;
  for (const EventInfo& event : kEvents) result.append(py::make_tuple(std::string(event.name), kind_name(event.kind)));
  return result;
}

py::list native_callbacks() {
  py::list result;
  for (const CallbackInfo& info : callback_infos()) {
    py::list options;
    for (const OptionSpec& spec : info.options)
      options.append(py::make_tuple(spec.name, spec.type, spec.default_value, spec.help));
    result.append(py::make_tuple(info.name, info.help, options));
  }
  return result;
}

// A callback object together with the events it overrides.
struct Listener {
  std::shared_ptr<Callback> callback;
  EventMask events;
  bool native;
};

py::dict registration_info(const Registration& registration) {
  py::dict info;
  info["id"] = registration.id;
  info["label"] = registration.label;
  info["native"] = registration.native;
  info["phase"] = phase_names[static_cast<std::size_t>(registration.callback->phase())];
  info["every"] = registration.filter.every;
  info["once"] = registration.filter.once;
  info["after"] = registration.filter.after;
  const bool bounded = registration.filter.before != Filter{}.before;
  info["before"] = bounded ? py::object(py::int_(registration.filter.before)) : py::object(py::none());
  info["logs"] = registration.callback->logs();
  const CallbackStats& stats = registration.stats;
  info["calls"] = stats.calls();
  info["total_ns"] = stats.total_ns();
  info["mean_ns"] = stats.mean_ns();
  info["max_ns"] = stats.max_ns;
  info["stops"] = stats.stops;
  return info;
}

py::list infos(const std::vector<std::shared_ptr<Registration>>& registrations) {
  py::list result;
  for (const auto& registration : registrations) result.append(registration_info(*registration));
  return result;
}

std::uint64_t add(Dispatcher& dispatcher, const Listener& listener, std::optional<EventMask> only, std::int64_t every,
                  bool once, std::int64_t after, std::optional<std::int64_t> before, std::string label) {
  Filter filter{.every = every, .once = once, .after = after, .before = before.value_or(Filter{}.before)};
  return dispatcher.add(listener.callback, listener.events & only.value_or(~EventMask{0}), filter, std::move(label),
                        listener.native);
}

std::vector<PythonCallback*> python_callbacks(PyObject* dispatcher) {
  std::vector<PythonCallback*> found;
  if (!py::detail::is_holder_constructed(dispatcher)) return found;
  py::cast<Dispatcher&>(py::handle(dispatcher)).each([&](Callback& callback) {
    if (auto* python = dynamic_cast<PythonCallback*>(&callback)) found.push_back(python);
  });
  return found;
}

// A callback often refers to the trainer it is added to: the collector must see that through the dispatcher.
int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  for (const PythonCallback* callback : python_callbacks(self))
    if (const int result = callback->traverse(visit, arg)) return result;
  return 0;
}

int clear(PyObject* self) {
  for (PythonCallback* callback : python_callbacks(self)) callback->clear();
  return 0;
}

void collectable(PyHeapTypeObject* heap_type) {
  heap_type->ht_type.tp_flags |= Py_TPFLAGS_HAVE_GC;
  heap_type->ht_type.tp_traverse = traverse;
  heap_type->ht_type.tp_clear = clear;
}

}  // namespace

void bind_callbacks(py::module_& module) {
  module.def("events", events, "All events as (name, kind), kind one of 'run', 'epoch', 'batch'.");
  module.def("native_callbacks", native_callbacks,
             "The registered native callbacks as (name, help, options); an option is (name, type, default, help).");

  py::class_<Listener>(module, "Listener", "A callback and the events it overrides.")
      .def_property_readonly("events",
                             [](const Listener& self) {
                               py::list names;
                               for (std::size_t i = 0; i < kNumEvents; ++i)
                                 if (self.events & bit(static_cast<Event>(i)))
                                   names.append(std::string(kEvents[i].name));
                               return names;
                             })
      .def_property_readonly("native", [](const Listener& self) { return self.native; })
      .def_property_readonly("logs", [](const Listener& self) { return self.callback->logs(); });

  module.def(
      "make_callback",
      [](const std::string& name, const std::map<std::string, OptionValue>& options) {
        return translated([&] { return Listener{make_callback(name, options), find_callback(name).events, true}; });
      },
      py::arg("name"), py::arg("options"),
      "Makes a registered native callback; ValueError for wrong names or options.");
  module.def(
      "python_callback",
      [](const py::dict& methods, const py::object& trainer, const std::string& phase, std::vector<std::string> logs) {
        auto callback = std::make_shared<PythonCallback>(methods, trainer, phase_from(phase), std::move(logs));
        const EventMask events = callback->events();
        return Listener{std::move(callback), events, false};
      },
      py::arg("methods"), py::arg("trainer"), py::arg("phase"), py::arg("logs"),
      "Wraps Python callables, by event name; each is called with the trainer.");

  py::class_<Dispatcher, std::shared_ptr<Dispatcher>>(module, "Dispatcher", py::custom_type_setup(collectable),
                                                      "Calls callbacks at events.")
      .def(py::init<>())
      .def("add", add, py::arg("listener"), py::arg("only") = py::none(), py::arg("every") = 1, py::arg("once") = false,
           py::arg("after") = 0, py::arg("before") = py::none(), py::arg("label") = "",
           "Registers; returns the registration's id. `only`: a mask of events.")
      .def("remove", &Dispatcher::remove, py::arg("id"), "False if that registration is gone already.")
      .def("registrations", [](const Dispatcher& self) { return infos(self.registrations()); })
      .def("listeners", [](const Dispatcher& self, const std::string& name) {
        const auto event = find_event(name);
        if (!event) throw py::value_error("no event '" + name + "'");
        return infos(self.listeners(*event));
      });
}
