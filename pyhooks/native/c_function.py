"""Functions of any compiled language as native callbacks."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from pyhooks import _C, checking, events
from pyhooks.c_pointers import data_address, function_address
from pyhooks.native.base import NativeCallback

__all__ = ["CFunction"]


class CFunction(NativeCallback):
    """A C function of any language as a callback: ``void f(pyhooks_batch* s, void* user)``, as c_api.h has it.

    Args:
        pointer: a function of a ``ctypes`` library, a ``cffi`` function pointer, a numba ``cfunc``, or an address.
        event: the event it is called at, any of pyhooks' events.
        user_data: what it gets as ``user``: a ``ctypes`` object, a ``cffi`` pointer, a NumPy array (its elements), an
            address. Default: None, a null pointer.
        state: its own float64 numbers, ``s->state``: how many, all 0 at first, or an array of their initial values,
            which is copied. Each run starts with these, and checkpoints keep them. Default: None, there are none.
        phase: "vote", "mutate" (it changes gradients, parameters or rates), "save" or "observe" (default).
        logs: the names it logs under, so that others may monitor them. Default: none.
        name: what messages call it. Default: the function's name.

    ``pointer`` and ``user_data`` are kept alive as long as a trainer has the callback.

    Attributes:
        address: of the function.

    Raises:
        TypeError: an argument of the wrong kind, or a Python function behind a C pointer.
        ValueError: a null pointer, no such event or phase.

    Example:
        >>> import ctypes
        >>> watch = ctypes.CDLL("./libwatch.so").watch                                     # doctest: +SKIP
        >>> trainer.add_callback(CFunction(watch, "on_train_batch_end"))                   # doctest: +SKIP
    """

    def __init__(
        self,
        pointer: object,
        event: str,
        *,
        user_data: object = None,
        state: int | npt.ArrayLike | None = None,
        phase: Literal["vote", "mutate", "save", "observe"] = "observe",
        logs: Sequence[str] = (),
        name: str | None = None,
    ) -> None:
        self.events = [events.check(event)]
        self.options = {}
        self.name = name or str(getattr(pointer, "__name__", "c_function"))
        self.address, self._user = function_address(pointer), data_address(user_data)
        self._kept = (pointer, user_data)
        self._initial = initial_state(state)
        self._phase, self._logs = phase, [str(logged) for logged in logs]
        self._last: _C.Listener | None = None
        self.make()  # what is wrong is told here and now

    @property
    def label(self) -> str:
        """What messages and statistics call it."""
        return self.name

    def make(self) -> _C.Listener:
        """Make the C++ object."""
        self._last = _C.c_callback(
            self.address, self._user, self.events[0], self._phase, self._logs, self._initial, self._kept
        )
        return self._last

    @property
    def state(self) -> npt.NDArray[np.float64] | None:
        """A copy of its state in the trainer it was last added to, as it is now, float64; None if it has none.

        Read it between batches (at an epoch event) or after ``fit``: during one it may be half written.
        """
        assert self._last is not None
        state = _C.c_state(self._last)
        return None if state is None else state.numpy()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.events[0]!r})"


def initial_state(state: Any) -> torch.Tensor | None:
    """The initial values of a function's state as a float64 tensor, copied.

    Raises:
        TypeError: neither a number of values nor an array of numbers.
        ValueError: no values.

    Example:
        >>> initial_state(2)
        tensor([0., 0.], dtype=torch.float64)
    """
    if state is None:
        return None
    if isinstance(state, numbers.Integral):
        checking.at_least(1, state=state)
        return torch.zeros(int(state), dtype=torch.float64)
    try:
        values = np.array(state, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"state is {state!r}; wanted how many numbers, or an array of them") from None
    if values.ndim == 0 or values.size == 0:
        raise ValueError(f"state is {state!r}; wanted how many numbers, or an array of them")
    return torch.from_numpy(values)
