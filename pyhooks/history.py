"""What a run leaves behind: its history and its result."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pyhooks import _C


class History:
    """What has been recorded so far, read from the native recorder when asked.

    Example:
        >>> History().epochs
        []
    """

    def __init__(self, loop: _C.Loop | None = None) -> None:
        self._loop = loop

    @property
    def epochs(self) -> list[dict[str, float]]:
        """The metrics of each epoch, oldest first."""
        return [] if self._loop is None else self._loop.history

    @property
    def batch(self) -> dict[str, npt.NDArray[np.float64]]:
        """Columns with one value a training batch: "loss", "lr" (of group 0), and what native callbacks logged.

        Float64; NaN where a column has no value. "loss" is what the loss function returned, not divided by
        ``accumulate``. Each call copies.
        """
        return {} if self._loop is None else self._loop.columns()

    def __repr__(self) -> str:
        return f"History({len(self.epochs)} epochs)"


@dataclasses.dataclass(frozen=True)
class Result:
    """What ``fit`` returns.

    Args:
        metrics: of the last epoch, flat: "train/loss", "val/accuracy", ...
        history: all epochs and batches.
        stop_reason: who voted for a stop and why; None after the last epoch asked for.
        epochs_run: how many epochs this ``fit`` ran.
        save_dir: the run's folder, if it has one.
    """

    metrics: dict[str, float]
    history: History
    stop_reason: str | None
    epochs_run: int
    save_dir: Path | None

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value:.4g}" for name, value in self.metrics.items())
        stopped = f", stop_reason={self.stop_reason!r}" if self.stop_reason else ""
        return f"Result(epochs_run={self.epochs_run}, {values}{stopped})"


def describe_votes(votes: list[dict[str, Any]]) -> str | None:
    """Who voted for the stop, when and why; None if nobody did."""
    if not votes:
        return None
    parts = []
    for vote in votes:
        batch = "" if vote["batch"] is None else f", batch {vote['batch']}"
        parts.append(f"{vote['who']}: {vote['reason']} [epoch {vote['epoch']}{batch}]")
    return "; ".join(parts)
