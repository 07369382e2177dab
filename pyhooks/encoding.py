"""What a checkpoint keeps of Python objects: copies of tensors under names, and JSON."""

from __future__ import annotations

import collections
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Copies(dict[str, Tensor]):
    """Copies of tensors, by name.

    Args:
        spare: those of an earlier time that nobody needs any more; their memory is used again.
    """

    def __init__(self, spare: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self._spare = {} if spare is None else spare
        self._waiting: tuple[list[Tensor], list[Tensor]] = ([], [])

    def keep(self, name: str, value: Tensor) -> None:
        """Copy a tensor, at :meth:`finish` at the latest."""
        old = self._spare.get(name)
        fits = old is not None and old.shape == value.shape and old.dtype == value.dtype
        if old is None or not fits or old.stride() != value.stride() or old.device != value.device:
            self[name] = value.detach().clone()
            return
        self[name] = old
        for tensors, tensor in zip(self._waiting, (old, value.detach()), strict=True):
            tensors.append(tensor)

    def finish(self) -> None:
        """Copy what goes to memory of an earlier time, all in one call."""
        if self._waiting[0]:
            torch._foreach_copy_(*self._waiting)
        self._waiting = ([], [])


def without_tensors(value: Any, name: str, found: Copies) -> Any:
    """Move tensors in nested dicts out, under dotted names; what is left is JSON-able."""
    if isinstance(value, Tensor):
        found.keep(name, value)
        return {"__tensor__": name.split(".", 2)[2]}
    if isinstance(value, dict):
        return {key: without_tensors(item, f"{name}.{key}", found) for key, item in value.items()}
    return value


def with_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Put back the tensors that :func:`without_tensors` has moved out."""
    if isinstance(value, dict):
        if set(value) == {"__tensor__"}:
            return tensors[value["__tensor__"]]
        return {key: with_tensors(item, tensors) for key, item in value.items()}
    return value


def encode(value: Any) -> Any:
    """JSON for a scheduler's or callback's state: keeps Counters, tuples and non-string keys."""
    if isinstance(value, collections.Counter):
        return {"__counter__": [[key, count] for key, count in value.items()]}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: encode(item) for key, item in value.items()}
        return {"__items__": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"__tuple__": [encode(item) for item in value]}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    json.dumps(value)  # TypeError names what cannot be kept
    return value


def decode(value: Any) -> Any:
    """What :func:`encode` was given."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"__counter__"}:
        return collections.Counter(dict(value["__counter__"]))
    if set(value) == {"__items__"}:
        return {decode(key): decode(item) for key, item in value["__items__"]}
    if set(value) == {"__tuple__"}:
        return tuple(decode(item) for item in value["__tuple__"])
    return {key: decode(item) for key, item in value.items()}
