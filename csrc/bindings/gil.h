#pragma once

#include <Python.h>

namespace pyhooks {

/// Holds the GIL. Leaner than pybind11's guard, which also keeps a thread state of its own: the loop's thread always
/// has one already.
class Gil {
 public:
  Gil() : state_(PyGILState_Ensure()) {}
  ~Gil() { PyGILState_Release(state_); }
  Gil(const Gil&) = delete;
  Gil& operator=(const Gil&) = delete;

 private:
  PyGILState_STATE state_;
};

}  // namespace pyhooks
