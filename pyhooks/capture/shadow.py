"""A copy of a step that shares no state with the user's objects."""

from __future__ import annotations

import copy
import types
from typing import Any

from torch import Tensor

from pyhooks.capture.state import PythonState
from pyhooks.step import Step


def shadow(step: Step) -> Step:
    """Copy model, loss and metrics.

    Functions are copied where a closure or a global of theirs reaches the model (a penalty over its
    parameters), so that the copy's loss works on the copy's model.

    Args:
        step: stays as it is.

    Returns:
        A step on its own tensors and objects; tensor hooks replace there what they replace, but see nothing.

    Raises:
        Exception: an object cannot be copied (``copy.deepcopy``'s own error).
    """
    memo: dict[int, Any] = {}
    for _, _, tensor in PythonState([step.model, step.loss, *step.metrics.values()]).tensors():
        if not tensor.is_leaf:  # a cached activation: deepcopy refuses those
            memo[id(tensor)] = tensor.detach().clone()
    model = copy.deepcopy(step.model, memo)
    loss = _copy_callable(step.loss, memo)
    _copy_hooks(step, memo)
    metrics = {name: copy.deepcopy(metric, memo) for name, metric in step.metrics.items()}
    return Step(model, loss, metrics, step.spec, step.accumulate, step.taps.rehearsal())


def _copy_hooks(step: Step, memo: dict[int, Any]) -> None:
    """``deepcopy`` leaves a parameter's gradient hooks behind."""
    for parameter in step.parameters().values():
        for hook in (parameter._backward_hooks or {}).values():
            memo[id(parameter)].register_hook(hook)


def _copy_callable(fn: Any, memo: dict[int, Any]) -> Any:
    if not isinstance(fn, types.FunctionType):
        return copy.deepcopy(fn, memo)
    closure = tuple(types.CellType(_copy_value(cell.cell_contents, memo)) for cell in fn.__closure__ or ())
    globals_ = dict(fn.__globals__)
    for name in _names(fn.__code__) & globals_.keys():
        globals_[name] = memo.get(id(globals_[name]), globals_[name])
    copied = types.FunctionType(fn.__code__, globals_, fn.__name__, fn.__defaults__, closure)
    copied.__kwdefaults__ = fn.__kwdefaults__
    return copied


def _copy_value(value: Any, memo: dict[int, Any]) -> Any:
    """Tensors and objects that have a copy, or can have one."""
    if isinstance(value, types.FunctionType):
        return _copy_callable(value, memo)
    if isinstance(value, Tensor) and id(value) not in memo and not value.is_leaf:
        return value.detach().clone()
    return copy.deepcopy(value, memo)


def _names(code: types.CodeType) -> set[str]:
    """Global names that a function and those inside it read."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names
