"""What a parity case is, and how it is built twice from the same seed."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

import pyhooks

HandMetric = Callable[[Any, Any], tuple[float, float]]


def adam(params: Any) -> Optimizer:
    return Adam(params, lr=1e-2, fused=True)


def every_parameter(*modules: nn.Module) -> list[Any]:
    return [p for module in modules for p in module.parameters()]


@dataclasses.dataclass(frozen=True)
class Case:
    """A model, its data and how it is trained.

    Args:
        model: makes it; called after ``torch.manual_seed(0)``.
        data: makes ``(inputs, targets)`` of so many rows.
        loss: a function, or a module that is copied for each run.
        optimizer: makes it from what ``groups`` returns.
        groups: parameters or parameter groups, from the model (and the loss, if it is a module).
        scheduler: makes it from the optimizer.
        per: what the scheduler steps after: "epoch" or "batch".
        metrics: by name, ``(value, count)`` of a batch by hand; pyhooks' of the same name is compared with it.
        val_rows: rows of validation data; 0: no validation.
    """

    model: Callable[[], nn.Module]
    data: Callable[[int], tuple[Any, Any]]
    loss: Callable[[Any, Any], Tensor] = nn.functional.cross_entropy
    optimizer: Callable[[Any], Optimizer] = adam
    groups: Callable[..., list[Any]] = every_parameter
    scheduler: Callable[[Optimizer], LRScheduler] | None = None
    per: str = "epoch"
    metrics: Mapping[str, HandMetric] = dataclasses.field(default_factory=dict)
    rows: int = 24
    val_rows: int = 0
    batch_size: int = 8
    epochs: int = 3
    accumulate: int = 1
    clip_norm: float | None = None
    clip_value: float | None = None
    shuffle: bool = True
    drop_last: bool = False
    seed: int | None = 5

    def but(self, **changes: Any) -> Case:
        """The same case with some things different."""
        return dataclasses.replace(self, **changes)

    def train_data(self) -> tuple[Any, Any]:
        return self.data(self.rows)

    def val_data(self) -> tuple[Any, Any] | None:
        return self.data(self.val_rows) if self.val_rows else None


@dataclasses.dataclass
class Parts:
    """What one run trains."""

    model: nn.Module
    loss: Any
    optimizer: Optimizer
    scheduler: Any

    def modules(self) -> list[nn.Module]:
        """The model, and the loss if it is a module."""
        return [part for part in (self.model, self.loss) if isinstance(part, nn.Module)]


def build(case: Case) -> Parts:
    """Make a run's parts; two calls make equal ones and leave the default generator in the same state."""
    torch.manual_seed(0)
    model, loss = case.model(), copy.deepcopy(case.loss)
    optimizer = case.optimizer(case.groups(*[part for part in (model, loss) if isinstance(part, nn.Module)]))
    return Parts(model, loss, optimizer, case.scheduler(optimizer) if case.scheduler else None)


def trainer_for(case: Case, parts: Parts, engine: str, **options: Any) -> pyhooks.Trainer:
    """The trainer that does what the plain loop does."""
    scheduler = parts.scheduler if case.per == "epoch" else (parts.scheduler, case.per)
    settings = {
        "metrics": {name: getattr(pyhooks.metrics, name) for name in case.metrics},
        "scheduler": scheduler,
        "engine": engine,
        "accumulate": case.accumulate,
        "clip_norm": case.clip_norm,
        "clip_value": case.clip_value,
        "seed": case.seed,
        "progress": False,
    }
    return pyhooks.Trainer(parts.model, parts.loss, parts.optimizer, **settings | options)


def fit(case: Case, trainer: pyhooks.Trainer, train: Any, val: Any = None) -> pyhooks.Result:
    """Train with pyhooks as the case says."""
    return trainer.fit(
        train,
        val,
        epochs=case.epochs,
        batch_size=case.batch_size,
        shuffle=case.shuffle,
        drop_last=case.drop_last,
    )
