"""Keep the last and the best states of a run on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from safetensors.torch import save_file
from torch import Tensor

from pyhooks import checkpoint as checkpoint_file
from pyhooks.callables import check_arity, check_plain
from pyhooks.callbacks import options
from pyhooks.callbacks.background import Background
from pyhooks.callbacks.base import Callback
from pyhooks.callbacks.file_names import FileNames
from pyhooks.callbacks.note import note
from pyhooks.callbacks.protocol import TrainerLike
from pyhooks.callbacks.ranking import Ranking
from pyhooks.callbacks.store import Store, store_at

SUFFIX = ".safetensors"


class Checkpoint(Callback):
    """Write the state of a run after its epochs: the last one, and the best.

    An epoch's file is written once, as ``epoch7.safetensors``; ``last.safetensors`` and ``best.safetensors`` are
    relative links to such files (copies where there are no links), and files that are neither any more are removed.
    Beside each lies a ``.json`` of the same name for people to read: epoch, metrics, when; loading does not need it.
    Each file is there whole or not at all.

    Args:
        dir: a folder, or a URL that fsspec reaches, as "s3://bucket/run". Default: ``weights`` in the run's folder.
        monitor: the metric that decides what is best, or several of them, each with its own best
            (``best-val_loss.safetensors``). Default: None, the trainer's fitness.
        mode: "min" or "max" is better; "auto" (default) tells by the name.
        save_last: keep the last. Default: True.
        save_best: keep the best. Default: True.
        top_k: how many of the best to keep; None: all that were ever among them. Default: 1.
        keep_last: how many of the last to keep; None: all. Default: 1.
        every: look at every n-th epoch only. Default: 1.
        when: asked as ``when(trainer)`` at an epoch's end: False saves nothing of it. Default: None.
        filename: how an epoch's file is called, without its suffix: ``{epoch}`` (from 1), ``{step}``, and metrics, as
            "{epoch:03d}-{val/loss:.3f}". Default: "epoch{epoch}".
        on_interrupt: at Ctrl-C write ``interrupted.safetensors``, the state in the middle of the epoch. To go on from
            it begins that epoch anew with these weights; the bits of a run that never stopped come from ``last``.
            Default: True.
        on_exception: the same at an exception, as ``exception.safetensors``. Default: True.
        on_sigterm: let SIGTERM end training after the batch, with the events of an exception, SystemExit(143) and
            ``exception.safetensors``. In the main thread only, and where nobody else handles it. Default: False.
        asynchronous: copy the state in memory (twice, if writing takes longer than an epoch) and write it in a thread
            while training goes on; the event
            ``on_checkpoint_durable`` comes at the first epoch boundary at which it is on disk, and ``fit`` returns when
            all is. What goes wrong is raised there. Default: True.
        weights_only: write parameters and buffers alone, under their own names, for ``safetensors.torch.load_model``;
            a run cannot go on from it. Default: False.
        strict: refuse a run that will not produce a metric; False: warn. Default: True.

    Raises:
        TypeError: an option of the wrong kind.
        ValueError: an option out of range, nothing is to be saved, a ``filename`` that does not tell epochs apart; at
            the start of a run, a metric that it will not produce.

    Attributes:
        rankings: the best by each metric: ``rankings[0].best``, ``.best_epoch`` and ``.entries``.

    Example:
        >>> saver = Checkpoint("runs/digits", monitor=["val/loss", "val/accuracy"], top_k=3)
        >>> [ranking.mode for ranking in saver.rankings]
        ['min', 'max']
    """

    phase: ClassVar[Literal["save"]] = "save"

    def __init__(
        self,
        dir: str | os.PathLike[str] | None = None,
        monitor: str | Sequence[str] | None = None,
        mode: Literal["auto", "min", "max"] = "auto",
        save_last: bool = True,
        save_best: bool = True,
        *,
        top_k: int | None = 1,
        keep_last: int | None = 1,
        every: int = 1,
        when: Callable[[TrainerLike], bool] | None = None,
        filename: str = "epoch{epoch}",
        on_interrupt: bool = True,
        on_exception: bool = True,
        on_sigterm: bool = False,
        asynchronous: bool = True,
        weights_only: bool = False,
        strict: bool = True,
    ) -> None:
        who = type(self).__name__
        options.path_or_none(who, "dir", dir)
        self.dir = None if dir is None else os.fspath(dir)
        self.save_last = options.flag(who, "save_last", save_last)
        self.save_best = options.flag(who, "save_best", save_best)
        if not (save_last or save_best):
            raise ValueError(f"{who} got save_last=False and save_best=False and would save nothing; leave it out")
        self.keep_last = options.whole_or_none(who, "keep_last", keep_last, 1)
        self.every = options.whole(who, "every", every, 1)
        self.when = _predicate(who, when)
        self.names = FileNames(who, filename)
        self._at_interrupt = options.flag(who, "on_interrupt", on_interrupt)
        self._at_exception = options.flag(who, "on_exception", on_exception)
        self.handles_sigterm = options.flag(who, "on_sigterm", on_sigterm)
        self.asynchronous = options.flag(who, "asynchronous", asynchronous)
        self.weights_only = options.flag(who, "weights_only", weights_only)
        size = options.whole_or_none(who, "top_k", top_k, 1)
        metrics = [monitor] if monitor is None or isinstance(monitor, str) else list(monitor)
        if not metrics:
            raise ValueError(f"{who} got monitor={monitor!r}, wanted a metric's name, a list of them, or None")
        self.rankings = [Ranking(metric, mode, strict, size) for metric in metrics]
        self._recent: list[str] = []
        self._store: Store | None = None
        self._writer = Background("pyhooks-checkpoint")
        self._spare: list[dict[str, Tensor]] = []  # memory of copies that have been written
        self._resumed = False
        self._own_error: Exception | None = None

    def on_pretrain_routine_end(self, trainer: TrainerLike) -> None:
        """Refuse metrics that this run will not produce."""
        for ranking in self.rankings:
            ranking.on_pretrain_routine_end(trainer)
        self.names.check(trainer.metric_names)

    def on_train_start(self, trainer: TrainerLike) -> None:
        """Start afresh, unless a checkpoint's state was just loaded."""
        self._store = self._own_error = None
        if not self._resumed:
            self._recent = []
        self._resumed = False
        for ranking in self.rankings:
            ranking.on_train_start(trainer)

    def on_train_epoch_end(self, trainer: TrainerLike) -> None:
        """Tell of what is on disk by now."""
        with self._own_errors_noted():
            self._announce(trainer, self._writer.done())

    def on_fit_epoch_end(self, trainer: TrainerLike) -> None:
        """Save what is to be saved of this epoch."""
        with self._own_errors_noted():
            self._announce(trainer, self._writer.done())
            self._save(trainer)

    def _save(self, trainer: TrainerLike) -> None:
        if (trainer.epoch + 1) % self.every or (self.when is not None and not self.when(trainer)):
            return
        before = self._kept()
        name = self.names.of(trainer)
        if not self._take_in(trainer, name):  # first: the checkpoint holds this callback's state as well
            return
        job = self._job(trainer, name, sorted(before - self._kept()))
        trainer.model_saved(self._path(trainer, name))
        if self.asynchronous:
            self._writer.submit(job)
        else:
            self._announce(trainer, [job()])

    def on_train_end(self, trainer: TrainerLike) -> None:
        """Wait until all is on disk."""
        self._announce(trainer, self._writer.wait())
        self._spare = []

    def on_interrupt(self, trainer: TrainerLike) -> None:
        """Save the state at Ctrl-C."""
        if self._at_interrupt:
            self._save_now(trainer, "interrupted")

    def on_exception(self, trainer: TrainerLike) -> None:
        """Save the state at an exception that did not come of saving."""
        own = trainer.exception is self._own_error and self._own_error is not None
        if self._at_exception and not own and not isinstance(trainer.exception, KeyboardInterrupt):
            self._save_now(trainer, "exception")

    def teardown(self, trainer: TrainerLike) -> None:
        """Wait until all is on disk, however the run ended."""
        try:
            self._writer.wait()
        finally:
            self._spare = []

    def state_dict(self) -> dict[str, Any]:
        """The best values and the names of the files kept."""
        return {"rankings": [ranking.state_dict() for ranking in self.rankings], "recent": list(self._recent)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` returned."""
        for ranking, entry in zip(self.rankings, state["rankings"], strict=True):
            ranking.load_state_dict(entry)
        self._recent = list(state["recent"])
        self._resumed = True

    @contextmanager
    def _own_errors_noted(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # not what a signal raises here: its state is worth keeping
            self._own_error = error
            raise

    def _take_in(self, trainer: TrainerLike, name: str) -> bool:
        """Note the epoch's file among the last and the best; False if it is to be neither."""
        wanted = self.save_last
        for ranking in self.rankings if self.save_best else ():
            wanted |= ranking.look(trainer, name)
        if self.save_last:
            self._recent = [*(other for other in self._recent if other != name), name]
            del self._recent[: -self.keep_last if self.keep_last else 0]
        return wanted

    def _kept(self) -> set[str]:
        return {*self._recent, *(name for ranking in self.rankings for _, name in ranking.entries)}

    def _aliases(self) -> dict[str, str]:
        """What ``last`` and ``best`` stand for."""
        aliases = {"last": self._recent[-1]} if self._recent else {}
        for ranking in self.rankings:
            if ranking.entries:
                best = "best" if len(self.rankings) == 1 else f"best-{ranking.file_name}"
                aliases[best] = ranking.entries[0][1]
        return aliases

    def _job(self, trainer: TrainerLike, name: str, gone: list[str]) -> Callable[[], str]:
        """Copy the state; what is returned writes it, and returns the file's path."""
        store, write, note = self._place(trainer), self._writing(trainer), self._note(trainer, name)
        aliases = self._aliases()

        def job() -> str:
            store.write(name + SUFFIX, write)
            store.write(f"{name}.json", note)
            for alias, target in aliases.items():
                for suffix in (SUFFIX, ".json"):
                    store.alias(alias + suffix, target + suffix)
            for other in gone:
                store.remove(other + SUFFIX)
                store.remove(f"{other}.json")
            return store.path(name + SUFFIX)

        return job

    def _save_now(self, trainer: TrainerLike, name: str) -> None:
        """Save the state in the middle of an epoch, if anything has been trained."""
        if trainer.global_step:
            store = self._place(trainer)
            store.write(name + SUFFIX, self._writing(trainer))
            store.write(f"{name}.json", self._note(trainer, name))

    def _writing(self, trainer: TrainerLike) -> Callable[[Path], None]:
        """Copy the state; what is returned writes it."""
        if self.weights_only:
            weights = {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}
            return partial(save_file, {name: value.contiguous() for name, value in weights.items()})
        tensors, meta = trainer.checkpoint(self._spare.pop() if self._spare else None)

        def write(path: Path) -> None:
            checkpoint_file.write(path, tensors, meta)
            if self.asynchronous:
                self._spare.append(tensors)

        return write

    def _note(self, trainer: TrainerLike, name: str) -> Callable[[Path], None]:
        text = note(trainer, name + SUFFIX, self.rankings)
        return lambda path: _write_text(path, text)

    def _place(self, trainer: TrainerLike) -> Store:
        if self._store is None:
            self._store = store_at(self.dir if self.dir is not None else trainer.run_dir() / "weights")
        return self._store

    def _path(self, trainer: TrainerLike, name: str) -> str:
        return self._place(trainer).path(name + SUFFIX)

    def _announce(self, trainer: TrainerLike, paths: list[str]) -> None:
        for path in paths:
            trainer.checkpoint_durable(path)


def _predicate(who: str, when: Any) -> Callable[[TrainerLike], bool] | None:
    if when is None:
        return None
    if not callable(when):
        raise TypeError(f"{who} got when={when!r}, wanted a function of the trainer that says whether to save")
    check_plain(when, "when")
    check_arity(when, "when")
    return when  # type: ignore[no-any-return]


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
