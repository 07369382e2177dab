"""How our pictures look, and how they get onto the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyhooks.atomic import replacing

BLUE, ORANGE, PALE, INK = "#2f6fb2", "#d1602b", "#b9cfe6", "#333333"
STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextmanager
def picture(path: str | os.PathLike[str], width: float, height: float) -> Iterator[Any]:
    """An empty matplotlib figure in our style; at the end of the block it is written as a PNG, whole or not at all.

    No pyplot, so that no window system is touched.

    Args:
        path: the file; an existing one is replaced.
        width: in inches, at 150 dots each.
        height: the same.

    Raises:
        ImportError: matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> with picture(tempfile.mkdtemp() + "/line.png", 4, 3) as figure:
        ...     _ = figure.subplots().plot([1, 2])
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f"drawing {os.fspath(path)} needs matplotlib: pip install pyhooks-torch[plot]") from error
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
        yield figure
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png")
