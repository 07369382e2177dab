"""The picture of a learning-rate range test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from pyhooks.drawing import BLUE, ORANGE, PALE, picture

if TYPE_CHECKING:
    from pyhooks.lr_finder import LRFinderResult


def plot(result: LRFinderResult, path: str | os.PathLike[str]) -> None:
    """Draw a result; see :meth:`pyhooks.lr_finder.LRFinderResult.plot`."""
    with picture(path, 7.0, 4.2) as figure:
        draw(figure.subplots(), result)


def draw(axis: Any, result: LRFinderResult) -> None:
    """Draw a result on a matplotlib axis."""
    axis.plot(result.lr, result.loss, color=PALE, linewidth=1.0, label="each step")
    axis.plot(result.lr, result.smoothed, color=BLUE, linewidth=2.0, label="smoothed")
    axis.set_xscale("log" if result.mode == "exp" else "linear")
    axis.set_ylim(*_range(result))
    if result.suggestion is not None:
        at = int(np.searchsorted(result.lr, result.suggestion))
        label = f"falls fastest: {result.suggestion:.3g}"
        axis.plot(result.suggestion, result.smoothed[at], "o", color=ORANGE, markersize=8, label=label)
    axis.set_xlabel("learning rate")
    axis.set_ylabel("training loss")
    axis.set_title("learning-rate range test")
    axis.legend()


def _range(result: LRFinderResult) -> tuple[float, float]:
    """All but the explosion, of which only the beginning is shown."""
    values = result.smoothed[np.isfinite(result.smoothed)]
    if not len(values):
        return 0.0, 1.0
    lowest, before = float(np.nanmin(result.loss)), float(values[: int(values.argmin()) + 1].max())
    room = max(before - lowest, 1e-12)
    return lowest - 0.1 * room, min(float(values.max()), before + 0.6 * room) + 0.05 * room
