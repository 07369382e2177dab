"""What follows one metric: which one, which way is better, is it better now."""

from __future__ import annotations

import difflib
import math
from typing import Any, Literal

from pyhooks.callbacks.base import Callback
from pyhooks.callbacks.protocol import TrainerLike
from pyhooks.metrics.direction import direction
from pyhooks.warn import warn_user


class Monitor(Callback):
    """Base of callbacks that follow one metric.

    Args:
        monitor: the metric, as in ``trainer.metrics``; None follows ``trainer.fitness``. Default: "val/loss".
        mode: "min" or "max" is better; "auto" (default) tells by the name, as loss or accuracy.
        strict: refuse a run that will not produce the metric. Default: True. False: a warning, and epochs without it
            are passed over.

    Raises:
        TypeError: ``monitor`` is not a name.
        ValueError: an unknown ``mode``, or "auto" with a name that does not tell; at the start of a run, a metric that
            this run will not produce.

    Attributes:
        best: the best value so far, or None.
        best_epoch: its epoch, from 0, or None.

    Example:
        >>> monitor = Monitor("val/loss")
        >>> monitor.best = 0.5
        >>> monitor.is_better(0.6), monitor.is_better(0.4)
        (False, True)
    """

    def __init__(
        self,
        monitor: str | None = "val/loss",
        mode: Literal["auto", "min", "max"] = "auto",
        strict: bool = True,
    ) -> None:
        who = self.who
        if monitor is not None and not (isinstance(monitor, str) and monitor):
            raise TypeError(f"{who} got monitor={monitor!r}, wanted the name of a metric, as 'val/loss'")
        if not isinstance(strict, bool):
            raise TypeError(f"{who} got strict={strict!r}, wanted True or False")
        self.monitor = monitor
        self.mode: Literal["min", "max"] = _resolve(who, monitor, mode)
        self.strict = strict
        self.best: float | None = None
        self.best_epoch: int | None = None
        self._resumed = False

    @property
    def who(self) -> str:
        """What it is called in messages."""
        return type(self).__name__

    def on_pretrain_routine_end(self, trainer: TrainerLike) -> None:
        """Refuse a metric that this run will not produce, or warn of it."""
        if self.monitor is None or self.monitor in trainer.metric_names:
            return
        message = (
            f"{self.who} monitors {self.monitor!r}, which this run will not produce; "
            f"it will produce {_nearest_first(self.monitor, list(trainer.metric_names))}"
        )
        if self.strict:
            raise ValueError(message)
        warn_user(f"{message}. It waits for the metric, and does nothing in epochs without it")

    def on_train_start(self, trainer: TrainerLike) -> None:
        """Start afresh, unless a checkpoint's state was just loaded."""
        if not self._resumed:
            self.reset()
        self._resumed = False

    def reset(self) -> None:
        """Forget what was seen."""
        self.best = None
        self.best_epoch = None

    def is_there(self, trainer: TrainerLike) -> bool:
        """Whether this epoch has the metric."""
        return self.monitor is None or self.monitor in trainer.metrics

    def value(self, trainer: TrainerLike) -> float:
        """The metric's value in this epoch; NaN when the epoch has none."""
        value = trainer.fitness if self.monitor is None else trainer.metrics.get(self.monitor)
        return float("nan") if value is None else float(value)

    def is_better(self, value: float) -> bool:
        """Whether ``value`` beats the best so far; NaN and infinities never do."""
        return self.is_number(value) and (self.best is None or self.gain(value, self.best) > 0)

    @staticmethod
    def is_number(value: float) -> bool:
        """Whether a value can be better than another at all."""
        return math.isfinite(value)

    def gain(self, value: float, over: float) -> float:
        """How much better ``value`` is than another one; below 0 where it is worse."""
        return value - over if self.mode == "max" else over - value

    def update(self, trainer: TrainerLike) -> bool:
        """Look at this epoch's value, keep it if it is better, and say whether it is."""
        value = self.value(trainer)
        if not self.is_better(value):
            return False
        self.best = value
        self.best_epoch = trainer.epoch
        return True

    def state_dict(self) -> dict[str, Any]:
        """The best value and its epoch."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the best value and its epoch."""
        self.best = state["best"]
        self.best_epoch = state["best_epoch"]
        self._resumed = True


def _resolve(who: str, monitor: str | None, mode: str) -> Literal["min", "max"]:
    if mode == "min":
        return "min"
    if mode == "max":
        return "max"
    if mode != "auto":
        raise ValueError(f'{who} got mode={mode!r}, wanted "auto", "min" or "max"')
    if monitor is None:
        return "max"  # fitness: higher is better
    guess = direction(monitor)
    if guess is None:
        raise ValueError(
            f'{who} cannot tell if a lower or a higher {monitor!r} is better; say mode="min" or mode="max"'
        )
    return guess


def _nearest_first(name: str, names: list[str]) -> str:
    if not names:
        return "none"
    near = difflib.get_close_matches(name, names, n=len(names), cutoff=0.0)
    return ", ".join([*near, *(other for other in names if other not in near)])
