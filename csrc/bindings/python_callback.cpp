#include "bindings/python_callback.h"

#include <stdexcept>
#include <utility>

namespace py = pybind11;

namespace pyhooks {

PythonCallback::PythonCallback(const py::dict& methods, const py::object& trainer, Phase phase,
                               std::vector<std::string> logs)
    : trainer_(py::weakref(trainer).release().ptr()), phase_(phase), logs_(std::move(logs)) {
  for (const auto& [key, method] : methods) {
    const auto name = key.cast<std::string>();
    const auto event = find_event(name);
    if (!event || info(*event).kind == EventKind::batch)
      throw std::invalid_argument("Python cannot listen to '" + name + "': it is no run or epoch event");
    methods_[static_cast<std::size_t>(*event)] = py::reinterpret_borrow<py::object>(method).release().ptr();
    events_ |= bit(*event);
  }
}

PythonCallback::~PythonCallback() {
  if (!Py_IsInitialized()) return;  // the interpreter is gone, and its objects with it
  Gil gil;
  for (PyObject* method : methods_) Py_XDECREF(method);
  Py_DECREF(trainer_);
}

int PythonCallback::traverse(visitproc visit, void* arg) const {
  for (PyObject* method : methods_) Py_VISIT(method);
  return 0;
}

void PythonCallback::clear() {
  for (PyObject*& method : methods_) Py_CLEAR(method);
}

void PythonCallback::call(Event event) {
  Gil gil;
  if (!methods_[static_cast<std::size_t>(event)]) return;  // cleared
  PyObject* trainer = PyWeakref_GetObject(trainer_);       // borrowed; alive, since its fit is running
  PyObject* result = PyObject_CallOneArg(methods_[static_cast<std::size_t>(event)], trainer);
  if (!result) throw py::error_already_set();
  Py_DECREF(result);
}

}  // namespace pyhooks
