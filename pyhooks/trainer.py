"""The trainer: what a user of pyhooks holds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, SupportsIndex, TypeVar, overload

from torch import Tensor, nn
from torch.optim import Optimizer

from pyhooks import _C, checking, events, inference
from pyhooks.averages import AveragesView
from pyhooks.callbacks import Callback, ProgressBar
from pyhooks.engines import StepProvider
from pyhooks.explain import explain
from pyhooks.export import export_step
from pyhooks.fit import Fit, FitOptions
from pyhooks.history import Result
from pyhooks.hook_handle import HookHandle, add_hook
from pyhooks.lr_finder import LRFinderResult, Sweep, find_lr, given_or_of_run
from pyhooks.metrics import Metric, as_metric
from pyhooks.native import NativeCallback, NativeHook
from pyhooks.optim import check_parameters
from pyhooks.registration import Handle, delivery, epoch_schedule, listener
from pyhooks.resume import Snapshot
from pyhooks.rules import Rules
from pyhooks.warn import warn_user
from pyhooks.wording import kind

Function = TypeVar("Function", bound=Callable[..., Any])


class Trainer(AveragesView):
    """Trains a model in a native loop.

    Args:
        model: its parameters are trained in place.
        loss: ``loss(outputs, targets)`` returns a 0-d tensor. A module's own parameters are trained too.
        optimizer: a ``torch.optim`` object over the model's trainable parameters. SGD, Adam, AdamW and Adagrad run
            natively, bit-identical to their ``fused=True``; its state is kept up to date.
        metrics: name to metric: one of :mod:`pyhooks.metrics`, or a function ``(outputs, targets) -> 0-d tensor``.
        scheduler: any ``torch.optim.lr_scheduler``, stepped once an epoch; or ``(scheduler, "batch")``; or
            ``(ReduceLROnPlateau(...), "val/accuracy")``, which watches that metric (default: "val/loss", without
            validation "train/loss"). Or one of :mod:`pyhooks.schedules`, as ``warmup(0.05) + cosine()``, which moves
            the learning rate each step, ``(shape, "epoch")`` each epoch. Or a dict of several: of "lr", "momentum"
            (Adam's beta1), "beta2", "weight_decay", and buffers of model or loss (the tensor, or its name) that the
            loss reads.
        callbacks: as given to :meth:`add_callback`.
        engine: "graph": the captured step; "python": forward and loss in Python; "auto" (default): graph, and where a
            model cannot be captured python, with a warning that says why.
        accumulate: batches an optimizer step; each loss is divided by it, and an epoch's short last group is stepped
            too.
        clip_norm: largest total gradient norm, as ``torch.nn.utils.clip_grad_norm_``.
        clip_value: largest absolute gradient, as ``torch.nn.utils.clip_grad_value_``; after ``clip_norm``.
        fitness: the metric that decides what is best, a leading "-" for lower is better. Default: "-val/loss", without
            validation "-train/loss".
        seed: ``torch.manual_seed(seed)`` when ``fit`` starts, and batches in the order of
            ``DataLoader(shuffle=True, generator=torch.Generator().manual_seed(seed))``. Default: None, the default
            generator as it is.
        verify: how many first batches of each captured plan to compare with eager, bit for bit. Default: 2; 0: none.
        save_dir: the run's folder. Default: None; callbacks that need one make runs/train, runs/train2, ...
        progress: show a progress bar in a terminal. Default: True.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: an argument out of range; parameters missing from the optimizer.

    Example:
        >>> import torch, torch.nn.functional as F
        >>> net = nn.Linear(4, 1)
        >>> trainer = Trainer(net, F.mse_loss, torch.optim.Adam(net.parameters()), progress=False, seed=0)
        >>> trainer.fit((torch.zeros(8, 4), torch.zeros(8, 1)), epochs=2, batch_size=4).epochs_run
        2
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Tensor],
        optimizer: Optimizer,
        *,
        metrics: Mapping[str, Metric | Callable[[Any, Any], Tensor]] | None = None,
        scheduler: Any = None,
        callbacks: Sequence[Callback | NativeCallback] = (),
        engine: str = "auto",
        accumulate: int = 1,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        fitness: str | None = None,
        seed: int | None = None,
        verify: int = 2,
        save_dir: str | os.PathLike[str] | None = None,
        progress: bool = True,
    ) -> None:
        checking.model_loss_optimizer(model, loss, optimizer)
        checking.choices(engine=engine, fitness=fitness, seed=seed)
        checking.at_least(1, accumulate=accumulate)
        checking.at_least(0, verify=verify)
        checking.positive(clip_norm=clip_norm, clip_value=clip_value)
        checking.flags(progress=progress)
        self._model = model
        self.seed = None if seed is None else int(seed)
        self._accumulate, self._clip_norm, self._clip_value = accumulate, clip_norm, clip_value
        self._fitness_name = fitness
        self._optimizer = optimizer
        self._metrics = {name: as_metric(name, metric) for name, metric in checking.metrics(metrics).items()}
        self._provider = StepProvider(model, loss, self._metrics, accumulate, engine, verify)
        checking.same_device(self._provider.blank_step())
        check_parameters(optimizer, self._provider.blank_step().parameters())
        self._schedule, self._timetable = checking.schedules(scheduler, optimizer, self._provider.blank_step())
        self._engine: _C.StepEngine | None = None
        self._engine_for: object = None
        self._inference_engine: _C.StepEngine | None = None
        self._inference_for: object = None
        self._engine_choice = engine
        self._dispatcher = _C.Dispatcher()
        self._fit: Fit | None = None
        self._running: int | None = None  # the thread of a running fit
        self._lock = threading.RLock()  # plans have one set of registers: one thread computes at a time
        self._snapshot: Snapshot | None = None
        self._python_callbacks: list[tuple[int, Callback]] = []
        self.save_dir = checking.folder(save_dir)
        self.exception: BaseException | None = None
        if self._schedule is not None and self._schedule.per == "epoch":
            self._dispatcher.add(epoch_schedule(self._schedule, self), label=type(self._schedule.scheduler).__name__)
        for callback in checking.callbacks(callbacks):
            self.add_callback(callback)
        if progress:
            self.add_callback(ProgressBar())

    @property
    def model(self) -> nn.Module:
        """The model; its parameters are trained in place."""
        return self._model

    @model.setter
    def model(self, value: nn.Module) -> None:
        raise AttributeError(
            "trainer.model cannot be set: the optimizer and the captured steps belong to the model the trainer was "
            "made with; make a new Trainer for another model, or load weights with trainer.model.load_state_dict"
        )

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            "a Trainer cannot be copied or pickled: it holds native state; copy the model and the optimizer "
            "and make a new Trainer of them (a run's state is kept by pyhooks.callbacks.Checkpoint)"
        )

    # --- training -----------------------------------------------------------------------------------------------

    def fit(
        self,
        train: Any,
        val: Any = None,
        *,
        epochs: int,
        batch_size: int = 32,
        shuffle: bool = True,
        drop_last: bool = False,
    ) -> Result:
        """Train.

        Args:
            train: ``(inputs, targets)`` of tensors or numpy arrays (memory-mapped ones too), each of which may be a
                tuple or a dict of them; a ``TensorDataset``, another ``Dataset``, a ``DataLoader``, or an iterable of
                batches.
            val: the same, to validate with after each epoch. Default: None.
            epochs: how many.
            batch_size: rows a batch (not for loaders, which have their own). Default: 32.
            shuffle: a new order each epoch (not for loaders). Default: True.
            drop_last: leave out a short last batch (not for loaders). Default: False.

        Returns:
            The last epoch's metrics, the history, and why training stopped.

        Raises:
            TypeError: data of a kind that is not understood.
            ValueError: empty data, different numbers of rows, a batch larger than the set.
            pyhooks.CaptureError: ``engine="graph"`` and the step cannot be captured.
            Exception: whatever the model, the loss or a callback raised, as it was raised.
        """
        checking.at_least(1, epochs=epochs, batch_size=batch_size)
        checking.flags(shuffle=shuffle, drop_last=drop_last)
        options = FitOptions(epochs, batch_size, bool(shuffle), bool(drop_last))
        with self._alone(self._check_idle):
            self._fit = Fit(self, train, val, options)
            self._running = threading.get_ident()
            self.exception = None
            try:
                return self._fit.run()
            finally:
                self._running = None

    def find_lr(
        self,
        train: Any = None,
        *,
        start: float = 1e-7,
        end: float = 10.0,
        steps: int = 100,
        mode: str = "exp",
        stop_at: float | None = 4.0,
        batch_size: int = 32,
        shuffle: bool = True,
        drop_last: bool = False,
    ) -> LRFinderResult:
        """A learning-rate range test (Smith, 2015): trains with a rate that climbs until the loss explodes.

        It runs natively and calls none of your callbacks and tensor hooks. Afterwards model, buffers, optimizer, random
        numbers (torch's, NumPy's, Python's), history and counters have the bits they had: a ``fit`` after it is the one
        without it. Not undone is what Python code of yours keeps elsewhere, as a data set that counts its reads.

        Args:
            train: as for :meth:`fit`. Inside a callback of ``fit`` it may be left out: then its data and batches.
            start: the first parameter group's first rate; other groups keep their ratio to it. Default: 1e-7.
            end: its last one. Default: 10.
            steps: optimizer steps from one to the other. Default: 100.
            mode: "exp" (default) multiplies the rate each step, "linear" adds.
            stop_at: ends when the averaged loss is so many times its lowest. Default: 4; None: only where it is not
                finite.
            batch_size: rows a batch. Default: 32.
            shuffle: a new order each epoch. Default: True.
            drop_last: leave out a short last batch. Default: False.

        Returns:
            Rates, losses, a suggestion, and ``plot(path)``.

        Raises:
            ValueError: values out of range.

        Example:
            >>> found = trainer.find_lr((x, y), batch_size=64)                    # doctest: +SKIP
            >>> optimizer.param_groups[0]["lr"] = found.suggestion                 # doctest: +SKIP
        """
        sweep = Sweep(start, end, steps, mode, stop_at)
        self._check_thread("find_lr")
        inside = train is None
        train, options = given_or_of_run(
            self, train, {"batch_size": batch_size, "shuffle": shuffle, "drop_last": drop_last}
        )
        with self._alone((lambda: None) if inside else self._check_idle):
            if self._fit is not None:
                self._fit.synchronise()
            return find_lr(self, sweep, train, **options)

    def evaluate(self, data: Any, batch_size: int = 32) -> dict[str, float]:
        """The loss and the metrics on data, the model in eval mode: ``{"loss": ..., "accuracy": ...}``.

        Args:
            data: as for :meth:`fit`.
            batch_size: rows a batch. Default: 32.
        """
        checking.at_least(1, batch_size=batch_size)
        with self._alone(lambda: self._check_thread("evaluate")):
            return inference.evaluate(self, data, batch_size)

    def predict(self, x: Any, batch_size: int = 32) -> Any:
        """The model's outputs for inputs, the model in eval mode, joined along the first dimension.

        Args:
            x: a tensor, an array, or a tuple or dict of them, as the model takes them.
            batch_size: rows a batch. Default: 32.

        Returns:
            What the model returns (a tensor, tuple, dict, dataclass), for all rows.

        Raises:
            ValueError: inputs without rows, or an output whose first dimension is not the batch's rows.
        """
        checking.at_least(1, batch_size=batch_size)
        with self._alone(lambda: self._check_thread("predict")):
            return inference.predict(self, x, batch_size)

    # --- callbacks ----------------------------------------------------------------------------------------------

    def add_callback(
        self,
        event: str | Callback | NativeCallback,
        callback: Any = None,
        *,
        every: int = 1,
        once: bool = False,
        after: int = 0,
        before: int | None = None,
        between: tuple[int, int] | None = None,
        seconds: float | None = None,
        samples: int | None = None,
        priority: int = 0,
        on_error: str = "raise",
        budget: str | float | None = None,
        id: str | None = None,
    ) -> Handle:
        """Register a function for an event, or a callback object for all events it overrides.

        The n-th occurrence of an event in a ``fit`` (n from 1) calls it if ``after < n < before`` and ``every`` divides
        n. Of an object that listens to batch events, only these are filtered; of others, epoch events. Run events come
        once a ``fit``, and set the object up and end it.

        Args:
            event: an event's name, as "on_train_epoch_end"; or the callback object.
            callback: a function of one argument, the trainer; or a callback object to be called at this event only.
            every: call it at every n-th occurrence. Default: 1.
            once: remove it after its first call. Default: False.
            after: skip that many occurrences. Default: 0.
            before: stop before this occurrence. Default: None, never.
            between: the first and the last occurrence to be called at, instead of ``after`` and ``before``.
            seconds: of these occurrences, only the first and then those so many seconds after the last call.
            samples: of these occurrences, only those at which so many training rows have come since the last call.
            priority: within a phase, higher ones are called first. Default: 0.
            on_error: what an exception does: "raise" (default) ends training, "warn" reports it and goes on, "disable"
                reports it and removes the callback.
            budget: the most a native callback may cost at batch events, as a share of the time: "1%" or 0.01. One that
                costs more is called less often, and a warning says so. Default: None, no limit.
            id: names the callback's state in checkpoints. Default: None, its class, numbered where there are several.

        Returns:
            A handle with ``remove()``.

        Raises:
            TypeError: not callable with one argument.
            ValueError: no such event, or a Python function on a batch event (the message names the native ways).

        Example:
            >>> trainer.add_callback("on_train_epoch_end", lambda trainer: print(trainer.metrics))     # doctest: +SKIP
        """
        rules = Rules(every, once, after, before, between, seconds, samples, priority, on_error, budget, id)
        name, target = (events.check(event), callback) if isinstance(event, str) else (None, event)
        if name is None and callback is not None:
            raise TypeError(
                f"add_callback got two callbacks, {event!r} and {callback!r}; wanted an event's name "
                "first, or one object"
            )
        self._check_thread("add_callback")
        made, label, only = listener(target, name, self)
        if self._running is None and self._fit is not None:
            warn_user(f"training has ended; {label} will be called from the next fit() on")
        if budget is not None and not made.native:
            raise ValueError(f"{label} is Python, which no batch waits for: budget is for native callbacks")
        numbers = [self._dispatcher.add(made, only, rules.filter, rules.manner, label)]
        if isinstance(target, Callback):
            self._python_callbacks.append((numbers[0], target))
        if (calls := delivery(target, made, self)) is not None:
            manner = {**rules.manner, "budget": 0.0, "key": ""}
            numbers.append(self._dispatcher.add(calls, None, None, manner, f"calls of {label}"))
        return Handle(self, numbers, label)

    @overload
    def on(self, event: str, function: None = None, **filters: Any) -> Callable[[Function], Function]: ...
    @overload
    def on(self, event: str, function: Function, **filters: Any) -> Function: ...
    def on(self, event: str, function: Any = None, **filters: Any) -> Any:
        """Register the decorated function: ``@trainer.on("on_train_epoch_end", every=10)``.

        Filters are those of :meth:`add_callback`.
        """
        events.check(event)

        def register(target: Function) -> Function:
            self.add_callback(event, target, **filters)
            return target

        return register if function is None else register(function)

    def add_hook(self, pattern: str, hook: NativeHook, on: str = "output", *, every: int = 1) -> HookHandle:
        """Let a native tensor hook see, or replace, tensors inside the model, in training batches.

        Args:
            pattern: a glob over module names (``*`` stands for dots too; "model" is the whole model, and a loss
                module's names begin with "loss"), of "param_grad" over parameter names. All that match are hooked.
            hook: one of :mod:`pyhooks.native` (ActivationStats, GradStats, GradScale, GradNoise), or a C++ class of
                your own by its registered name: ``pyhooks.native.NativeHook("my_hook", beta=0.9)``.
            on: "output": what a module returns, all floating-point tensors in it; "grad": the gradient of these;
                "param_grad": a parameter's gradient, once an optimizer step, before clipping. Default: "output".
            every: at every n-th training batch ("param_grad": optimizer step) of a ``fit``. Default: 1.

        Returns:
            A handle with ``remove()``, the names of the tensors, and histograms.

        Raises:
            TypeError: the hook is none.
            ValueError: nothing is named so (the message names what is near), ``on`` is wrong or not for this hook.

        Example:
            >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
            >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            >>> trainer = Trainer(net, F.mse_loss, optimizer, progress=False)
            >>> handle = trainer.add_hook("1", pyhooks.native.ActivationStats(["zeros"]))
            >>> _ = trainer.fit((torch.rand(8, 4), torch.rand(8, 1)), epochs=1, batch_size=4)
            >>> trainer.history.batch["1/output/zeros"].shape
            (2,)
        """
        checking.at_least(1, every=every)
        self._check_thread("add_hook")
        return add_hook(self, pattern, hook, on, every)

    def explain(self) -> str:
        """Print (and return) who is called when: events, phases, order, filters, who is native, and tensor hooks."""
        self._check_thread("explain")
        text = explain(self)
        print(text)
        return text

    def callback_stats(self) -> list[dict[str, Any]]:
        """What each callback cost in the last ``fit``.

        Returns:
            A dict each: label, native, calls, total_ns, mean_ns, max_ns, share (of the epochs' time), stops (votes),
            failures (exceptions that did not end training), thinned (calls left out for its budget). Native calls at
            batch events are all counted, the first and one in 61 are timed; of a tensor hook it is the tensors it was
            handed.
        """
        self._check_thread("callback_stats")
        elapsed = self._loop.epoch_seconds * 1e9 if self._fit else 0.0
        wanted = ("label", "native", "calls", "total_ns", "mean_ns", "max_ns", "share", "stops", "failures", "thinned")
        stats = []
        for info in self._dispatcher.registrations():
            info |= self._provider.taps.cost(info["id"])
            info["share"] = info["total_ns"] / elapsed if elapsed else 0.0
            stats.append({key: info[key] for key in wanted})
        return stats

    # --- saving -------------------------------------------------------------------------------------------------

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
        return Snapshot.take(self, spare).parts()

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
            self._snapshot = Snapshot.load(self, path)

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
            export_step(self, path, train, val, batch_size=batch_size, drop_last=drop_last)

    def model_saved(self, path: str | os.PathLike[str]) -> None:
        """Tell the run that a checkpoint is handed to its writer: fires on_model_save."""
        self._loop.model_saved()

    def checkpoint_durable(self, path: str | os.PathLike[str]) -> None:
        """Tell the run that a checkpoint is on disk: fires on_checkpoint_durable."""
        self._loop.checkpoint_durable()

    def _remove(self, number: int) -> bool:
        self._check_thread("remove")
        self._python_callbacks = [(n, callback) for n, callback in self._python_callbacks if n != number]
        return self._dispatcher.remove(number)

    def _check_idle(self) -> None:
        if self._running is not None:
            raise RuntimeError("this trainer is training already; make another trainer to train inside or beside it")
        if self._lent:
            raise RuntimeError(
                "inside trainer.averaged() the model has averaged weights, and at the end of the block what is done to "
                "them is undone: call fit and load_checkpoint after it"
            )

    @contextmanager
    def _alone(self, check: Callable[[], None]) -> Iterator[None]:
        """Compute in no other thread meanwhile: wait for an ``evaluate`` or ``predict``, refuse beside a ``fit``."""
        check()
        while not self._lock.acquire(timeout=0.05):
            check()  # it may be a fit that has got the lock
        try:
            check()
            yield
        finally:
            self._lock.release()
