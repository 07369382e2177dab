"""What callbacks read of a trainer: where the run stands, and its books."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer

from pyhooks import _C
from pyhooks.history import History, describe_votes

if TYPE_CHECKING:
    from pyhooks.fit import Fit
    from pyhooks.schedule import Schedule
    from pyhooks.timetable import Timetable


class RunView:
    """The attributes of a trainer that its callbacks use; of the current ``fit``, or of the last one."""

    _fit: Fit | None
    _running: int | None
    _optimizer: Optimizer
    _schedule: Schedule | None
    _timetable: Timetable | None
    _engine: _C.StepEngine | None
    _engine_choice: str

    @property
    def epoch(self) -> int:
        """The current epoch, from 0; after training the last one."""
        return self._loop.epoch if self._fit else 0

    @property
    def epochs(self) -> int:
        """How many epochs the current or last ``fit`` was asked for."""
        return self._fit.options.epochs if self._fit else 0

    @property
    def global_step(self) -> int:
        """Optimizer steps made."""
        return self._loop.global_step if self._fit else 0

    @property
    def metrics(self) -> dict[str, float]:
        """This epoch's metrics: "train/loss", "val/loss", "train/accuracy", "lr/pg0" and what callbacks logged."""
        return self._loop.metrics if self._fit else {}

    @property
    def metric_names(self) -> list[str]:
        """The metrics this run will produce."""
        return self._fit.metric_names() if self._fit else []

    @property
    def loss(self) -> float:
        """The latest batch's loss."""
        return self.peek().loss

    @property
    def fitness(self) -> float | None:
        """How good the last finished epoch was, higher is better; None before the first."""
        return self._loop.fitness if self._fit else None

    @property
    def best_fitness(self) -> float | None:
        """The highest fitness so far."""
        return self._loop.best_fitness if self._fit else None

    @property
    def best_epoch(self) -> int | None:
        """The epoch of the highest fitness; None before there is one."""
        return self._loop.best_epoch if self._fit and self._loop.best_fitness is not None else None

    @property
    def stop(self) -> bool:
        """Whether somebody voted to stop. Setting it to True is a vote."""
        return self._loop.stopping if self._fit else False

    @stop.setter
    def stop(self, value: bool) -> None:
        if not value:
            raise ValueError("a vote to stop cannot be taken back: trainer.stop can only be set to True")
        self.request_stop("trainer.stop was set")

    @property
    def stop_reason(self) -> str | None:
        """Who voted to stop, why and when; None if nobody did."""
        return describe_votes(self._loop.votes) if self._fit else None

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer, its state up to date."""
        self._check_thread("trainer.optimizer")
        if self._fit:
            self._fit.synchronise()
        return self._optimizer

    @property
    def scheduler(self) -> Any:
        """The torch scheduler, or the timetable of :mod:`pyhooks.schedules`, or None."""
        return self._schedule.scheduler if self._schedule else self._timetable

    @property
    def engine(self) -> str:
        """The engine at work: "graph" or "python"; before the first ``fit`` the one asked for."""
        return self._engine.name if self._engine else self._engine_choice

    @property
    def history(self) -> History:
        """The current or last ``fit``'s history."""
        return History(self._loop if self._fit else None)

    @property
    def snapshots(self) -> list[dict[str, Any]]:
        """The last four copies that native callbacks have made of what is trained, oldest first.

        A dict each: who, reason, epoch, batch, global_step, and lists of tensors: params, buffers, optimizer.
        """
        return self._loop.snapshots if self._fit else []

    def peek(self) -> _C.Peek:
        """Where training stands, from any thread, without disturbing it."""
        return self._loop.peek() if self._fit else _C.Peek()

    def request_stop(self, reason: str) -> None:
        """Vote to end training after this event (from a callback), or this batch (from another thread)."""
        if self._fit is None or self._running is None:
            raise RuntimeError("a stop was asked for outside of fit(): there is no training to stop")
        self._fit.request_stop(str(reason))

    def log(self, name: str, value: float) -> None:
        """Add a metric to this epoch's, from a callback."""
        if self._running is None:
            raise RuntimeError("log was called outside of fit(): there is no epoch to log to")
        self._loop.log(name, float(value))

    @property
    def _loop(self) -> _C.Loop:
        assert self._fit is not None
        return self._fit.loop

    def _check_thread(self, what: str) -> None:
        if self._running is not None and self._running != threading.get_ident():
            raise RuntimeError(
                f"{what} was called from another thread while fit() runs; call it from a callback, or before fit()"
            )
