"""One call of ``fit``: sets the native loop up, runs it, and puts everything back in order."""

from __future__ import annotations

import dataclasses
import signal
import threading
from typing import TYPE_CHECKING, Any

import torch

from pyhooks import _C, checkpoint
from pyhooks.data import Data, make_data
from pyhooks.engines import fingerprint
from pyhooks.history import History, Result, describe_votes
from pyhooks.interrupts import interrupt_gate, sigterm_ends_training
from pyhooks.modes import Modes
from pyhooks.optim import OptimizerBridge, gives_sparse_gradients
from pyhooks.registration import warn_of_shared_columns
from pyhooks.schedule import FIELDS, Schedule
from pyhooks.step import BatchSpec
from pyhooks.timetable import Where
from pyhooks.warn import warn_user
from pyhooks.weak import weakly

if TYPE_CHECKING:
    from pyhooks.trainer import Trainer


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """What ``fit`` was asked for besides the data."""

    epochs: int
    batch_size: int
    shuffle: bool
    drop_last: bool


class Fit:
    """A run of the loop, while it lasts and afterwards.

    Args:
        trainer: whose run it is.
        train: the user's training data.
        val: the user's validation data, or None.
        options: the rest.

    Attributes:
        loop: the native loop.
        given: the training data as the user gave it.
        callback_states: what native callbacks get back from a checkpoint, by key, when the run has started.
    """

    def __init__(self, trainer: Trainer, train: Any, val: Any, options: FitOptions) -> None:
        self.trainer, self.options, self.given = trainer, options, train
        self.loop = _C.Loop(trainer._dispatcher)
        self._bridge: OptimizerBridge | None = None
        self._train = self._data(train, "train", training=True)
        self._val = None if val is None else self._data(val, "val", training=False)
        self._table = False
        self._owner = threading.get_ident()
        self.callback_states: dict[str, dict[str, Any]] = {}

    def run(self) -> Result:
        """Train; returns the result or raises what ended training."""
        trainer = self.trainer
        self._prepare()
        modes = trainer._provider.modes = Modes(trainer._provider.step_modules())
        if trainer.seed is not None:
            torch.manual_seed(trainer.seed)
        if trainer._timetable is not None:
            trainer._timetable.begin(resumed=trainer._snapshot is not None)
        if trainer._snapshot is not None:
            trainer._snapshot.resume(self)
            trainer._snapshot = None  # only now: what could not be resumed can be tried again
        modes.set("train")
        try:
            sigterm = any(callback.handles_sigterm for _, callback in trainer._python_callbacks)
            with interrupt_gate(), sigterm_ends_training(sigterm):
                self.loop.run(_signals())
        finally:
            modes.restore()
            self.synchronise()
        return Result(
            self.loop.metrics,
            History(self.loop),
            describe_votes(self.loop.votes),
            self.loop.epochs_run,
            trainer.save_dir,
        )

    def metric_names(self) -> list[str]:
        """The metrics this run will produce."""
        names = ["loss", *self.trainer._metrics]
        parts = ["train"] if self._val is None else ["train", "val"]
        logged = [name for info in self.trainer._dispatcher.registrations() for name in info["logs"]]
        rates = [f"lr/pg{i}" for i in range(len(self.trainer._optimizer.param_groups))]
        return list(dict.fromkeys([*(f"{part}/{name}" for part in parts for name in names), *rates, *logged]))

    def synchronise(self) -> None:
        """Bring the user's optimizer up to date with what was made natively."""
        if self._bridge is not None:
            self._bridge.pull()

    def request_stop(self, reason: str) -> None:
        """Vote to stop, in the name of the callback that is being called, if one is."""
        if threading.get_ident() == self._owner:
            self.loop.vote(None, reason)
        else:
            self.loop.vote_from_outside(reason)

    @property
    def sampler_state(self) -> torch.Tensor | None:
        """The state of the generator that orders the training batches, if the run has one of its own."""
        return None if self._train.sampler is None else self._train.sampler.generator_state

    @sampler_state.setter
    def sampler_state(self, state: torch.Tensor) -> None:
        if self._train.sampler is not None:
            self._train.sampler.generator_state = state

    def _data(self, value: Any, what: str, *, training: bool) -> Data:
        options = self.options
        return make_data(
            value,
            what,
            batch_size=options.batch_size,
            shuffle=training and options.shuffle,
            drop_last=training and options.drop_last,
            seed=self.trainer.seed,
            training=training,
            draws_random=weakly(self._draws_random),
            on_spec=weakly(self._use_engine),
        )

    def _draws_random(self) -> bool:
        engine = self.trainer._engine
        return engine is None or engine.draws_random or self.trainer._provider.taps.draws_random

    def _prepare(self) -> None:
        trainer, loop = self.trainer, self.loop
        loop.epochs = self.options.epochs
        loop.accumulate = trainer._accumulate
        loop.clip_norm, loop.clip_value = trainer._clip_norm, trainer._clip_value
        loop.fitness_name = self._fitness()
        for name, metric in trainer._metrics.items():
            loop.add_metric(name, None if metric.is_ratio else metric.compute)
        loop.train = self._train.source
        loop.val = None if self._val is None else self._val.source
        self._use_parameters()
        loop.setup = weakly(self._setup)
        loop.begin_epoch, loop.end_batches = weakly(self._begin_epoch), weakly(self._end_batches)
        loop.started, loop.save = weakly(self._started), weakly(self._save)
        loop.on_error, loop.on_secondary_error = weakly(self._on_error), _on_secondary_error
        loop.on_notice = _on_notice

    def _fitness(self) -> str:
        name = self.trainer._fitness_name
        if name is None:
            return "-train/loss" if self._val is None else "-val/loss"
        if name.removeprefix("-") not in self.metric_names():
            raise ValueError(
                f"fitness is {name!r}, which this run will not produce; it will produce "
                f"{', '.join(self.metric_names())}"
            )
        return name

    def _setup(self) -> None:
        """Make the engine and capture a plan for each kind of batch that is known to come."""
        trainer = self.trainer
        trainer._provider.spec = weakly(self._spec)
        self._use_engine()
        if isinstance(trainer._engine, _C.GraphEngine) and self._train.spec() is not None:
            for data, mode in ((self._train, "train"), (self._val, "eval")):
                for example in data.examples if data else ():
                    trainer._engine.prepare(mode, example)

    def _spec(self, mode: str) -> BatchSpec | None:
        data = self._train if mode == "train" or self._val is None else self._val
        return data.spec()

    def _use_parameters(self) -> None:
        """Give the loop the trained parameters and who steps them; keep the native optimizer if it still fits."""
        params = self.trainer._provider.blank_step().parameters()
        self.synchronise()
        if self._bridge is not None and self._bridge.is_current(params):
            self._bridge.push()
            return
        sparse = gives_sparse_gradients(self.trainer._provider.step_modules())
        self._bridge = OptimizerBridge(self.trainer._optimizer, params, sparse=sparse)
        self.loop.param_names, self.loop.params = list(params), list(params.values())
        buffers = self.trainer._provider.blank_step().buffers()
        self.loop.buffer_names, self.loop.buffers = list(buffers), list(buffers.values())
        if self.trainer._timetable is not None:
            self.loop.scheduled = self.trainer._timetable.use(buffers)
        self.loop.optimizer = self._bridge.native

    def _use_engine(self) -> None:
        """Keep the engine with its plans unless something they have baked in has changed.

        Called again when a loader's first batch has shown how its batches are built.
        """
        trainer, train = self.trainer, self._spec("train")
        wanted = fingerprint(trainer._provider, train, self._spec("eval") or train)
        if trainer._engine is None or (train is not None and trainer._engine_for != wanted):
            trainer._engine, trainer._engine_for = trainer._provider.engine(), wanted
        self.loop.engine = trainer._engine

    def _begin_epoch(self, steps: int) -> list[float]:
        self._take_over_changes()
        torch_schedule, timetable = self.trainer._schedule, self.trainer._timetable
        per_batch = torch_schedule is not None and torch_schedule.per == "batch"
        self._table = per_batch or timetable is not None
        rows = self._torch_table(torch_schedule, steps) if per_batch and torch_schedule is not None else None
        if timetable is not None:
            rows = timetable.table(steps, self._where(), rows)
        return [] if rows is None else rows.ravel().tolist()

    def _torch_table(self, schedule: Schedule, steps: int) -> Any:
        if steps < 0:
            raise ValueError(
                "a schedule per batch needs to know how many batches an epoch has, and the training data "
                "cannot tell (no len()): "
                "pass data with a length, or the scheduler alone to step it once an epoch"
            )
        return schedule.table(steps)

    def _where(self) -> Where:
        return Where(self.loop.epoch, self.options.epochs, self.loop.global_step)

    def _take_over_changes(self) -> None:
        """What callbacks have changed (frozen layers, dropout rates, optimizer state) counts from this epoch on."""
        self.trainer._provider.modes.adopt()
        self._use_parameters()
        self._use_engine()

    def _end_batches(self, steps: int) -> None:
        for message in self.trainer._provider.taps.end_epoch(steps):
            warn_user(message)
        assert self._bridge is not None
        if self._table:
            self._table = False
            self._advance_schedules(self._bridge, steps)
        self._bridge.pull()

    def _advance_schedules(self, bridge: OptimizerBridge, steps: int) -> None:
        schedule, timetable = self.trainer._schedule, self.trainer._timetable
        if schedule is not None and schedule.per == "batch":
            bridge.leave_to_schedule([set(range(len(FIELDS)))] * len(self.trainer._optimizer.param_groups))
            schedule.advance(steps)
        elif timetable is not None:
            bridge.leave_to_schedule(timetable.moved())
        if timetable is not None:
            timetable.advance(self._where())

    def _started(self) -> None:
        warn_of_shared_columns(self.trainer._dispatcher.registrations())
        self.trainer._dispatcher.load_states(self.callback_states)

    def _save(self, reasons: list[str]) -> None:
        """Write the checkpoint that native callbacks have asked for."""
        trainer = self.trainer
        path = trainer.run_dir() / "weights" / f"epoch{trainer.epoch + 1}_step{trainer.global_step}.safetensors"
        tensors, meta = trainer.checkpoint()
        checkpoint.save(path, tensors, {**meta, "asked_for": reasons})
        trainer.model_saved(path)
        trainer.checkpoint_durable(path)

    def _on_error(self, error: BaseException) -> None:
        self.trainer.exception = error


def _on_secondary_error(error: BaseException) -> None:
    warn_user(f"while training was ending with an exception, another was raised: {error!r}")


def _on_notice(notice: dict[str, Any]) -> None:
    who, error = notice["label"], notice["error"]
    if error is None:
        warn_user(
            f"{who} takes {notice['mean_ns'] / 1000:.3g} us a call, more than its budget of {notice['budget']:.3g} of "
            f"the training time allows for every batch ({notice['where']}): it is called less often from now on; "
            "trainer.callback_stats() counts the calls left out"
        )
        return
    count = notice["failures"]
    often = "" if count == 1 else f" for the {count}th time"
    then = "it is not called any more" if notice["disabled"] else "training goes on"
    warn_user(f"{who} raised {type(error).__name__}: {error}{often} ({notice['where']}); {then}")


def _signals() -> list[int]:
    """Signals that Python handles: noticed between batches, so that Ctrl-C works while no Python runs."""
    if threading.current_thread() is not threading.main_thread():
        return []
    handled = []
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            handled.append(int(number))
    return handled
