// Callbacks that are C functions: from ctypes, cffi, or compiled by numba.
#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include <cstddef>

#include "bindings/bindings.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/listener.h"
#include "bindings/phases.h"
#include "core/c_callback.h"

namespace py = pybind11;
using namespace pyhooks;

namespace {

// Holds a Python object for code that does not hold the GIL.
std::shared_ptr<void> kept(py::object object) {
  return {object.release().ptr(), [](void* held) {
            if (!Py_IsInitialized()) return;  // the interpreter is gone, and its objects with it
            Gil gil;
            Py_DECREF(static_cast<PyObject*>(held));
          }};
}

// What numba's code has left as this thread's Python exception.
std::exception_ptr pending_python_error() {
  Gil gil;
  if (!PyErr_Occurred()) return std::make_exception_ptr(std::runtime_error("the function failed without an exception"));
  return std::make_exception_ptr(py::error_already_set());
}

Listener c_callback(std::uintptr_t address, std::uintptr_t user, const std::string& event, const std::string& phase,
                    std::vector<std::string> logs, std::optional<at::Tensor> state, py::object keep) {
  const auto found = find_event(event);
  if (!found) throw py::value_error("no event '" + event + "'");
  CEntry entry{.function = reinterpret_cast<pyhooks_function>(address),
               .user = reinterpret_cast<void*>(user),
               .event = *found,
               .phase = phase_from(phase),
               .logs = std::move(logs),
               .state = state.value_or(at::Tensor()),
               .pending_error = pending_python_error,
               .keep = kept(std::move(keep))};
  return translated([&] {
    auto callback = std::make_shared<CCallback>(std::move(entry));
    const EventMask events = callback->events();
    return Listener{std::move(callback), events, true};
  });
}

std::optional<at::Tensor> c_state(const Listener& listener) {
  const auto* callback = dynamic_cast<const CCallback*>(listener.callback.get());
  if (!callback) throw py::type_error("the state of C functions only can be read");
  const at::Tensor state = callback->copy_state();
  return state.defined() ? std::optional(state) : std::nullopt;
}

// Where the fields stand, in bytes: c_api.h is the only place that says it.
#define PYHOOKS_FIELD(type, field) offsets[#field] = offsetof(type, field)
py::dict batch_offsets() {
  py::dict offsets;
  PYHOOKS_FIELD(pyhooks_batch, state);
  PYHOOKS_FIELD(pyhooks_batch, epoch);
  PYHOOKS_FIELD(pyhooks_batch, epochs);
  PYHOOKS_FIELD(pyhooks_batch, step);
  PYHOOKS_FIELD(pyhooks_batch, batch);
  PYHOOKS_FIELD(pyhooks_batch, batches);
  PYHOOKS_FIELD(pyhooks_batch, samples);
  PYHOOKS_FIELD(pyhooks_batch, samples_seen);
  PYHOOKS_FIELD(pyhooks_batch, seconds);
  PYHOOKS_FIELD(pyhooks_batch, loss);
  PYHOOKS_FIELD(pyhooks_batch, num_groups);
  PYHOOKS_FIELD(pyhooks_batch, lr);
  PYHOOKS_FIELD(pyhooks_batch, set_lr);
  PYHOOKS_FIELD(pyhooks_batch, scale_lr);
  PYHOOKS_FIELD(pyhooks_batch, num_params);
  PYHOOKS_FIELD(pyhooks_batch, param);
  PYHOOKS_FIELD(pyhooks_batch, grad);
  PYHOOKS_FIELD(pyhooks_batch, will_update);
  PYHOOKS_FIELD(pyhooks_batch, skip_step);
  PYHOOKS_FIELD(pyhooks_batch, log);
  PYHOOKS_FIELD(pyhooks_batch, logged);
  PYHOOKS_FIELD(pyhooks_batch, metric);
  PYHOOKS_FIELD(pyhooks_batch, request_stop);
  PYHOOKS_FIELD(pyhooks_batch, request_save);
  PYHOOKS_FIELD(pyhooks_batch, snapshot);
  PYHOOKS_FIELD(pyhooks_batch, fail);
  return offsets;
}

py::dict view_offsets() {
  py::dict offsets;
  PYHOOKS_FIELD(pyhooks_view, data);
  PYHOOKS_FIELD(pyhooks_view, numel);
  PYHOOKS_FIELD(pyhooks_view, dtype);
  PYHOOKS_FIELD(pyhooks_view, device);
  return offsets;
}
#undef PYHOOKS_FIELD

}  // namespace

void bind_c_callback(py::module_& module) {
  module.def("c_callback", c_callback, py::arg("address"), py::arg("user"), py::arg("event"), py::arg("phase"),
             py::arg("logs"), py::arg("state"), py::arg("keep"),
             "A C function as a callback; see c_api.h. `state`: float64, its initial values, copied; `keep`: held as "
             "long as the callback.");
  module.def("c_state", c_state, py::arg("listener"), "A copy of a C function's state as it is now, or None.");
  module.def("c_batch_offsets", batch_offsets, "Fields of pyhooks_batch: name to offset in bytes.");
  module.def("c_view_offsets", view_offsets, "Fields of pyhooks_view: name to offset in bytes.");
}
