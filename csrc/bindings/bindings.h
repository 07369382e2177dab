#pragma once

#include <pybind11/pybind11.h>

// The rooms of the Python module; each binds one subject.
void bind_c_callback(pybind11::module_& module);
void bind_callbacks(pybind11::module_& module);
void bind_data(pybind11::module_& module);
void bind_engines(pybind11::module_& module);
void bind_loop(pybind11::module_& module);
void bind_optimizers(pybind11::module_& module);
void bind_plan(pybind11::module_& module);
void bind_plugins(pybind11::module_& module);
void bind_taps(pybind11::module_& module);
