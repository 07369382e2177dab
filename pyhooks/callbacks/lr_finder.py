"""Look for a learning rate before training, and train with it."""

from __future__ import annotations

import os
from typing import Any, ClassVar, Literal

from torch import Tensor
from torch.optim import Optimizer

from pyhooks.callbacks.base import Callback
from pyhooks.callbacks.protocol import TrainerLike
from pyhooks.warn import warn_user


class LRFinder(Callback):
    """Runs a learning-rate range test as training starts, and sets the rate it suggests.

    The test is :meth:`pyhooks.Trainer.find_lr` on the run's own training data: all but the learning rate is as if it
    had not been. Other parameter groups keep their ratio to the first. A resumed run keeps its rate and makes no test.

    A schedule of :mod:`pyhooks.schedules` starts from the rate found. A scheduler of torch has taken the rates over
    when it was made, and is refused: call ``find_lr`` before making it.

    Args:
        start: the first rate. Default: 1e-7.
        end: the last one. Default: 10.
        steps: optimizer steps from one to the other. Default: 100.
        mode: "exp" (default) multiplies the rate each step, "linear" adds.
        stop_at: ends when the averaged loss is so many times its lowest. Default: 4; None: never.
        factor: of the suggestion, to be set. Default: 1.
        plot: a PNG to draw. Default: None.

    Raises:
        ValueError: when training starts, values out of range, or a scheduler of torch.

    Attributes:
        result: the last test's, or None.

    Example:
        >>> LRFinder(steps=200, plot="lr.png").result is None
        True
    """

    phase: ClassVar[Literal["vote", "mutate", "save", "observe"]] = "mutate"

    def __init__(
        self,
        *,
        start: float = 1e-7,
        end: float = 10.0,
        steps: int = 100,
        mode: Literal["exp", "linear"] = "exp",
        stop_at: float | None = 4.0,
        factor: float = 1.0,
        plot: str | os.PathLike[str] | None = None,
    ) -> None:
        if not factor > 0:
            raise ValueError(f"LRFinder got factor={factor}; it must be above 0")
        self._options = {"start": start, "end": end, "steps": steps, "mode": mode, "stop_at": stop_at}
        self._factor, self._plot = factor, plot
        self.result: Any = None

    def on_train_start(self, trainer: TrainerLike) -> None:
        """Make the test and set the rate."""
        if hasattr(trainer.scheduler, "optimizer") and hasattr(trainer.scheduler, "base_lrs"):
            raise ValueError(
                f"LRFinder cannot set the rate of {type(trainer.scheduler).__name__}, which took the rates over when "
                "it was made: use pyhooks.schedules, or trainer.find_lr before making the scheduler"
            )
        if trainer.epoch > 0:
            return
        self.result = trainer.find_lr(**self._options)
        if self._plot is not None:
            self.result.plot(self._plot)
        if self.result.suggestion is None:
            warn_user(f"LRFinder found no rate at which the loss falls ({self.result}): the rate is left as it was")
            return
        set_lr(trainer.optimizer, self.result.suggestion * self._factor)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Give the first parameter group a rate, and the others theirs in the ratio they had to it."""
    first = float(optimizer.param_groups[0]["lr"])
    for group in optimizer.param_groups:
        value = lr * (float(group["lr"]) / first) if first else lr
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value
