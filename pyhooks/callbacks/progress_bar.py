"""Watch a run in the terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from pyhooks.callbacks.base import Callback
from pyhooks.callbacks.epoch_table import EpochTable
from pyhooks.callbacks.protocol import Snapshot, TrainerLike

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table


class ProgressBar(Callback):
    """A live line for the epoch under way and a row for each one done.

    Nothing is pushed to it: a thread of its own looks at ``trainer.peek()`` about ten times a second, so that
    the training loop does not know it is watched. When stdout is not a terminal it prints nothing at all.
    However the run ends, the terminal is left as it was found.

    Args:
        console: a rich console to draw on; it is silent unless that is a terminal. Default: stdout.

    Raises:
        TypeError: ``console`` is not a rich console.

    Example:
        >>> bar = ProgressBar()
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console as RichConsole

        if console is not None and not isinstance(console, RichConsole):
            raise TypeError(f"ProgressBar got console={console!r}, wanted a rich.console.Console or None for stdout")
        self._given = console
        self._live: Live | None = None
        self._table: EpochTable | None = None
        self._epoch_began = 0.0

    def on_train_start(self, trainer: TrainerLike) -> None:
        """A new table for a new run."""
        self._close()
        self._table = None

    def on_train_epoch_start(self, trainer: TrainerLike) -> None:
        """Start to watch with the first epoch, when there is something to see."""
        self._epoch_began = time.perf_counter()
        if self._live is None and (console := self._terminal()) is not None:
            self._live = _watch(console, trainer)

    def on_fit_epoch_end(self, trainer: TrainerLike) -> None:
        """Print the epoch's row above the live line."""
        if self._live is None:
            return
        if self._table is None:
            names = [
                *trainer.metric_names,
                *(name for name in trainer.metrics if name not in trainer.metric_names),
            ]
            self._table = EpochTable(self._live.console, names)
        seconds = time.perf_counter() - self._epoch_began
        self._table.row(trainer.epoch + 1, trainer.epochs, seconds, trainer.metrics)

    def on_train_end(self, trainer: TrainerLike) -> None:
        """Give the terminal back; say why, if the run was stopped."""
        console = None if self._live is None else self._live.console
        self._close()
        if console is not None and trainer.stop_reason:
            console.print(f"stopped: {trainer.stop_reason}", markup=False, highlight=False)

    def on_interrupt(self, trainer: TrainerLike) -> None:
        """Give the terminal back."""
        self._close()

    def on_exception(self, trainer: TrainerLike) -> None:
        """Give the terminal back, before the traceback is printed."""
        self._close()

    def teardown(self, trainer: TrainerLike) -> None:
        """Give the terminal back, whatever happened."""
        self._close()

    def _terminal(self) -> Console | None:
        from rich.console import Console as RichConsole

        if self._given is not None:
            return self._given if self._given.is_terminal else None
        return RichConsole() if sys.stdout.isatty() else None  # not is_terminal: FORCE_COLOR would fool it

    def _close(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()


def _watch(console: Console, trainer: TrainerLike) -> Live:
    """A started live line that pulls from ``trainer.peek()`` in rich's refresh thread."""
    from rich.live import Live as RichLive

    live = RichLive(
        get_renderable=lambda: _line(trainer.peek()), console=console, refresh_per_second=10, transient=True
    )
    live.start()
    return live


def _line(seen: Snapshot) -> Table:
    """What the live line shows of one snapshot."""
    from rich.progress_bar import ProgressBar as Bar
    from rich.table import Table as RichTable

    rate = seen.batch / seen.seconds if seen.seconds > 0 else 0.0
    known = seen.batches > 0
    of = str(seen.batches) if known else "?"
    line = RichTable.grid(padding=(0, 2))
    line.add_row(
        f"{seen.epoch + 1}/{seen.epochs}".rjust(9),
        {True: "train", False: "val  ", None: "     "}[seen.training],
        Bar(total=seen.batches if known else None, completed=seen.batch, width=30),
        f"{seen.batch}/{of}",
        f"loss {seen.loss:.4f}",
        f"{rate:,.0f} it/s",
        f"{seen.seconds:.0f}s",
    )
    return line
