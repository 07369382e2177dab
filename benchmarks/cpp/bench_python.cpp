// A Python module that times calls from C++ into Python: the adapter of epoch callbacks beside a bare call. It is a
// module of its own, since it must never ship.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <chrono>
#include <memory>
#include <vector>

#include "bindings/gil.h"
#include "bindings/python_callback.h"
#include "c_entry.h"
#include "core/dispatcher.h"
#include "core/loop.h"

namespace py = pybind11;

namespace {

using namespace pyhooks;
using Clock = std::chrono::steady_clock;

double nanoseconds(Clock::duration duration) { return std::chrono::duration<double, std::nano>(duration).count(); }

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

std::vector<double> each(const py::object& function, const py::object& argument, int calls, double work_ns) {
  std::vector<double> durations;
  py::gil_scoped_release release;
  for (int i = 0; i < calls; ++i) {
    const auto busy = Clock::now();
    while (nanoseconds(Clock::now() - busy) < work_ns) {
    }
    const auto start = Clock::now();
    call(function.ptr(), argument.ptr());
    durations.push_back(nanoseconds(Clock::now() - start));
  }
  return durations;
}

// Nanoseconds an event and callback, where C functions at an address listen to a batch event.
double c_event(std::uintptr_t address, int callbacks, int calls) {
  auto dispatcher = std::make_shared<Dispatcher>();
  Loop loop(dispatcher);
  BatchContext context(loop);
  for (int i = 0; i < callbacks; ++i)
    dispatcher->add(bench::c_entry(reinterpret_cast<pyhooks_function>(address)), bit(Event::on_train_batch_end), {},
                    "c");
  const auto start = Clock::now();
  for (int i = 0; i < calls; ++i) {
    dispatcher->fire<Event::on_train_batch_end>(context);
    asm volatile("" ::: "memory");
  }
  return nanoseconds(Clock::now() - start) / calls / callbacks;
}

}  // namespace

PYBIND11_MODULE(pyhooks_bench_python, module) {
  module.def("bare", &bare, py::arg("function"), py::arg("argument"), py::arg("calls"),
             "Nanoseconds to take the GIL, call a function of one argument, and let the GIL go.");
  module.def("adapter", &adapter, py::arg("function"), py::arg("argument"), py::arg("calls"),
             "Nanoseconds to fire an epoch event to which the function listens.");
  module.def("each", &each, py::arg("function"), py::arg("argument"), py::arg("calls"), py::arg("work_ns"),
             "Nanoseconds of each of several bare calls, with `work_ns` of C++ work before each.");
  module.def("c_event", &c_event, py::arg("address"), py::arg("callbacks"), py::arg("calls"),
             "Nanoseconds an event and callback, where C functions at that address listen to a batch event.");
  module.attr("c_nothing") = reinterpret_cast<std::uintptr_t>(bench::c_nothing);
}
