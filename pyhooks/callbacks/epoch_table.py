"""A table that grows by one printed row an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_EPOCH, _TIME = 9, 8


class EpochTable:
    """Print a header once and a row an epoch, in columns of fixed width.

    Args:
        console: the rich console to print to.
        names: the metrics, a column each, in this order.

    Example:
        >>> from rich.console import Console
        >>> table = EpochTable(Console(width=60), ["train/loss", "val/loss"])
        >>> table.row(1, 20, 0.25, {"train/loss": 0.5, "val/loss": 0.625})
            epoch     time  train/loss  val/loss
             1/20   250 ms      0.5000    0.6250
    """

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        self.console = console
        self.names = list(names)
        self._widths = [max(len(name), 8) for name in self.names]
        self._headed = False

    def row(self, epoch: int, epochs: int, seconds: float, metrics: Mapping[str, float]) -> None:
        """Print an epoch's row, and above the first one the header.

        Args:
            epoch: its number, from 1.
            epochs: epochs asked for.
            seconds: how long it took.
            metrics: its metrics; a dash stands for a missing one.
        """
        if not self._headed:
            self._print("epoch", "time", self.names, style="bold")
            self._headed = True
        self._print(f"{epoch}/{epochs}", _duration(seconds), [_number(metrics.get(name)) for name in self.names])

    def _print(self, epoch: str, seconds: str, cells: Sequence[str], style: str = "") -> None:
        from rich.text import Text

        padded = [f"{cell:>{width}}" for cell, width in zip(cells, self._widths, strict=True)]
        line = "  ".join([f"{epoch:>{_EPOCH}}{seconds:>{_TIME + 1}}", *padded])
        self.console.print(Text(line, style=style, no_wrap=True, overflow="ellipsis"))


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 100:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    size = abs(value)
    if 0 < size < 1e-4 or size >= 1e5:
        return f"{value:.2e}"
    return f"{value:.3g}" if 0 < size < 1e-2 else f"{value:.4f}"
