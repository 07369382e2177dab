"""The argument of a compiled callback, ``s``, as numba sees it: a pointer to a ``pyhooks_batch`` (c_api.h).

Imported when the first function is compiled: numba is optional, and takes its time.
"""

from __future__ import annotations

import itertools
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.errors import NumbaTypeError
from numba.extending import intrinsic, models, overload_attribute, overload_method, register_model

from pyhooks import _C

_BATCH = _C.c_batch_offsets()
_VIEW = _C.c_view_offsets()


class BatchType(types.Opaque):
    """The type of ``s``. Each function has its own, which knows how it was decorated and what it logs.

    Args:
        dtype: of the parameters and gradients it looks at.
        shape: of its state; None: it has none.

    Attributes:
        logs: the names in ``s.log(name, ...)``, complete when the function has been compiled.
    """

    _numbers = itertools.count()

    def __init__(self, dtype: np.dtype[Any], shape: tuple[int, ...] | None) -> None:
        super().__init__(name=f"pyhooks_batch#{next(self._numbers)}")
        self.dtype, self.shape = dtype, shape
        self.logs: dict[str, None] = {}


register_model(BatchType)(models.OpaqueModel)


# --- reading the struct and calling its functions ---------------------------------------------------------------------


def load(builder: Any, pointer: Any, offset: int, kind: Any) -> Any:
    """Emit the load of a field: a value of an LLVM type, so many bytes after the pointer."""
    address = builder.gep(pointer, [ir.Constant(ir.IntType(64), offset)])
    return builder.load(builder.bitcast(address, kind.as_pointer()))


