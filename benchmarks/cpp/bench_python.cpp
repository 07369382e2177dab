// A Python module that times calls from C++ into Python, the adapter of epoch callbacks beside a bare call, and native
// callbacks in a process that has Python threads. It is a module of its own, since it must never ship.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <utility>
#include <vector>

#include "bare_loop.h"
#include "bindings/gil.h"
#include "bindings/python_callback.h"
#include "core/dispatcher.h"
#include "core/loop.h"
#include "kinds.h"
#include "timing.h"

namespace py = pybind11;

namespace {

using namespace pyhooks;
using bench::Clock;
using bench::nanoseconds;

// As a loop that does not hold the GIL must call Python, at the least.
void call(PyObject* function, PyObject* argument) {
  Gil gil;
  PyObject* result = PyObject_CallOneArg(function, argument);
  if (!result) throw py::error_already_set();
  Py_DECREF(result);
}

double bare(const py::object& function, const py::object& argument, int calls) {
  py::gil_scoped_release release;
  const auto start = Clock::now();
  for (int i = 0; i < calls; ++i) call(function.ptr(), argument.ptr());
  return nanoseconds(Clock::now() - start) / calls;
}

double adapter(const py::object& function, const py::object& argument, int calls) {
  py::dict methods;
  methods["on_train_epoch_end"] = function;
  auto callback = std::make_shared<PythonCallback>(methods, argument, Phase::observe, std::vector<std::string>{});
  auto dispatcher = std::make_shared<Dispatcher>();
  dispatcher->add(callback, callback->events(), {}, "bench", false);
  Loop loop(dispatcher);
  Context context(loop);
  py::gil_scoped_release release;
  const auto start = Clock::now();
  for (int i = 0; i < calls; ++i) dispatcher->fire<Event::on_train_epoch_end>(context);
  return nanoseconds(Clock::now() - start) / calls;
}

// A batch's work, as far as time goes.
void work(double ns) {
  const auto start = Clock::now();
  while (nanoseconds(Clock::now() - start) < ns) {
  }
}

std::vector<double> each(const py::object& function, const py::object& argument, int calls, double work_ns) {
  std::vector<double> durations;
  py::gil_scoped_release release;
  for (int i = 0; i < calls; ++i) {
    work(work_ns);
    const auto start = Clock::now();
    call(function.ptr(), argument.ptr());
    durations.push_back(nanoseconds(Clock::now() - start));
  }
  return durations;
}

/// Called before all other callbacks of an event.
struct First final : Callback {
  Clock::time_point time;
  Phase phase() const override { return Phase::vote; }
  void on_backward_end(BatchContext&) override { time = Clock::now(); }
};

/// Called after all others, if it is added last: keeps the time that has passed since the first.
struct Last final : Callback {
  explicit Last(std::shared_ptr<First> first) : first(std::move(first)) {}
  std::shared_ptr<First> first;
  std::vector<double> durations;
  void on_backward_end(BatchContext&) override { durations.push_back(nanoseconds(Clock::now() - first->time)); }
};

std::vector<double> native_each(int callbacks, int batches, double work_ns) {
  py::gil_scoped_release release;
  auto dispatcher = bench::dispatcher_with(bench::kinds().front(), callbacks);
  auto first = std::make_shared<First>();
  auto last = std::make_shared<Last>(first);
  dispatcher->add(first, overridden_events<First>(), {}, "first");
  dispatcher->add(last, overridden_events<Last>(), {}, "last");
  bench::train(dispatcher, batches, [=] { work(work_ns); });
  return last->durations;
}

bench::Kind c_kind(std::uintptr_t address) {
  return {"C function", [=](int) { return bench::of_c_function(reinterpret_cast<pyhooks_function>(address)); }};
}

double c_event(std::uintptr_t address, int callbacks) {
  py::gil_scoped_release release;
  return bench::event_ns(c_kind(address), callbacks);
}

double c_training(std::uintptr_t address, int callbacks) {
  py::gil_scoped_release release;
  return bench::training_ns(c_kind(address), callbacks);
}

}  // namespace

PYBIND11_MODULE(pyhooks_bench_python, module) {
  module.def("bare", &bare, py::arg("function"), py::arg("argument"), py::arg("calls"),
             "Nanoseconds to take the GIL, call a function of one argument, and let the GIL go.");
  module.def("adapter", &adapter, py::arg("function"), py::arg("argument"), py::arg("calls"),
             "Nanoseconds to fire an epoch event to which the function listens.");
  module.def("each", &each, py::arg("function"), py::arg("argument"), py::arg("calls"), py::arg("work_ns"),
             "Nanoseconds of each of several bare calls, with `work_ns` of C++ work before each.");
  module.def(
      "native_each", &native_each, py::arg("callbacks"), py::arg("batches"), py::arg("work_ns"),
      "Nanoseconds that native no-op callbacks take in each batch of a training with `work_ns` of work a batch.");
  module.def("c_event", &c_event, py::arg("address"), py::arg("callbacks"),
             "Nanoseconds an event to which that many callbacks listen, all of the C function at an address.");
  module.def("c_training", &c_training, py::arg("address"), py::arg("callbacks"),
             "Nanoseconds a batch of a training in which they listen.");
}
