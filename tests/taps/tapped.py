"""Training with pyhooks' tensor hooks and with PyTorch's own, and comparing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from parity import harness, plain
from parity.compare import assert_equal_parts
from parity.harness import Case, Parts, build, trainer_for
from parity.models import features
from torch import Tensor, nn

import pyhooks
from pyhooks.native import ActivationStats, GradStats


class Net(nn.Module):
    """Two layers with dropout between: draws random numbers, and has a buffer that moves."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 16)
        self.norm = nn.BatchNorm1d(16)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.3)
        self.fc2 = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.drop(self.act(self.norm(self.fc1(x)))))


class Twice(nn.Module):
    """Calls one layer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.fc(torch.tanh(self.fc(x))))


NET = Case(Net, features(6), rows=22, val_rows=10)
"""Batches of 8, 8 and 6 rows: two plans."""


STATS: dict[str, Callable[[Tensor], float]] = {
    "mean": lambda x: x.mean().item(),
    "std": lambda x: x.std(correction=0).item(),
    "norm": torch.linalg.vector_norm,
    "zeros": lambda x: (x == 0).double().mean().item(),
    "nonfinite": lambda x: float((~x.isfinite()).sum()),
}
"""The statistics, as a user would write them."""


@dataclasses.dataclass
class Seen:
    """What PyTorch's hooks saw: per tensor, a clone and the statistics for each training batch."""

    tensors: dict[str, list[Tensor]] = dataclasses.field(default_factory=dict)
    columns: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    def note(self, name: str, tensor: Tensor) -> None:
        tensor = tensor.detach()
        self.tensors.setdefault(name, []).append(tensor.clone())
        for stat, of in STATS.items():  # at once: a clone of a view is summed in another order
            self.columns.setdefault(f"{name}/{stat}", []).append(float(of(tensor)))

    def outputs(self, model: nn.Module, name: str) -> None:
        """Note what a module returns in training."""

        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            if module.training:
                self.note(f"{name}/output", output)

        model.get_submodule(name).register_forward_hook(hook)

    def grads(self, model: nn.Module, name: str) -> None:
        """Note the gradient of what a module returns in training."""

        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            if module.training and output.requires_grad:
                output.register_hook(lambda grad: self.note(f"{name}/grad", grad))

        model.get_submodule(name).register_forward_hook(hook)


def all_stats(kind: str) -> pyhooks.native.NativeHook:
    return ActivationStats([*STATS, "histogram"]) if kind == "output" else GradStats([*STATS, "histogram"])


def assert_columns(trainer: pyhooks.Trainer, seen: Seen) -> None:
    """Every statistic of every tensor, batch by batch, is what PyTorch computes of what its hooks saw."""
    columns = trainer.history.batch
    assert seen.columns
    for name, values in seen.columns.items():
        assert columns[name].tolist() == values, name


def plain_run(case: Case, install: Callable[[Parts], Any] = lambda parts: None) -> tuple[Parts, plain.Record, Tensor]:
    """Train by the plain loop, with PyTorch's hooks; returns the parts, the record and the generator's last state."""
    parts = build(case)
    install(parts)
    record = plain.fit(case, parts, case.train_data(), case.val_data())
    return parts, record, torch.get_rng_state()


def tapped_run(
    case: Case, engine: str, add: Callable[[pyhooks.Trainer], Any], **options: Any
) -> tuple[Parts, pyhooks.Trainer]:
    """Train by pyhooks, with its hooks."""
    parts = build(case)
    trainer = trainer_for(case, parts, engine, **options)
    add(trainer)
    harness.fit(case, trainer, case.train_data(), case.val_data())
    assert trainer.engine == engine
    return parts, trainer


def assert_as_plain(
    case: Case,
    engine: str,
    add: Callable[[pyhooks.Trainer], Any],
    install: Callable[[Parts], Any] = lambda parts: None,
    **options: Any,
) -> pyhooks.Trainer:
    """Train both ways; losses, metrics, weights, buffers, optimizer state and random numbers must be the same bits."""
    theirs, record, generator = plain_run(case, install)
    mine, trainer = tapped_run(case, engine, add, **options)
    assert torch.equal(torch.get_rng_state(), generator), "the default generator is in another state"
    columns = {"loss", "lr"}
    _assert_records(trainer, record, columns)
    assert_equal_parts(mine, theirs)
    return trainer


def _assert_records(trainer: pyhooks.Trainer, record: plain.Record, columns: set[str]) -> None:
    kept = [{key: value for key, value in epoch.items() if key.count("/") < 2} for epoch in trainer.history.epochs]
    found = trainer.history.batch
    assert found["loss"].tolist() == record.losses and found["lr"].tolist() == record.lrs
    assert [{k: v for k, v in epoch.items() if not k.startswith("lr/")} for epoch in kept] == record.epochs