def call(builder: Any, batch: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """Emit the call of a function in ``pyhooks_batch``; arguments are LLVM values, the struct not among them."""
    arguments = [batch, *arguments]
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(load(builder, batch, _BATCH[name], kind.as_pointer()), arguments)


def _field(offset: int, kind: Any) -> Any:
    """An intrinsic that reads a field of what a pointer points to."""

    @intrinsic
    def read(typingctx: Any, pointer: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return load(builder, arguments[0], offset, context.get_value_type(kind))

        return kind(pointer), generate

    return read


def _function(name: str, result: Any, parameters: tuple[Any, ...] = (), text: str | None = None) -> Any:
    """An intrinsic that calls a function of the struct, with up to two arguments.

    Args:
        name: the function's field.
        result: numba's type of what it returns.
        parameters: numba's types of its arguments after the struct and, if there is one, ``text``.
        text: a string to hand it first. None: there is none.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        strings = [] if text is None else [context.insert_const_string(builder.module, text)]
        kind = ir.VoidType() if result is types.void else context.get_value_type(result)
        value = call(builder, arguments[0], name, kind, [*strings, *arguments[1:]])
        return context.get_dummy_value() if result is types.void else value

    if len(parameters) == 0:
        return intrinsic(lambda typingctx, s: (result(s), generate))
    if len(parameters) == 1:
        return intrinsic(lambda typingctx, s, a: (result(s, *parameters), generate))
    return intrinsic(lambda typingctx, s, a, b: (result(s, *parameters), generate))


# --- attributes -------------------------------------------------------------------------------------------------------


def _attribute(name: str, read: Any) -> None:
    @overload_attribute(BatchType, name)
    def get(s):
        return lambda s: read(s)


for _name in ("epoch", "epochs", "step", "batch", "batches", "samples", "samples_seen"):
    _attribute(_name, _field(_BATCH[_name], types.int64))
for _name in ("num_groups", "num_params"):
    _attribute(_name, _function(_name, types.int64))
for _name in ("seconds", "loss"):
    _attribute(_name, _function(_name, types.float64))

_will_update = _function("will_update", types.int32)
_lr_of = _function("lr", types.float64, (types.int64,))
_state_of = _field(_BATCH["state"], types.CPointer(types.float64))


@overload_attribute(BatchType, "will_update")
def _get_will_update(s):
    return lambda s: _will_update(s) != 0


@overload_attribute(BatchType, "lr")
def _get_lr(s):
    return lambda s: _lr_of(s, 0)


@overload_attribute(BatchType, "state")
def _get_state(s):
    shape = s.shape
    if shape is None:
        raise NumbaTypeError("s.state: this function has none; ask for one, as native_callback(..., state=8)")
    return lambda s: numba.carray(_state_of(s), shape)


# --- parameters and gradients -----------------------------------------------------------------------------------------

_count = _function("num_params", types.int64)
_numel = _field(_VIEW["numel"], types.int64)
_dtype = _field(_VIEW["dtype"], types.int32)
_device = _field(_VIEW["device"], types.int32)


def _view(name: str) -> None:
    find = _function(name, types.voidptr, (types.int64,))

    @overload_method(BatchType, name)
    def view(s, i):
        if not isinstance(i, types.Integer):
            raise NumbaTypeError(f"s.{name}(i): i is {_plain(i)}; wanted the number of a parameter")
        data = _field(_VIEW["data"], types.CPointer(numba.from_dtype(s.dtype)))
        code = {"float32": 6, "float64": 7}[s.dtype.name]
        outside = f"s.{name}(i): i is not below s.num_params, or is below 0"
        wrong = (
            f"s.{name}(i): parameter i is not {s.dtype} on the CPU; native_callback(..., dtype=...) says what to expect"
        )

        def get(s, i):
            if i < 0 or i >= _count(s):
                raise IndexError(outside)
            tensor = find(s, i)
            if _numel(tensor) > 0 and (_dtype(tensor) != code or _device(tensor) >= 0):
                raise TypeError(wrong)
            return numba.carray(data(tensor), (_numel(tensor),))

        return get


_view("param")
_view("grad")


# --- actions ----------------------------------------------------------------------------------------------------------


def _number(value: Any, what: str) -> None:
    if not isinstance(value, types.Number | types.Boolean) or isinstance(value, types.Complex):
        raise NumbaTypeError(f"{what} is {_plain(value)}; wanted a number")


def _integer(value: Any, what: str) -> None:
    if not isinstance(value, types.Integer | types.Omitted | int):
        raise NumbaTypeError(f"{what} is {_plain(value)}; wanted an integer")


def _plain(kind: Any) -> Any:
    return types.unliteral(kind)  # int64, not Literal[int](3)


@overload_method(BatchType, "lr_of")
def _get_lr_of(s, group):
    _integer(group, "s.lr_of(group): the group")
    return lambda s, group: _lr_of(s, group)


@overload_method(BatchType, "set_lr")
def _do_set_lr(s, value, group=0):
    _number(value, "s.set_lr(value): the value")
    _integer(group, "s.set_lr(value, group): the group")
    set_lr = _function("set_lr", types.void, (types.float64, types.int64))
    return lambda s, value, group=0: set_lr(s, value, group)


@overload_method(BatchType, "scale_lr")
def _do_scale_lr(s, factor):
    _number(factor, "s.scale_lr(factor): the factor")
    scale = _function("scale_lr", types.void, (types.float64,))
    return lambda s, factor: scale(s, factor)


@overload_method(BatchType, "skip_step")
def _do_skip_step(s):
    skip = _function("skip_step", types.void)
    return lambda s: skip(s)


def _literal(text: Any, what: str) -> str:
    """The string that stands in the source: it must be known when the function is compiled."""
    if isinstance(text, types.StringLiteral):
        return str(text.literal_value)
    if isinstance(text, types.UnicodeType):
        raise NumbaTypeError(f'{what} is made while the function runs; write it out, as "name"')
    raise NumbaTypeError(f"{what} is {_plain(text)}; wanted a string that is written out")


@overload_method(BatchType, "log", prefer_literal=True)
def _do_log(s, name, value):
    text = _literal(name, "s.log(name, value): the name")
    _number(value, "s.log(name, value): the value")
    s.logs[text] = None
    log = _function("log", types.void, (types.float64,), text)
    return lambda s, name, value: log(s, value)


def _look_up(function: str) -> None:
    @overload_method(BatchType, function, prefer_literal=True)
    def get(s, name):
        look_up = _function(function, types.float64, (), _literal(name, f"s.{function}(name): the name"))
        return lambda s, name: look_up(s)


_look_up("logged")
_look_up("metric")


def _request(name: str) -> None:
    @overload_method(BatchType, name, prefer_literal=True)
    def ask(s, reason="no reason given"):
        given = reason.value if isinstance(reason, types.Omitted) else reason
        text = given if isinstance(given, str) else _literal(given, f"s.{name}(reason): the reason")
        request = _function(name, types.void, (), text)
        return lambda s, reason="no reason given": request(s)


_request("request_stop")
_request("request_save")
_request("snapshot")
