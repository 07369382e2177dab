"""Learning-rate schedules as tables: any ``torch.optim.lr_scheduler`` is run ahead for one epoch.

The native loop indexes the table. The scheduler itself does the arithmetic, so the values are torch's to the
last bit, momentum and beta cycling included.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from pyhooks.metrics.direction import direction

FIELDS = ("lr", "momentum", "beta1", "beta2", "weight_decay")
_NAN = float("nan")


class Schedule:
    """A scheduler of ``torch.optim.lr_scheduler``, stepped once an epoch or once a batch (an optimizer step).

    Args:
        scheduler: any class of ``torch.optim.lr_scheduler``, ``SequentialLR`` and ``ChainedScheduler``
            included.
        per: "epoch" (default) or "batch".
        monitor: for ``ReduceLROnPlateau``: the metric it watches. Default: "val/loss" if there is one, else
            "train/loss".

    Raises:
        TypeError: ``scheduler`` is not a torch scheduler.
        ValueError: ``per`` is neither word, ``ReduceLROnPlateau`` per batch, or a monitor for another
            scheduler.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> schedule = Schedule(torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5), per="batch")
        >>> schedule.table(3)[:, 0, 0].tolist()
        [1.0, 0.5, 0.25]
        >>> schedule.advance(2); optimizer.param_groups[0]["lr"]
        0.25
    """

    def __init__(
        self, scheduler: LRScheduler, per: Literal["epoch", "batch"] = "epoch", monitor: str | None = None
    ) -> None:
        if not isinstance(scheduler, LRScheduler):
            raise TypeError(
                f"scheduler is {type(scheduler).__name__}, wanted a torch.optim.lr_scheduler object (made "
                "with the optimizer)"
            )
        if per not in ("epoch", "batch"):
            raise ValueError(f'a schedule steps per "epoch" or per "batch", got {per!r}')
        plateau = isinstance(scheduler, ReduceLROnPlateau)
        if plateau and per == "batch":
            raise ValueError('ReduceLROnPlateau watches a metric, and there is one an epoch; pass it without "batch"')
        if monitor is not None and not plateau:
            raise ValueError(
                f"monitor={monitor!r} is for ReduceLROnPlateau; {type(scheduler).__name__} watches no metric"
            )
        self.scheduler = scheduler
        self.per = per
        self.monitor = monitor
        self._ahead: _Ahead | None = None

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer whose groups the schedule drives."""
        optimizer: Optimizer = self.scheduler.optimizer
        return optimizer

    def table(self, steps: int) -> npt.NDArray[np.float64]:
        """The hyper-parameters of the next ``steps`` optimizer steps; nothing is really stepped.

        Args:
            steps: optimizer steps of the coming epoch.

        Returns:
            float64 ``[steps, groups, len(FIELDS)]``: row ``i`` holds for step ``i``; NaN where a group has no
            such field. Per epoch all rows are the same.

        Raises:
            ValueError: whatever the scheduler raises past its end (``OneCycleLR``), with a note on how many
                steps were asked.
        """
        if self.per == "epoch":
            return np.array([_values(self.optimizer)] * steps)
        rows = []
        start = _Snapshot(self.scheduler)
        try:
            with stepping(self.optimizer):
                for _ in range(steps):
                    rows.append(_values(self.optimizer))
                    self.scheduler.step()
        except Exception as error:
            if hasattr(error, "add_note"):  # Python 3.11
                error.add_note(f"pyhooks: the schedule was asked for the {steps} optimizer steps of the next epoch")
            raise
        else:
            self._ahead = _Ahead(steps, start, _Snapshot(self.scheduler))
        finally:
            start.restore()
        return np.array(rows)

    def advance(self, steps: int) -> None:
        """Move the scheduler and the optimizer's groups on by the optimizer steps that were really made.

        Per epoch this does nothing: see :meth:`epoch_end`. After a whole epoch the state :meth:`table` ended
        in is taken over instead of stepping again, so a stateful ``LambdaLR`` is called once a step and the
        schedule is paid for once.

        Args:
            steps: optimizer steps made since the last :meth:`table`; fewer than the table's after an
                interrupted epoch.
        """
        ahead, self._ahead = self._ahead, None
        if self.per == "epoch":
            return
        if ahead is not None and ahead.steps == steps and ahead.start.is_current():
            ahead.end.restore()
            return
        with stepping(self.optimizer):
            for _ in range(steps):
                self.scheduler.step()

    def epoch_end(self, metrics: Mapping[str, float]) -> None:
        """Step a per-epoch schedule; per batch this does nothing.

        Args:
            metrics: the epoch's metrics, for ``ReduceLROnPlateau``.

        Raises:
            KeyError: the monitored metric is not among them.
        """
        if self.per == "batch":
            return
        with stepping(self.optimizer):
            if isinstance(self.scheduler, ReduceLROnPlateau):
                self.scheduler.step(self._monitored(metrics))
            else:
                self.scheduler.step()

    def check(self, names: Sequence[str]) -> None:
        """Refuse a run that will not produce the monitored metric.

        Args:
            names: the metrics it will produce, and "fitness".

        Raises:
            ValueError: the metric is not among them, or ``ReduceLROnPlateau``'s mode is the wrong way round for it.
        """
        if self.monitor is None:
            return
        if self.monitor not in names:
            raise ValueError(
                f"ReduceLROnPlateau watches {self.monitor!r}, which this run will not produce; it will produce "
                f"{', '.join(names)}"
            )
        better = direction(self.monitor)
        mode = vars(self.scheduler)["mode"]
        if better not in (None, mode):
            raise ValueError(
                f'ReduceLROnPlateau was made with mode="{mode}" and watches {self.monitor!r}, of which '
                f'{"higher" if better == "max" else "lower"} is better: make it with mode="{better}"'
            )

    def _monitored(self, metrics: Mapping[str, float]) -> float:
        name = self.monitor or ("val/loss" if "val/loss" in metrics else "train/loss")
        if name not in metrics:
            raise KeyError(
                f"ReduceLROnPlateau watches {name!r}, which this run does not make; it makes {', '.join(metrics)}"
            )
        return float(metrics[name])


