"""From a Python function to the address of a C function, by numba."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import NumbaError, UnsupportedBytecodeError
from numba.extending import intrinsic

from pyhooks.errors import NativeFunctionError
from pyhooks.numba_batch import BatchType, call
from pyhooks.numba_errors import refusal


class Compiled:
    """A compiled function; the code lives as long as this object.

    Args:
        function: of one argument, ``s``; returns nothing.
        dtype: of the parameters and gradients it looks at.
        shape: of its state; None: it has none.
        boundscheck: an index out of range raises IndexError.
        fastmath: floating-point operations may be reordered.

    Attributes:
        address: of a ``void (*)(pyhooks_batch*, void*)``.
        logs: the names it logs under.

    Raises:
        NativeFunctionError: numba cannot compile it; says why and where.
    """

    def __init__(
        self,
        function: Callable[[Any], None],
        dtype: np.dtype[Any],
        shape: tuple[int, ...] | None,
        *,
        boundscheck: bool,
        fastmath: bool,
    ) -> None:
        batch = BatchType(dtype, shape)
        compiled = _compile(function, batch, {"boundscheck": boundscheck, "fastmath": fastmath})
        guarded = _guarded(compiled, batch)

        @numba.cfunc(types.void(types.voidptr, types.voidptr))
        def entry(s: Any, user: Any) -> None:
            guarded(s)

        self._entry = entry
        self.address: int = entry.address
        self.logs = list(batch.logs)


def _compile(function: Callable[[Any], None], batch: BatchType, options: dict[str, bool]) -> Any:
    name = function.__name__
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise NativeFunctionError(f"{name} is async or a generator; wanted a plain function")
    try:
        dispatcher = numba.njit(**options)(function)
        dispatcher.compile((batch,))
    except (NumbaError, UnsupportedBytecodeError, NotImplementedError) as error:
        raise NativeFunctionError(refusal(function, error, str(batch))) from None
    compiled = dispatcher.overloads[(batch,)]
    returned = compiled.signature.return_type
    if returned is not types.none:
        raise NativeFunctionError(f"{name} returns {returned}; a callback returns nothing")
    if compiled.lifted:
        raise NativeFunctionError(f"{name} goes back to Python (objmode), which would take the GIL at each call")
    return compiled


def _guarded(compiled: Any, batch: BatchType) -> Any:
    """An intrinsic that calls the compiled function and, if it raises, hands the exception to ``fail``."""

    @intrinsic
    def guarded(typingctx: Any, pointer: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            context.active_code_library.add_linking_library(compiled.library)
            status, _ = context.call_internal_no_propagate(builder, compiled.fndesc, types.none(batch), [arguments[0]])
            with cgutils.if_unlikely(builder, status.is_error):
                python = context.get_python_api(builder)
                gil = python.gil_ensure()
                context.call_conv.raise_error(builder, python, status)
                none = ir.Constant(cgutils.voidptr_t, None)
                call(builder, arguments[0], "fail", ir.VoidType(), [none])
                python.gil_release(gil)
            return context.get_dummy_value()

        return types.void(pointer), generate

    return guarded
