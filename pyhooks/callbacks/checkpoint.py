"""Keep the last and the best state of a run on disk."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any, ClassVar, Literal

from pyhooks import checkpoint as checkpoint_file
from pyhooks.atomic import replacing
from pyhooks.callbacks.monitor import Monitor
from pyhooks.callbacks.protocol import TrainerLike


class Checkpoint(Monitor):
    """Write ``last.safetensors`` and ``best.safetensors`` after each epoch, each whole or not at all.

    Beside each lies a ``.json`` of the same name for people to read: epoch, metrics, when. It is not needed
    for loading.

    Args:
        dir: the folder. Default: ``weights`` in the run's folder.
        monitor: the metric that decides what is best. Default: None, the trainer's fitness.
        mode: "min" or "max" is better; "auto" (default) tells by the name.
        save_last: write ``last.safetensors`` every epoch. Default: True.
        save_best: write ``best.safetensors`` when the metric got better. Default: True.

    Raises:
        TypeError: ``dir`` is not a path.
        ValueError: neither is to be saved; and whatever :class:`Monitor` refuses.

    Example:
        >>> saver = Checkpoint("runs/digits", monitor="val/accuracy", save_last=False)
        >>> saver.mode
        'max'
    """

    phase: ClassVar[Literal["save"]] = "save"

    def __init__(
        self,
        dir: str | os.PathLike[str] | None = None,
        monitor: str | None = None,
        mode: Literal["auto", "min", "max"] = "auto",
        save_last: bool = True,
        save_best: bool = True,
    ) -> None:
        if dir is not None and not isinstance(dir, str | os.PathLike):
            raise TypeError(f"Checkpoint got dir={dir!r}, wanted a folder's path or None for the run's own")
        if not (save_last or save_best):
            raise ValueError("Checkpoint got save_last=False and save_best=False and would save nothing; leave it out")
        super().__init__(monitor, mode)
        self.dir = None if dir is None else Path(dir)
        self.save_last = save_last
        self.save_best = save_best

    def on_fit_epoch_end(self, trainer: TrainerLike) -> None:
        """Save what is to be saved of this epoch."""
        better = self.update(trainer)  # first: the checkpoint holds this callback's state as well
        names = ["last"] * self.save_last + ["best"] * (self.save_best and better)
        if not names:
            return
        tensors, meta = trainer.checkpoint()
        folder = self.dir if self.dir is not None else trainer.run_dir() / "weights"
        for name in names:
            path = folder / f"{name}.safetensors"
            checkpoint_file.save(path, tensors, meta)
            self._note(path, trainer)
            trainer.saved(path)

    def _note(self, path: Path, trainer: TrainerLike) -> None:
        note = {
            "file": path.name,
            "epoch": trainer.epoch + 1,
            "epochs": trainer.epochs,
            "global_step": trainer.global_step,
            "metrics": {name: _readable(value) for name, value in trainer.metrics.items()},
            "monitor": self.monitor or "fitness",
            "value": _readable(self.value(trainer)),
            "best": _readable(self.best),
            "best_epoch": None if self.best_epoch is None else self.best_epoch + 1,
            "saved": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        with replacing(path.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(note, indent=2, allow_nan=False) + "\n")


def _readable(value: float | None) -> Any:
    """The number, or its name where JSON has no number for it."""
    return value if value is None or math.isfinite(value) else str(value)
