"""The learning-rate range test: a short run whose rate climbs until the loss explodes; then all is put back."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch.optim import Optimizer

from pyhooks import checking
from pyhooks.callbacks.lr_finder import set_lr
from pyhooks.keeping import kept
from pyhooks.lr_plot import plot
from pyhooks.schedule import stepping
from pyhooks.schedules import constant, exponential, linear
from pyhooks.timetable import Table, Timetable, Where
from pyhooks.triggers import when

if TYPE_CHECKING:
    from pyhooks.trainer import Trainer

Column = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class LRFinderResult:
    """What :meth:`pyhooks.Trainer.find_lr` has seen.

    Args:
        lr: the first parameter group's rate at each step, rising.
        loss: the training loss there, before the step.
        smoothed: the loss averaged over near-by steps.
        suggestion: the rate at which the smoothed loss falls fastest (over the rate's logarithm), before its lowest
            point; None where it does not fall.
        diverged: whether the run ended before ``end`` because the loss exploded.
        mode: how the rate rose, "exp" or "linear".

    Example:
        >>> rates = np.geomspace(1e-4, 1, 5)
        >>> LRFinderResult.of(rates, np.array([2, 1.9, 1, 0.8, 5]), diverged=True)
        LRFinderResult(suggestion=0.01, 5 steps from 0.0001 to 1, diverged)
    """

    lr: Column
    loss: Column
    smoothed: Column
    suggestion: float | None
    diverged: bool
    mode: str = "exp"

    @classmethod
    def of(cls, lr: Column, loss: Column, diverged: bool, mode: str = "exp") -> LRFinderResult:
        """Smooth and judge."""
        smoothed = _smooth(loss, len(loss) / 40)
        return cls(lr, loss, smoothed, _steepest(lr, smoothed), diverged, mode)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw loss over learning rate, with the suggestion, as a PNG.

        Args:
            path: the file; an existing one is replaced.

        Raises:
            ImportError: matplotlib is not installed.
        """
        plot(self, path)

    def __repr__(self) -> str:
        found = "None" if self.suggestion is None else f"{self.suggestion:.3g}"
        span = f"{len(self.lr)} steps from {self.lr[0]:.3g} to {self.lr[-1]:.3g}"
        return f"LRFinderResult(suggestion={found}, {span}{', diverged' if self.diverged else ''})"


@dataclasses.dataclass(frozen=True)
class Sweep:
    """How the rate climbs.

    Args:
        start: of the first parameter group; others keep their ratio to it.
        end: at the last step.
        steps: optimizer steps.
        mode: "exp" or "linear".
        stop_at: end when the averaged loss exceeds its lowest value by so many times of that; None: never.

    Raises:
        TypeError: a value of another kind.
        ValueError: a value out of range.
    """

    start: float
    end: float
    steps: int
    mode: str
    stop_at: float | None

    def __post_init__(self) -> None:
        checking.above_zero(start=self.start, end=self.end)
        checking.at_least(3, steps=self.steps)
        if self.end <= self.start:
            raise ValueError(f"end is {self.end}; it must be above start, which is {self.start}")
        if self.mode not in ("exp", "linear"):
            raise ValueError(f'mode is {self.mode!r}; wanted "exp" or "linear"')
        if self.stop_at is not None:
            checking.above_zero(stop_at=self.stop_at)
            if self.stop_at <= 1:
                raise ValueError(f"stop_at is {self.stop_at}; it must be above 1, or None")

    @property
    def shape(self) -> Any:
        """Of the rate, as factors of ``start``."""
        climb = exponential if self.mode == "exp" else linear
        return climb(steps=self.steps - 1, to=self.end / self.start) + constant()

    @property
    def ends(self) -> str:
        """The trigger's expression for the last batch."""
        ends = f"not isfinite(loss) or step >= {self.steps - 1}"
        if self.stop_at is None:
            return ends
        lowest = f"min(ema(loss, 5), {self.steps})"
        return f"{ends} or ema(loss, 5) - {lowest} > {self.stop_at - 1!r} * abs({lowest})"


class _Rates(Timetable):
    """The sweep's rates, however many steps an epoch has."""

    def __init__(self, sweep: Sweep, optimizer: Optimizer) -> None:
        super().__init__({"lr": sweep.shape}, "batch", optimizer, {})
        self._steps = sweep.steps

    def table(self, steps: int, where: Where, rows: Table | None) -> Table:
        return super().table(max(self._steps - where.step, 1), where, rows)


def find_lr(trainer: Trainer, sweep: Sweep, train: Any, **options: Any) -> LRFinderResult:
    """Run the sweep with a trainer of its own over the same model and optimizer; see ``Trainer.find_lr``."""
    model, loss = trainer._provider.parts
    modules = trainer._provider.step_modules()
    with kept(modules, trainer._optimizer, train), stepping(trainer._optimizer):
        set_lr(trainer._optimizer, sweep.start)
        probe = type(trainer)(
            model,
            loss,
            trainer._optimizer,
            callbacks=[when(sweep.ends, do="stop")],
            engine=trainer._engine_choice,
            accumulate=trainer._accumulate,
            clip_norm=trainer._clip_norm,
            clip_value=trainer._clip_value,
            seed=trainer.seed,
            verify=0,
            progress=False,
        )
        probe._timetable = _Rates(sweep, trainer._optimizer)
        probe.fit(train, epochs=sweep.steps, **options)
        columns = probe.history.batch
    lr, loss_of = _by_step(columns["lr"], columns["loss"])
    diverged = len(lr) < sweep.steps or not math.isfinite(loss_of[-1])
    return LRFinderResult.of(lr, loss_of, diverged, sweep.mode)


def _by_step(lr: Column, loss: Column) -> tuple[Column, Column]:
    """One value a step: batches whose gradients were accumulated had the same rate."""
    rates, numbers = np.unique(lr, return_inverse=True)
    return rates, np.bincount(numbers, loss) / np.bincount(numbers)


def _smooth(values: Column, width: float) -> Column:
    """A centred Gaussian mean, so that nothing is shifted to higher rates; what is not finite is left out."""
    finite = np.isfinite(values)
    if width <= 0.2 or not finite.any():
        return values
    distance = np.arange(len(values))[:, None] - np.arange(len(values))[None, :]
    weights = np.exp(-0.5 * (distance / width) ** 2) * finite
    means: Column = weights @ np.where(finite, values, 0.0) / np.maximum(weights.sum(1), 1e-300)
    return np.where(finite, means, np.nan)


def _steepest(lr: Column, smoothed: Column) -> float | None:
    finite = np.flatnonzero(np.isfinite(smoothed))
    if len(finite) < 3:
        return None
    lowest = int(finite[np.argmin(smoothed[finite])])
    falling = finite[finite <= lowest]
    if len(falling) < 3:
        return None
    slopes = np.gradient(smoothed[falling], np.log10(lr[falling]))
    steepest = int(np.argmin(slopes))
    return float(lr[falling[steepest]]) if slopes[steepest] < 0 else None


def given_or_of_run(trainer: Trainer, train: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The data to sweep over: what is passed, or inside a callback of ``fit`` its own."""
    if train is not None:
        return train, options
    if trainer._running is None or trainer._fit is None:
        raise ValueError(
            "find_lr got no training data; wanted them as for fit: only inside a callback of fit they may be left out"
        )
    run = trainer._fit.options
    return trainer._fit.given, {"batch_size": run.batch_size, "shuffle": run.shuffle, "drop_last": run.drop_last}
