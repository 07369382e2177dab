"""Flattening outputs and rebuilding them with their own types."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from pyhooks.tree import flatten, unflatten


@dataclasses.dataclass(frozen=True, slots=True)
class Inner:
    value: Tensor


@dataclasses.dataclass
class Outer:
    inner: Inner
    items: list[Inner]
    label: str = "x"
    computed: Tensor | None = None

    def __post_init__(self) -> None:
        if self.label == "never again":
            raise AssertionError
        self.label = "never again"


class Point(NamedTuple):
    x: Tensor
    y: Tensor


@dataclasses.dataclass
class ModelOutput(collections.OrderedDict[str, Any]):
    logits: Tensor | None = None
    hidden: tuple[Tensor, ...] | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) is not None:
                self[field.name] = getattr(self, field.name)


A, B, C = torch.zeros(1), torch.ones(1), torch.ones(2)


@pytest.mark.parametrize(
    ("value", "n"),
    [
        (A, 1),
        ((A, [B]), 2),
        ({"b": A, "a": (B, "text", 3)}, 2),
        (Point(A, B), 2),
        (Outer(Inner(A), [Inner(B), Inner(C)]), 3),
        (None, 0),
        ([], 0),
    ],
)
def test_round_trip(value: Any, n: int) -> None:
    tensors, tree = flatten(value)
    rebuilt = unflatten(tensors, tree)
    assert len(tensors) == tree.n_tensors == n
    assert type(rebuilt) is type(value) and repr(rebuilt) == repr(value)


def test_model_output_keeps_its_dict() -> None:
    value = ModelOutput(logits=A, hidden=(B, C))
    rebuilt = unflatten(*flatten(value))
    assert type(rebuilt) is ModelOutput and rebuilt["logits"] is A and rebuilt.hidden[1] is C


def test_unknown_values_are_not_kept() -> None:
    tensors, tree = flatten((A, object(), Outer(Inner(B), [])))
    assert len(tensors) == 2 and tree.opaque() == ["object"]
    assert "object" in repr(unflatten(tensors, tree)[1])


def test_wrong_number_of_tensors() -> None:
    _, tree = flatten((A, B))
    with pytest.raises(ValueError, match="got 1 tensors for a tree of 2"):
        unflatten([A], tree)
