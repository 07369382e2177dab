"""What a Python callback may use of the trainer. Tests hand callbacks any object that has these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.optim import Optimizer


class Snapshot(Protocol):
    """A consistent picture of a run, as ``trainer.peek()`` gives it to any thread; the loop does not stop."""

    @property
    def epoch(self) -> int:
        """The epoch under way, from 0."""

    @property
    def epochs(self) -> int:
        """Epochs asked for."""

    @property
    def batch(self) -> int:
        """Batches done of the present pass."""

    @property
    def batches(self) -> int:
        """Batches of the present pass; -1 when unknown."""

    @property
    def global_step(self) -> int:
        """Optimizer steps made since training began."""

    @property
    def loss(self) -> float:
        """The latest batch's loss."""

    @property
    def seconds(self) -> float:
        """Seconds since the present pass began."""

    @property
    def training(self) -> bool | None:
        """True in a training pass, False in a validation pass, None between them."""


class History(Protocol):
    """What has been recorded so far."""

    @property
    def epochs(self) -> Sequence[Mapping[str, float]]:
        """The metrics of each epoch."""

    @property
    def batch(self) -> Mapping[str, npt.NDArray[np.float64]]:
        """Float64 columns with one value a training batch: ``"loss"``, ``"lr"``, and what callbacks log."""


class TrainerLike(Protocol):
    """The trainer as a callback sees it."""

    @property
    def epoch(self) -> int:
        """The present epoch, from 0."""

    @property
    def epochs(self) -> int:
        """Epochs asked for."""

    @property
    def global_step(self) -> int:
        """Optimizer steps made since training began."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """This epoch's metrics, flat: ``train/loss``, ``val/accuracy``, ``lr/pg0``."""

    @property
    def metric_names(self) -> Sequence[str]:
        """The metrics this run will produce; known from ``on_pretrain_routine_end`` on."""

    @property
    def fitness(self) -> float | None:
        """This epoch's fitness, higher is better; None before there is one."""

    @property
    def best_fitness(self) -> float | None:
        """The highest fitness so far."""

    @property
    def best_epoch(self) -> int | None:
        """The epoch of the highest fitness."""

    @property
    def loss(self) -> float:
        """The latest batch's loss."""

    @property
    def stop(self) -> bool:
        """A stop has been voted for."""

    @property
    def stop_reason(self) -> str | None:
        """Who voted for the stop, and why."""

    @property
    def save_dir(self) -> Path | None:
        """The run's folder, if it has one yet."""

    @property
    def model(self) -> nn.Module:
        """The model; its parameters are trained in place."""

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer as the user gave it."""

    @property
    def scheduler(self) -> Any:
        """The scheduler as the user gave it, or None."""

    @property
    def history(self) -> History:
        """What has been recorded so far."""

    @property
    def engine(self) -> str:
        """The engine at work."""

    def peek(self) -> Snapshot:
        """The present state of the loop; callable from any thread."""

    @property
    def exception(self) -> BaseException | None:
        """What is ending the run, in ``on_exception`` and ``teardown``."""

    def request_stop(self, reason: str) -> None:
        """Vote for a stop at the end of this event; later callbacks still run."""

    def find_lr(self, **options: Any) -> Any:
        """A learning-rate range test on the run's training data; changes nothing."""

    def run_dir(self) -> Path:
        """The run's folder, made if there is none yet."""

    def checkpoint(self, spare: Mapping[str, Tensor] | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything needed to go on: copies of tensors by name, and the rest as JSON.

        Args:
            spare: an earlier call's tensors that are not needed any more: their memory is used again.
        """

    def model_saved(self, path: str | PathLike[str]) -> None:
        """Tell the run that a checkpoint is handed to its writer."""

    def checkpoint_durable(self, path: str | PathLike[str]) -> None:
        """Tell the run that a checkpoint is on disk."""
