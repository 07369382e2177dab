"""The picture of a learning-rate range test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from pyhooks.atomic import replacing

if TYPE_CHECKING:
    from pyhooks.lr_finder import LRFinderResult

_INK, _QUIET, _LINE, _MARK = "#333333", "#b9cfe6", "#2f6fb2", "#d1602b"
_STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "savefig.facecolor": "white",
}


def plot(result: LRFinderResult, path: str | os.PathLike[str]) -> None:
    """Draw a result; see :meth:`pyhooks.lr_finder.LRFinderResult.plot`."""
    matplotlib, figure_class = _matplotlib()
    with matplotlib.rc_context(_STYLE):
        figure = figure_class(figsize=(7.0, 4.2), dpi=150, layout="constrained")
        _draw(figure.subplots(), result)
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png")


def _matplotlib() -> tuple[Any, Any]:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("LRFinderResult.plot needs matplotlib: pip install pyhooks-torch[plot]") from error
    return matplotlib, Figure


def _draw(axis: Any, result: LRFinderResult) -> None:
    axis.plot(result.lr, result.loss, color=_QUIET, linewidth=1.0, label="each step")
    axis.plot(result.lr, result.smoothed, color=_LINE, linewidth=2.0, label="smoothed")
    axis.set_xscale("log")
    axis.set_ylim(*_range(result))
    if result.suggestion is not None:
        at = int(np.searchsorted(result.lr, result.suggestion))
        label = f"falls fastest: {result.suggestion:.3g}"
        axis.plot(result.suggestion, result.smoothed[at], "o", color=_MARK, markersize=8, label=label)
    axis.set_xlabel("learning rate")
    axis.set_ylabel("training loss")
    axis.set_title("learning-rate range test", loc="left", fontsize=11, fontweight="bold")
    axis.legend()


def _range(result: LRFinderResult) -> tuple[float, float]:
    """All but the explosion, of which only the beginning is shown."""
    values = result.smoothed[np.isfinite(result.smoothed)]
    if not len(values):
        return 0.0, 1.0
    lowest, before = float(np.nanmin(result.loss)), float(values[: int(values.argmin()) + 1].max())
    room = max(before - lowest, 1e-12)
    return lowest - 0.1 * room, min(float(values.max()), before + 0.6 * room) + 0.05 * room
