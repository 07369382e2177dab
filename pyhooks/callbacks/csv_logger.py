"""The epochs of a run as a table in a file."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pyhooks.atomic import replacing
from pyhooks.callbacks.base import Callback
from pyhooks.callbacks.protocol import TrainerLike


class CSVLogger(Callback):
    """Write ``results.csv``: one row an epoch.

    A row holds the epoch's number (from 1), the seconds since the start, and the epoch's metrics. It is in
    the file when the epoch ends. A metric that turns up later gets a column of its own, empty above. A second
    ``fit`` starts the file anew; a resumed run goes on below the rows of the epochs it had done.

    Args:
        path: the file. Default: ``results.csv`` in the run's folder.

    Raises:
        TypeError: ``path`` is not a path.

    Example:
        >>> logger = CSVLogger("runs/digits/results.csv")
        >>> logger.path.name
        'results.csv'
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        if path is not None and not isinstance(path, str | os.PathLike):
            raise TypeError(f"CSVLogger got path={path!r}, wanted a file's path or None for the run's results.csv")
        self.path = None if path is None else Path(path)
        self._columns: list[str] = []
        self._began: float | None = None
        self._earlier = 0.0  # seconds before a resume
        self._resumed = False

    def on_train_start(self, trainer: TrainerLike) -> None:
        """Start the clock and, unless resumed, forget the last run."""
        if not self._resumed:
            self._earlier = 0.0
        self._columns = []
        self._began = time.perf_counter()

    def on_fit_epoch_end(self, trainer: TrainerLike) -> None:
        """Write this epoch's row."""
        path = self.path if self.path is not None else trainer.run_dir() / "results.csv"
        if self._resumed:
            self._take_up(path, trainer.epoch)
            self._resumed = False
        row = {"epoch": str(trainer.epoch + 1), "time": f"{self._seconds():.3f}"}
        row |= {name: repr(float(value)) for name, value in trainer.metrics.items()}
        self._write(path, row)

    def state_dict(self) -> dict[str, Any]:
        """The seconds spent so far."""
        return {"seconds": self._seconds()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the seconds spent, and below the rows written before."""
        self._earlier = state["seconds"]
        self._began = None
        self._resumed = True

    def _seconds(self) -> float:
        return self._earlier + (0.0 if self._began is None else time.perf_counter() - self._began)

    def _write(self, path: Path, row: Mapping[str, str]) -> None:
        fresh = [name for name in row if name not in self._columns]
        if not fresh:
            with path.open("a", newline="") as file:
                csv.DictWriter(file, self._columns, restval="").writerow(row)
            return
        rows = _read(path) if self._columns else []
        self._columns += fresh
        self._rewrite(path, [*rows, row])

    def _take_up(self, path: Path, epochs: int) -> None:
        """Keep the first ``epochs`` epochs' rows: later ones came after the checkpoint and are run again."""
        rows = [row for row in _read(path) if int(row["epoch"]) <= epochs] if path.exists() else []
        if rows:
            self._columns = list(rows[0])
            self._rewrite(path, rows)

    def _rewrite(self, path: Path, rows: Iterable[Mapping[str, str]]) -> None:
        with replacing(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns, restval="")
            writer.writeheader()
            writer.writerows(rows)


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
