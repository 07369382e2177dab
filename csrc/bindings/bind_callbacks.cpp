#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include "bindings/bindings.h"
#include "bindings/errors.h"
#include "bindings/listener.h"
#include "bindings/phases.h"
#include "bindings/python_callback.h"
#include "core/dispatcher.h"
#include "core/registry.h"
#include "core/state_map.h"
#include "triggers/firings.h"

namespace py = pybind11;
using namespace pyhooks;

namespace {

constexpr const char* kind_name(EventKind kind) {
  return kind == EventKind::run ? "run" : kind == EventKind::epoch ? "epoch" : "batch";
}

constexpr const char* policy_names[] = {"raise", "warn", "disable"};

ErrorPolicy policy_from(const std::string& name) {
  for (std::size_t i = 0; i < std::size(policy_names); ++i)
    if (name == policy_names[i]) return static_cast<ErrorPolicy>(i);
  throw py::value_error("on_error is '" + name + "'; it must be one of raise, warn, disable");
}

py::list events() {
  py::list result;
  for (const EventInfo& event : kEvents) result.append(py::make_tuple(std::string(event.name), kind_name(event.kind)));
  return result;
}

// What a trigger has kept since the last call: tuples of epoch, batch, step, and the values by name.
py::list take_firings(const Listener& listener) {
  auto* firings = dynamic_cast<triggers::Firings*>(listener.callback.get());
  if (!firings) throw py::type_error("only triggers have firings");
  const std::vector<std::string> names = firings->names();
  py::list result;
  for (const triggers::Firing& firing : firings->take()) {
    py::dict values;
    for (std::size_t i = 0; i < names.size(); ++i) values[py::str(names[i])] = firing.values[i];
    result.append(py::make_tuple(firing.epoch, firing.batch, firing.step, values));
  }
  return result;
}

py::list event_names(EventMask events) {
  py::list names;
  for (std::size_t i = 0; i < kNumEvents; ++i)
    if (events & bit(static_cast<Event>(i))) names.append(std::string(kEvents[i].name));
  return names;
}

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
  info["seconds"] = registration.filter.seconds;
  info["samples"] = registration.filter.samples;
  info["priority"] = registration.manner.priority;
  info["on_error"] = policy_names[static_cast<std::size_t>(registration.manner.on_error)];
  info["budget"] = registration.manner.budget;
  info["key"] = registration.manner.key;
  info["logs"] = registration.callback->logs();
  info["events"] = event_names(registration.events);
  const CallbackStats& stats = registration.stats;
  info["calls"] = stats.calls();
  info["total_ns"] = stats.total_ns();
  info["mean_ns"] = stats.mean_ns();
  info["max_ns"] = stats.max_ns;
  info["stops"] = stats.stops;
  info["failures"] = stats.failures;
  info["thinned"] = stats.thinned;
  return info;
}

py::list infos(const std::vector<std::shared_ptr<Registration>>& registrations) {
  py::list result;
  for (const auto& registration : registrations) result.append(registration_info(*registration));
  return result;
}

Filter to_filter(const py::dict& options) {
  Filter filter;
  filter.every = options["every"].cast<std::int64_t>();
  filter.once = options["once"].cast<bool>();
  filter.after = options["after"].cast<std::int64_t>();
  if (!options["before"].is_none()) filter.before = options["before"].cast<std::int64_t>();
  filter.seconds = options["seconds"].cast<double>();
  filter.samples = options["samples"].cast<std::int64_t>();
  return filter;
}

Manner to_manner(const py::dict& options) {
  return {.priority = options["priority"].cast<std::int64_t>(),
          .on_error = policy_from(options["on_error"].cast<std::string>()),
          .budget = options["budget"].cast<double>(),
          .key = options["key"].cast<std::string>()};
}

std::uint64_t add(Dispatcher& dispatcher, const Listener& listener, std::optional<EventMask> only,
                  const std::optional<py::dict>& filter, const std::optional<py::dict>& manner, std::string label) {
  return dispatcher.add(listener.callback, listener.events & only.value_or(~EventMask{0}),
                        filter ? to_filter(*filter) : Filter{}, std::move(label), listener.native,
                        manner ? to_manner(*manner) : Manner{});
}

// The states of native callbacks by their keys, those left out that keep nothing.
std::map<std::string, py::dict> states(const Dispatcher& dispatcher) {
  std::map<std::string, py::dict> result;
  for (const auto& registration : dispatcher.registrations()) {
    py::dict fields;
    for (const auto& [name, value] : save_state(*registration->callback)) fields[py::str(name)] = py::cast(value);
    if (!fields.empty()) result[registration->manner.key] = fields;
  }
  return result;
}

StateValue to_state_value(py::handle value) {  // a bool is an int in Python, and an int converts to a float
  if (py::isinstance<py::bool_>(value)) return value.cast<bool>();
  if (py::isinstance<py::int_>(value)) return value.cast<std::int64_t>();
  if (py::isinstance<py::float_>(value)) return value.cast<double>();
  if (py::isinstance<py::str>(value)) return value.cast<std::string>();
  if (py::isinstance<py::list>(value)) return value.cast<std::vector<double>>();
  return value.cast<at::Tensor>();
}

void load_states(const Dispatcher& dispatcher, const std::map<std::string, py::dict>& saved) {
  for (const auto& registration : dispatcher.registrations()) {
    const auto found = saved.find(registration->manner.key);
    if (found == saved.end()) continue;
    StateMap map;
    for (const auto& [name, value] : found->second) map.emplace_back(name.cast<std::string>(), to_state_value(value));
    translated([&] { load_state(*registration->callback, map); });
  }
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

  py::class_<Listener>(module, "Listener", "A callback and the events it overrides.")
      .def_property_readonly("events", [](const Listener& self) { return event_names(self.events); })
      .def_property_readonly("native", [](const Listener& self) { return self.native; })
      .def_property_readonly("logs", [](const Listener& self) { return self.callback->logs(); })
      .def("take_firings", take_firings,
           "Of a trigger with the action call: (epoch, batch, step, values by name) each.");

  module.def(
      "make_callback",
      [](const std::string& name, const std::map<std::string, OptionValue>& options) {
        return translated([&] { return native_listener(find_callback(name), options); }, true);
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
      .def("add", add, py::arg("listener"), py::arg("only") = py::none(), py::arg("filter") = py::none(),
           py::arg("manner") = py::none(), py::arg("label") = "",
           "Registers; returns the registration's id. `only`: a mask of events.")
      .def("states", states, "What native callbacks want kept, by key: dicts of numbers, strings, lists and tensors.")
      .def("load_states", load_states, py::arg("states"), "Gives native callbacks back what `states` returned.")
      .def("remove", &Dispatcher::remove, py::arg("id"), "False if that registration is gone already.")
      .def("registrations", [](const Dispatcher& self) { return infos(self.registrations()); })
      .def("listeners", [](const Dispatcher& self, const std::string& name) {
        const auto event = find_event(name);
        if (!event) throw py::value_error("no event '" + name + "'");
        return infos(self.listeners(*event));
      });
}
