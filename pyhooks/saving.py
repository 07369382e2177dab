"""What a trainer leaves on disk, and takes up again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from pyhooks import checking
from pyhooks.export import export_step
from pyhooks.resume import Snapshot
from pyhooks.run_view import RunView
from pyhooks.wording import kind

if TYPE_CHECKING:
    from pyhooks.trainer import Trainer


class Saving(RunView):
    """The run's folder, checkpoints, and the exported step."""

    save_dir: Path | None
    _snapshot: Snapshot | None
    _alone: Callable[[Callable[[], None]], AbstractContextManager[None]]
    _check_idle: Callable[[], None]

    def run_dir(self) -> Path:
        """The run's folder; made now, as runs/train, runs/train2, ..., if none was given."""
        if self.save_dir is None:
            self.save_dir = checking.fresh_folder(Path("runs"), "train")
        self.save_dir.mkdir(parents=True, exist_ok=True)
        return self.save_dir

    def checkpoint(self, spare: Mapping[str, Tensor] | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that is needed to go on, as :func:`pyhooks.checkpoint.save` takes it: copies of tensors, and JSON.

        Args:
            spare: an earlier call's tensors that are not needed any more: their memory is used again.
        """
        return Snapshot.take(cast("Trainer", self), spare).parts()

    def load_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Load model, optimizer, schedule, callbacks and random numbers. The next ``fit`` goes on from there.

        Args:
            path: what :class:`pyhooks.callbacks.Checkpoint` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            pyhooks.checkpoint.CheckpointError: the file is damaged.
            ValueError: it does not fit this model or optimizer.
        """
        self._check_thread("load_checkpoint")
        if self._running is not None:
            raise RuntimeError("load_checkpoint was called while fit() runs: call it before fit()")
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"load_checkpoint got {kind(path)}; wanted the path of a file that Checkpoint wrote")
        with self._alone(self._check_idle):
            self._snapshot = Snapshot.load(cast("Trainer", self), path)

    def export_step(
        self,
        path: str | os.PathLike[str],
        train: Any,
        val: Any = None,
        *,
        batch_size: int = 32,
        drop_last: bool = False,
    ) -> None:
        """Write the captured step for a C++ program that trains without Python, with ``pyhooks::load_step(path)``.

        The file holds a plan for each kind of batch that the data makes (a short last one, validation), the weights,
        the optimizer with its state, and the metrics. The program gives the data and adds native callbacks of its own;
        with the same data and seed it makes the same bits as :meth:`fit`.

        Args:
            path: the file to write, whole or not at all.
            train: as for :meth:`fit`, tensors or arrays ``(inputs, targets)``: what batches will look like.
            val: the same for validation. Default: None, the program cannot validate.
            batch_size: rows a batch. Default: 32.
            drop_last: there will be no short last batch. Default: False.

        Raises:
            pyhooks.ExportError: something of the trainer needs Python: its engine, optimizer, scheduler, a metric.
            pyhooks.CaptureError: the step cannot be captured.

        Example:
            >>> trainer.export_step("step.safetensors", (x, y), batch_size=64)     # doctest: +SKIP
        """
        checking.at_least(1, batch_size=batch_size)
        checking.flags(drop_last=drop_last)
        with self._alone(self._check_idle):
            export_step(cast("Trainer", self), path, train, val, batch_size=batch_size, drop_last=drop_last)

    def model_saved(self, path: str | os.PathLike[str]) -> None:
        """Tell the run that a checkpoint is handed to its writer: fires on_model_save."""
        self._loop.model_saved()

    def checkpoint_durable(self, path: str | os.PathLike[str]) -> None:
        """Tell the run that a checkpoint is on disk: fires on_checkpoint_durable."""
        self._loop.checkpoint_durable()
