"""Batch callbacks written in Python: numba compiles them to C functions, which run without Python and its GIL."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pyhooks import checking, events
from pyhooks.native.c_function import CFunction, initial_state
from pyhooks.wording import kind

DTYPES = ("float32", "float64")


class NativeFunction(CFunction):
    """A compiled function, as :func:`native_callback` makes it: a native callback of one event.

    Attributes:
        function: the Python function it was made of.
        state: a copy of its state in the trainer it was last added to.
    """

    def __init__(self, function: Callable[[Any], None], compiled: Any, event: str, **options: Any) -> None:
        super().__init__(compiled, event, logs=compiled.logs, name=function.__name__, **options)
        self.function = function
        self.__doc__ = function.__doc__


def native_callback(
    event: str,
    *,
    state: int | npt.ArrayLike | None = None,
    phase: Literal["vote", "mutate", "save", "observe"] = "observe",
    dtype: npt.DTypeLike = np.float32,
    boundscheck: bool = True,
    fastmath: bool = False,
) -> Callable[[Callable[[Any], None]], NativeFunction]:
    """Compile the decorated function to native code, to be called at an event without Python and without the GIL.

    The function has one argument, here called ``s``:

    - ``s.epoch, s.epochs, s.step, s.batch, s.batches, s.samples, s.samples_seen``: integers counted from 0, the last
      four -1 at events outside batches (but for ``samples_seen``); ``s.seconds`` since the run began.
    - ``s.loss``: NaN before the forward pass and outside batches. ``s.lr``, ``s.lr_of(group)``, ``s.num_groups``.
    - ``s.param(i)``, ``s.grad(i)``, ``s.num_params``: NumPy views, 1-D, of all elements in the parameter's order; what
      is written to them is trained with. A parameter without a gradient has one of size 0. ``.reshape(...)`` gives a
      view with the tensor's shape.
    - ``s.state``: its own float64 array. Each run starts with the initial values; checkpoints keep it.
    - ``s.log("name", value)``, ``s.logged("name")``, ``s.metric("val/loss")``; names are written out.
    - ``s.set_lr(value, group=0)``, ``s.scale_lr(factor)``, ``s.skip_step()``, ``s.will_update``,
      ``s.request_stop("reason")``, ``s.request_save("reason")``, ``s.snapshot("reason")``; the reason may be left out.

    They do what they do for a native class (context.h). The body is what numba compiles in nopython mode: numbers,
    NumPy arrays, other ``numba.njit`` functions; global variables are constants. Exceptions end training as they are.

    Args:
        event: the event it is called at, any of pyhooks' events.
        state: how many float64 numbers it keeps, all 0 at first, or an array of their initial values, which is copied
            and whose shape ``s.state`` has. Default: None, there is no state.
        phase: "vote", "mutate" (it changes gradients, parameters or rates), "save" or "observe" (default).
        dtype: of the parameters and gradients it looks at, float32 (default) or float64; others raise TypeError
            when they are looked at.
        boundscheck: an index out of range raises IndexError. Default: True; False is faster, and reads or writes
            whatever lies there.
        fastmath: let the compiler reorder floating-point operations, so that it can vectorize sums. Default: False.

    Returns:
        A decorator: from the function to what ``trainer.add_callback`` takes.

    Raises:
        ImportError: numba is not installed.
        TypeError: not a function of one argument, or an argument of the wrong kind.
        ValueError: no such event or phase.
        pyhooks.NativeFunctionError: numba cannot compile the function; says why and where.

    Example:
        >>> @native_callback("optimizer_step", phase="mutate", state=1)
        ... def clip(s):
        ...     total = 0.0
        ...     for i in range(s.num_params):
        ...         total += np.sum(s.grad(i) ** 2)
        ...     norm = np.sqrt(total)
        ...     s.log("grad_norm", norm)
        ...     if norm > 1.0:
        ...         s.state[0] += 1
        ...         for i in range(s.num_params):
        ...             s.grad(i)[:] *= 1.0 / norm
        >>> clip
        NativeFunction('clip', 'optimizer_step')
    """
    events.check(event)
    initial = initial_state(state)
    shape = None if initial is None else tuple(initial.shape)
    checking.flags(boundscheck=boundscheck, fastmath=fastmath)
    element = _dtype(dtype)
    compile_it = _compiler()

    def decorate(function: Callable[[Any], None]) -> NativeFunction:
        function = getattr(function, "py_func", function)  # of a function that numba has already decorated
        _check_function(function)
        compiled = compile_it(function, element, shape, boundscheck=boundscheck, fastmath=fastmath)
        return NativeFunction(
            function, compiled, event, state=None if initial is None else initial.numpy(), phase=phase
        )

    return decorate


def _compiler() -> Callable[..., Any]:
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"native_callback compiles with numba, which cannot be imported ({error}): "
            "pip install 'pyhooks-torch[numba]'"
        ) from error
    from pyhooks.numba_compile import Compiled

    return Compiled


def _dtype(given: npt.DTypeLike) -> np.dtype[Any]:
    wanted = f"dtype is {given!r}; wanted one of {', '.join(DTYPES)}"
    try:
        dtype = np.dtype(given)
    except TypeError:
        raise TypeError(wanted) from None
    if dtype.name not in DTYPES:
        raise ValueError(wanted)
    return dtype


def _check_function(function: object) -> None:
    if not inspect.isfunction(function):
        raise TypeError(f"native_callback decorates a function of one argument, s; got {kind(function)}")
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise TypeError(
            f"{function.__qualname__}{inspect.signature(function)} cannot be called with one argument, s ({error})"
        ) from None