class _Ahead:
    """Where a table began and where it ended."""

    def __init__(self, steps: int, start: _Snapshot, end: _Snapshot) -> None:
        self.steps = steps
        self.start = start
        self.end = end


class _Snapshot:
    """The state of a scheduler, of those inside it, and of the optimizer's groups; restored in place."""

    def __init__(self, scheduler: LRScheduler) -> None:
        self._optimizer: Optimizer = scheduler.optimizer
        self._schedulers = list(_family(scheduler))
        shared: list[Any] = [self._optimizer, *self._schedulers]
        memo = {id(thing): thing for thing in shared}  # kept, not copied: copies refer to the real ones
        self._states = [copy.deepcopy(vars(member), memo) for member in self._schedulers]
        self._groups = [_hyper_parameters(group) for group in self._optimizer.param_groups]

    def is_current(self) -> bool:
        """Nobody has touched the schedule since (its step count and the groups' values are the same)."""
        counts = [state.get("last_epoch") for state in self._states]
        if counts != [vars(member).get("last_epoch") for member in self._schedulers]:
            return False
        return [_hyper_parameters(group) for group in self._optimizer.param_groups] == self._groups

    def restore(self) -> None:
        for member, state in zip(self._schedulers, self._states, strict=True):
            vars(member).clear()
            vars(member).update(state)
        for group, values in zip(self._optimizer.param_groups, self._groups, strict=True):
            for key, value in values.items():
                if isinstance(group.get(key), Tensor) and isinstance(value, Tensor):
                    group[key].copy_(value)
                else:
                    group[key] = value


def _family(scheduler: LRScheduler) -> Iterator[LRScheduler]:
    yield scheduler
    for value in vars(scheduler).values():
        for inner in value if isinstance(value, list | tuple) else (value,):
            if isinstance(inner, LRScheduler):
                yield from _family(inner)


def _hyper_parameters(group: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value.clone() if isinstance(value, Tensor) else value
        for key, value in group.items()
        if key not in ("params", "param_names")
    }


def _values(optimizer: Optimizer) -> list[tuple[float, ...]]:
    """The groups' present values, a tuple in the order of ``FIELDS`` each."""
    return [
        (
            float(group["lr"]),
            float(group.get("momentum", _NAN)),
            *map(float, group.get("betas", (_NAN, _NAN))[:2]),
            float(group.get("weight_decay", _NAN)),
        )
        for group in optimizer.param_groups
    ]


@contextmanager
def stepping(optimizer: Optimizer) -> Iterator[None]:
    """Tell torch that the optimizer has stepped: the native loop does not call ``optimizer.step()``.

    Else the scheduler's first step warns that it came before the optimizer's. All other warnings are let
    through.
    """
    absent = object()
    before = getattr(optimizer, "_opt_called", absent)
    optimizer._opt_called = True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if before is absent:
            del optimizer._opt_called  # type: ignore[attr-defined]
        else:
            optimizer._opt_called = before  # type: ignore[attr-defined]
