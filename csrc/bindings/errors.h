#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <string>

namespace pyhooks {

/// The Python exception for a C++ one, the GIL held. A Python exception that came through C++ is returned as the very
/// object it was; ATen's errors become what torch makes of them; invalid_argument becomes ValueError, out_of_range
/// IndexError, a trigger's own error pyhooks.TriggerError, anything else RuntimeError, or pyhooks.CallbackError if a
/// callback threw it (`in_callback`); `where`, if given, becomes part of the message of what a native callback threw.
pybind11::object python_exception(const std::exception_ptr& error, bool in_callback, const std::string& where = "");

/// Adds a line that the traceback's reader sees under the message (PEP 678; needs Python 3.11, else does nothing).
void add_note(const pybind11::object& exception, const std::string& note);

/// Raises an exception object with the traceback it has.
[[noreturn]] void raise(const pybind11::object& exception);

/// Runs `work` with the GIL held, turning C++ exceptions into Python ones as above.
template <class Work>
auto translated(Work&& work, bool in_callback = false) {
  try {
    return work();
  } catch (const pybind11::error_already_set&) {
    throw;
  } catch (const pybind11::builtin_exception&) {
    throw;
  } catch (...) {
    raise(python_exception(std::current_exception(), in_callback));
  }
}

}  // namespace pyhooks
