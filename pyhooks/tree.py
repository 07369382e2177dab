"""Taking nested outputs apart into tensors and putting them together again.

On top of :mod:`torch.utils._pytree` (tensors, tuples, lists, dicts, named tuples, whatever is registered
there) this module knows dataclasses, Hugging Face's ``ModelOutput`` included.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

_PLAIN = (bool, int, float, complex, str, bytes, enum.Enum, torch.dtype, torch.device, torch.Size, type(None))


@dataclasses.dataclass(frozen=True)
class Opaque:
    """Stands for a value of unknown type in a :class:`Tree`, so that the tree keeps no tensors alive.

    Args:
        type_name: the name of the type that stood here.
    """

    type_name: str


@dataclasses.dataclass(frozen=True)
class _Slot:
    """The place of one tensor."""

    index: int


@dataclasses.dataclass(frozen=True)
class _Record:
    """The place of one dataclass: its class and a tree for each field."""

    cls: type
    fields: dict[str, Tree]


@dataclasses.dataclass(frozen=True)
class Tree:
    """How to rebuild a nested value from its tensors; made by :func:`flatten`.

    Args:
        spec: the shape of the containers.
        leaves: for each leaf of ``spec`` a tensor's place, a dataclass, or the plain value itself.
        n_tensors: how many tensors the value holds.
    """

    spec: pytree.TreeSpec
    leaves: tuple[Any, ...]
    n_tensors: int

    def opaque(self) -> list[str]:
        """The type names of values that :func:`flatten` could not look into."""
        names: list[str] = []
        for leaf in self.leaves:
            if isinstance(leaf, Opaque):
                names.append(leaf.type_name)
            elif isinstance(leaf, _Record):
                names.extend(name for tree in leaf.fields.values() for name in tree.opaque())
        return names

    def names(self, root: str) -> list[str]:
        """What to call each tensor in a message: ``root``, ``root[1]``, ``root['h']``, ``root.logits``.

        Args:
            root: what to call the whole value.
        """
        try:
            blank = pytree.tree_unflatten([0] * len(self.leaves), self.spec)
            paths = [pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(blank)[0]]
        except Exception:  # a container that was registered without paths, or that checks what it holds
            paths = [f"[{i}]" for i in range(len(self.leaves))]
        names: list[str] = []
        for path, leaf in zip(paths, self.leaves, strict=True):
            if isinstance(leaf, _Slot):
                names.append(f"{root}{path}")
            elif isinstance(leaf, _Record):
                names.extend(
                    name for field, tree in leaf.fields.items() for name in tree.names(f"{root}{path}.{field}")
                )
        return names


def flatten(value: Any) -> tuple[list[torch.Tensor], Tree]:
    """Take a nested value apart.

    Args:
        value: tensors in tuples, lists, dicts and dataclasses, nested as you like. Other leaves are kept in
            the tree if they are plain (numbers, strings, None, ...), else replaced by :class:`Opaque`.

    Returns:
        The tensors in order, and the tree that rebuilds the value from them.

    Example:
        >>> tensors, tree = flatten({"logits": torch.zeros(2), "name": "a"})
        >>> len(tensors), unflatten(tensors, tree)
        (1, {'logits': tensor([0., 0.]), 'name': 'a'})
    """
    tensors: list[torch.Tensor] = []
    return tensors, _visit(value, tensors)


def unflatten(tensors: Sequence[torch.Tensor], tree: Tree) -> Any:
    """Rebuild a nested value, the opposite of :func:`flatten`.

    Args:
        tensors: as many as the tree has places for.
        tree: what :func:`flatten` returned.

    Returns:
        A value of the same types as the one taken apart; dataclasses are made without calling ``__init__``.

    Raises:
        ValueError: the number of tensors is wrong.

    Example:
        >>> tensors, tree = flatten((torch.zeros(1), [torch.ones(1)]))
        >>> unflatten(tensors, tree)
        (tensor([0.]), [tensor([1.])])
    """
    if len(tensors) != tree.n_tensors:
        raise ValueError(f"got {len(tensors)} tensors for a tree of {tree.n_tensors}")
    return _build(tensors, tree)


def _visit(value: Any, tensors: list[torch.Tensor]) -> Tree:
    before = len(tensors)
    leaves, spec = pytree.tree_flatten(value)
    places = tuple(_place(leaf, tensors) for leaf in leaves)
    return Tree(spec, places, len(tensors) - before)


def _place(leaf: Any, tensors: list[torch.Tensor]) -> Any:
    if isinstance(leaf, torch.Tensor):
        tensors.append(leaf)
        return _Slot(len(tensors) - 1)
    if dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
        names = [field.name for field in dataclasses.fields(leaf) if hasattr(leaf, field.name)]
        return _Record(type(leaf), {name: _visit(getattr(leaf, name), tensors) for name in names})
    return leaf if isinstance(leaf, _PLAIN) else Opaque(type(leaf).__qualname__)


def _build(tensors: Sequence[torch.Tensor], tree: Tree) -> Any:
    return pytree.tree_unflatten([_restore(leaf, tensors) for leaf in tree.leaves], tree.spec)


def _restore(leaf: Any, tensors: Sequence[torch.Tensor]) -> Any:
    if isinstance(leaf, _Slot):
        return tensors[leaf.index]
    if not isinstance(leaf, _Record):
        return leaf
    values = {name: _build(tensors, tree) for name, tree in leaf.fields.items()}
    if issubclass(leaf.cls, dict):  # Hugging Face's ModelOutput is both: its dict is filled by __init__
        return leaf.cls(**{name: item for name, item in values.items() if item is not None})
    record = object.__new__(leaf.cls)
    for name, item in values.items():
        object.__setattr__(record, name, item)
    return record
