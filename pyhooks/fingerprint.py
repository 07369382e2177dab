"""A snapshot of the Python values that a step reads, to tell whether a captured plan still says what the user means."""

from __future__ import annotations

import collections
import enum
import functools
import hashlib
import itertools
import sys
import types
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pyhooks.metrics import Metric

_MAX_ITEMS = 1000
_MAX_TOKENS = 200_000
_MAX_DEPTH = 60
_MAX_BYTES = 1 << 20
_EMPTY = frozenset({dict, collections.OrderedDict, set, list, tuple})
_SEQUENCES = (tuple, list, set, frozenset, collections.deque)
_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")
_LIBRARIES = (frozenset(sys.stdlib_module_names) | {"torch", "numpy"}) - {"__main__"}
_FOREIGN = _LIBRARIES | {"pyhooks"}
_NAMESPACES = frozenset({("types", "SimpleNamespace"), ("argparse", "Namespace"), ("collections", "UserDict")})
_INSTALLED = ("site-packages", "dist-packages")


class Snapshot:
    """The values reachable from a step's parts; two are equal if a plan captured at one is right at the other.

    Looked into: modules, functions (defaults, closures and the globals they name), partials, bound methods, plain
    objects and their classes, containers, and the hooks of modules and tensors. Only which object it is counts of
    what torch, the standard library and pyhooks define. A tensor counts by what it is, not by its numbers: plans
    read those afresh.

    An object that counts by its id is kept, a tensor's by a weak reference that is kept, so that the id of one that
    is gone is never taken for another's.

    Args:
        roots: the model, the loss and the metrics.

    Example:
        >>> settings = {"beta": 0.0}
        >>> loss = lambda outputs, targets: settings["beta"] * outputs.sum()
        >>> before = Snapshot([loss])
        >>> before == Snapshot([loss])
        True
        >>> settings["beta"] = 0.1
        >>> before == Snapshot([loss])
        False
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, roots: Iterable[Any]) -> None:
        walk = _Walk()
        for root in roots:
            walk.visit(root, 0)
        self._tokens, self._kept = walk.tokens, walk.kept

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Snapshot) and self._tokens == other._tokens


class _Walk:
    """Writes what it visits as a flat list of tokens: types, plain values and ids.

    Each value starts with its type and says how long it is, so that lists of tokens are equal only if the values are.
    """

    def __init__(self) -> None:
        self.tokens: list[Any] = []
        self.kept: list[Any] = []
        self._seen: dict[int, tuple[int, Any]] = {}
        self._classes: set[type] = set()
        self._opaque: dict[type, bool] = {}

    def visit(self, value: Any, depth: int) -> None:
        kind = type(value)
        if value is None:
            self.tokens.append(None)
        elif kind is str or kind is int or kind is bool:
            self.tokens += (kind, value)
        elif isinstance(value, Tensor):
            self._tensor(value, depth)
        elif not self._scalar(value, kind):
            self._once(value, kind, depth)

    def _once(self, value: Any, kind: type, depth: int) -> None:
        """What can hold itself: looked into the first time only."""
        found = self._seen.get(id(value))
        if found is not None:
            self.tokens += ("seen", found[0])
            return
        self._seen[id(value)] = (len(self._seen), value)
        if depth > _MAX_DEPTH or len(self.tokens) > _MAX_TOKENS:
            self._identity(value)
        elif isinstance(value, nn.Module):
            self._identity(value)
            self._class(kind, depth)
            self._attributes(vars(value), depth, skip="training")
        elif isinstance(value, (dict, *_SEQUENCES)):
            self._container(value, kind, depth)
        else:
            self._callable_or_object(value, kind, depth)

    def _callable_or_object(self, value: Any, kind: type, depth: int) -> None:
        if isinstance(value, types.FunctionType):
            self._function(value, depth)
        elif isinstance(value, types.MethodType):
            self.tokens.append(kind)
            self.visit(value.__func__, depth + 1)
            self.visit(value.__self__, depth + 1)
        elif isinstance(value, functools.partial):
            self.tokens.append(kind)
            for item in (value.func, value.args, value.keywords):
                self.visit(item, depth + 1)
        elif isinstance(value, functools._lru_cache_wrapper):
            self._identity(value)
            self.visit(value.__wrapped__, depth + 1)
        elif isinstance(value, np.ndarray):
            self._array(value, kind, depth)
        else:
            self._identity(value)
            if not self._is_opaque(kind):
                self._class(kind, depth)
                self._attributes(getattr(value, "__dict__", {}), depth)
                self._slots(value, kind, depth)

    def _scalar(self, value: Any, kind: type) -> bool:
        """Numbers and the like by their value: True is not 1, 0.0 is not -0.0, and NaN is NaN."""
        if isinstance(value, enum.Enum):
            self._identity(value)
        elif isinstance(value, float):
            self.tokens += (kind, float.hex(value))
        elif isinstance(value, int):
            self.tokens += (kind, int.__index__(value))
        elif isinstance(value, str):
            self.tokens += (kind, str.__str__(value))
        elif isinstance(value, bytes | bytearray):
            self.tokens += (kind, bytes(value))
        elif kind is complex:
            self.tokens += (kind, value.real.hex(), value.imag.hex())
        elif isinstance(value, np.generic):
            self.tokens += (kind, value.tobytes())
        elif isinstance(value, torch.device | torch.dtype | slice | range):
            self.tokens += (kind, repr(value))
        else:
            return False
        return True

    def _identity(self, value: Any) -> None:
        self.kept.append(value)
        self.tokens += (type(value), id(value))

    def _tensor(self, value: Tensor, depth: int) -> None:
        reference = weakref.ref(value)  # the same one each time while it is kept
        self.kept.append(reference)
        self.tokens += (Tensor, id(reference), value.requires_grad, value.dtype, value.shape)
        for name in _HOOKS:
            hooks = getattr(value, name, None)
            if hooks:
                self.tokens.append(name)
                self.visit(hooks, depth + 1)

    def _array(self, value: np.ndarray[Any, Any], kind: type, depth: int) -> None:
        self.tokens += (kind, str(value.dtype), value.shape)
        if value.nbytes > _MAX_BYTES:
            self._identity(value)
        elif value.dtype.hasobject:
            self.visit(value.ravel().tolist(), depth + 1)
        else:
            self.tokens.append(hashlib.blake2b(value.tobytes()).digest())

    def _attributes(self, attributes: dict[str, Any], depth: int, skip: str | None = None) -> None:
        for key, item in attributes.items():
            if key != skip:
                self.tokens.append(key)
                if type(item) not in _EMPTY or item:  # most of what a module holds are empty dicts of hooks
                    self.visit(item, depth + 1)

    def _container(self, value: Any, kind: type, depth: int) -> None:
        self.tokens += (kind, len(value))
        entries = itertools.chain.from_iterable(value.items()) if isinstance(value, dict) else value
        for item in itertools.islice(entries, _MAX_ITEMS):
            self.visit(item, depth + 1)
        if kind not in _EMPTY and not self._is_opaque(kind):  # of the user's own class
            self._class(kind, depth)
            self._attributes(getattr(value, "__dict__", {}), depth)

    def _slots(self, value: Any, kind: type, depth: int) -> None:
        for base in kind.__mro__:
            for name, member in base.__dict__.items() if "__slots__" in base.__dict__ else ():
                if isinstance(member, types.MemberDescriptorType) and hasattr(value, name):
                    self.tokens.append(name)
                    self.visit(member.__get__(value, kind), depth + 1)

    def _class(self, kind: type, depth: int) -> None:
        """Which class it is, how it computes, and of the user's own classes the methods and plain attributes."""
        self.tokens.append(kind)
        if kind in self._classes:
            return
        self._classes.add(kind)
        self._code(getattr(kind, "forward", None))
        for base in kind.__mro__:
            if _is_users(base.__module__):
                self._class_attributes(base, depth)

    def _class_attributes(self, base: type, depth: int) -> None:
        for name, item in base.__dict__.items():
            if isinstance(item, types.MemberDescriptorType | types.GetSetDescriptorType):
                continue
            while isinstance(item, staticmethod | classmethod | property):
                item = item.fget if isinstance(item, property) else item.__func__
            if isinstance(item, types.FunctionType) or (not name.startswith("__") and self._is_global(item)):
                self.tokens.append(name)
                self.visit(item, depth + 1)

    def _code(self, function: Any) -> None:
        self._identity(getattr(function, "__code__", None))

    def _function(self, function: types.FunctionType, depth: int) -> None:
        self._code(function)
        if (function.__module__ or "").partition(".")[0] in _LIBRARIES:
            if not function.__closure__:
                return
        elif _is_users_file(function.__code__.co_filename):
            self._globals(function, depth)
        self.visit(function.__defaults__, depth + 1)
        self.visit(function.__kwdefaults__, depth + 1)
        cells = function.__closure__ or ()
        self.tokens.append(len(cells))
        for cell in cells:
            try:
                item = cell.cell_contents
            except ValueError:  # not yet set
                self.tokens.append("empty")
            else:
                self.visit(item, depth + 1)
        if function.__dict__:
            self._attributes(function.__dict__, depth)

    def _globals(self, function: types.FunctionType, depth: int) -> None:
        known = function.__globals__
        for name in _names(function.__code__):
            if name in known and self._is_global(known[name]):
                self.tokens.append(name)
                self.visit(known[name], depth + 1)

    def _is_global(self, value: Any) -> bool:
        """Whether a global or class attribute is data, or the user's own function or object."""
        if isinstance(value, types.ModuleType | type):
            return False
        if isinstance(value, types.FunctionType):
            return _is_users_file(value.__code__.co_filename) and _is_users(value.__module__)
        data = (dict, *_SEQUENCES, Tensor, nn.Module, np.ndarray, types.MethodType, functools.partial)
        if value is None or isinstance(value, (int, float, complex, str, bytes, np.generic, *data)):
            return True
        return isinstance(value, functools._lru_cache_wrapper) or not self._is_opaque(type(value))

    def _is_opaque(self, kind: type) -> bool:
        """Whether only the identity of such objects counts: torch's, pyhooks', the standard library's, and generators.

        The user's own optimizers, datasets and trainers too, as they derive from such.
        """
        if kind not in self._opaque:
            closed = [base for base in kind.__mro__ if base.__module__.partition(".")[0] in _FOREIGN]
            names = {(base.__module__.partition(".")[0], base.__name__) for base in closed}
            owns = kind not in closed or (kind.__module__, kind.__name__) in _NAMESPACES
            stopping = any(root in ("torch", "numpy") or (root, name) == ("pyhooks", "Trainer") for root, name in names)
            self._opaque[kind] = not issubclass(kind, Metric) and (not owns or stopping)
        return self._opaque[kind]


def _names(code: types.CodeType) -> list[str]:
    """The names that a function and those inside it look up."""
    names = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names += _names(constant)
    return names


def _is_users(module: str | None) -> bool:
    """Whether a module is the user's own: neither installed, nor torch's, pyhooks' or the standard library's."""
    if module is None or module.partition(".")[0] in _FOREIGN:
        return False
    return _is_users_file(getattr(sys.modules.get(module), "__file__", None) or "")


def _is_users_file(name: str) -> bool:
    return not any(part in name for part in _INSTALLED)
