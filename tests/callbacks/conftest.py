"""A trainer that is none: callbacks are tested by handing them contexts, without the compiled core."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

EPOCH_EVENTS = (
    "on_train_epoch_start",
    "on_train_epoch_end",
    "on_val_start",
    "on_val_end",
    "on_fit_epoch_end",
)


@dataclass
class FakeSnapshot:
    epoch: int = 0
    epochs: int = 3
    batch: int = 5
    batches: int = 10
    global_step: int = 5
    loss: float = 0.25
    seconds: float = 0.5
    training: bool = True


@dataclass
class FakeHistory:
    epochs: list[dict[str, float]] = field(default_factory=list)
    batch: dict[str, np.ndarray] = field(default_factory=dict)


class FakeTrainer:
    """A ``TrainerLike`` of ``pyhooks.callbacks.protocol``; ``run`` fires an epoch's events for each row."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ("train/loss", "val/loss")) -> None:
        torch.manual_seed(0)
        self.model: torch.nn.Module = torch.nn.Linear(2, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.scheduler = None
        self.metric_names = list(names)
        self.metrics: dict[str, float] = {}
        self.history = FakeHistory()
        self.engine = "graph"
        self.epoch, self.epochs, self.global_step, self.steps_an_epoch = 0, 3, 0, 10
        self.loss = math.nan
        self.fitness: float | None = None
        self.best_fitness: float | None = None
        self.best_epoch: int | None = None
        self.stop, self.stop_reason = False, None
        self.save_dir: Path | None = folder
        self.handed_over: list[Path] = []
        self.saves: list[Path] = []
        self.exception: BaseException | None = None
        self.snapshot = FakeSnapshot()
        self.callbacks: list[Any] = []

    def peek(self) -> FakeSnapshot:
        return self.snapshot

    def request_stop(self, reason: str) -> None:
        self.stop, self.stop_reason = True, reason

    def run_dir(self) -> Path:
        assert self.save_dir is not None
        self.save_dir.mkdir(parents=True, exist_ok=True)
        return self.save_dir

    def checkpoint(self, spare: Any = None) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        tensors = {f"model.{name}": value.clone() for name, value in self.model.state_dict().items()}
        return tensors, {
            "epoch": self.epoch,
            "callbacks": [callback.state_dict() for callback in self.callbacks],
        }

    def model_saved(self, path: str) -> None:
        self.handed_over.append(Path(path))

    def checkpoint_durable(self, path: str) -> None:
        self.saves.append(Path(path))

    def fire(self, event: str) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self)

    def run(self, rows: list[dict[str, float]], *callbacks: Any, first: int = 0) -> None:
        """What ``fit`` fires, an epoch a row, up to a stop; the weights of epoch ``e`` are all ``e + 1``."""
        self.callbacks = list(callbacks)
        self.stop, self.stop_reason, self.epoch, self.epochs = False, None, first, first + len(rows)
        for event in ("on_pretrain_routine_start", "on_pretrain_routine_end", "on_train_start"):
            self.fire(event)
        for epoch, row in enumerate(rows, first):
            self._epoch(epoch, row)
            if self.stop:
                self.fire("on_early_stop")
                break
        self.fire("on_train_end")
        self.fire("teardown")

    def _epoch(self, epoch: int, row: dict[str, float]) -> None:
        self.epoch, self.metrics = epoch, row
        self.global_step += self.steps_an_epoch
        self.fitness = -row["val/loss"] if "val/loss" in row else None
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.fill_(epoch + 1)
        for event in EPOCH_EVENTS:
            self.fire(event)


def val_losses(*values: float) -> list[dict[str, float]]:
    return [{"train/loss": 1.0, "val/loss": value} for value in values]


@pytest.fixture
def trainer(tmp_path: Path) -> FakeTrainer:
    return FakeTrainer(tmp_path / "run")


@pytest.fixture
def losses():
    """Rows of metrics from validation losses."""
    return val_losses
