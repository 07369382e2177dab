#include "bindings/errors.h"

#include <c10/util/Exception.h>

#include <new>
#include <stdexcept>

#include "core/tap.h"
#include "core/thrown.h"
#include "triggers/error.h"

namespace py = pybind11;

namespace pyhooks {

namespace {

py::object make(PyObject* type, const std::string& message) {
  return py::reinterpret_borrow<py::object>(type)(message);
}

py::object make_own(const char* type, const std::string& message) {
  return py::module_::import("pyhooks.errors").attr(type)(message);
}

// What torch raises for this kind of ATen error.
py::object from_c10(const c10::Error& error) {
  const std::string message = error.what_without_backtrace();
  if (dynamic_cast<const c10::IndexError*>(&error)) return make(PyExc_IndexError, message);
  if (dynamic_cast<const c10::ValueError*>(&error)) return make(PyExc_ValueError, message);
  if (dynamic_cast<const c10::TypeError*>(&error)) return make(PyExc_TypeError, message);
  if (dynamic_cast<const c10::NotImplementedError*>(&error)) return make(PyExc_NotImplementedError, message);
  const py::module_ torch = py::module_::import("torch");
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error)) return torch.attr("OutOfMemoryError")(message);
  if (dynamic_cast<const c10::LinAlgError*>(&error)) return torch.attr("linalg").attr("LinAlgError")(message);
  return make(PyExc_RuntimeError, message);
}

}  // namespace

py::object python_exception(const std::exception_ptr& error, bool in_callback, const std::string& where) {
  const auto located = [&](const char* what) {
    return in_callback && !where.empty() ? std::string(what) + " (" + where + ")" : std::string(what);
  };
  try {
    std::rethrow_exception(error);
  } catch (py::error_already_set& python) {
    py::object value = python.value();
    if (python.trace() && !PyException_GetTraceback(value.ptr()))
      PyException_SetTraceback(value.ptr(), python.trace().ptr());
    return value;
  } catch (const py::builtin_exception& builtin) {
    builtin.set_error();
    return py::error_already_set().value();
  } catch (const c10::Error& c10_error) {
    return from_c10(c10_error);
  } catch (const triggers::TriggerError& wrong) {
    return make_own("TriggerError", wrong.what());
  } catch (const std::invalid_argument& wrong) {
    return make(PyExc_ValueError, located(wrong.what()));
  } catch (const std::out_of_range& wrong) {
    return make(PyExc_IndexError, located(wrong.what()));
  } catch (const std::bad_alloc&) {
    return make(PyExc_MemoryError, "out of memory");
  } catch (const TapError& tensor_hook) {
    return make_own("CallbackError", tensor_hook.what());
  } catch (const std::exception& other) {
    if (in_callback) return make_own("CallbackError", located(other.what()));
    return make(PyExc_RuntimeError, other.what());
  } catch (...) {
    if (in_callback) return make_own("CallbackError", located(thrown_type().c_str()));
    return make(PyExc_RuntimeError, thrown_type());
  }
}

void add_note(const py::object& exception, const std::string& note) {
  if (py::hasattr(exception, "add_note")) exception.attr("add_note")(note);
}

void raise(const py::object& exception) {
  PyObject* traceback = PyException_GetTraceback(exception.ptr());  // new reference
  PyErr_Restore(Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr()))), Py_NewRef(exception.ptr()),
                traceback);
  throw py::error_already_set();
}

}  // namespace pyhooks
