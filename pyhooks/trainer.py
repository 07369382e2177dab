"""The trainer: what a user of pyhooks holds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, SupportsIndex

from torch import Tensor, nn
from torch.optim import Optimizer

from pyhooks import _C, checking, inference
from pyhooks.averages import AveragesView
from pyhooks.callbacks import Callback, ProgressBar
from pyhooks.engines import StepProvider
from pyhooks.fit import Fit, FitOptions
from pyhooks.history import Result
from pyhooks.lr_finder import LRFinderResult, Sweep, find_lr, given_or_of_run
from pyhooks.metrics import Metric, as_metric
from pyhooks.native import NativeCallback
from pyhooks.optim import check_parameters
from pyhooks.registering import Registering
from pyhooks.registration import epoch_schedule
from pyhooks.resume import Snapshot
from pyhooks.saving import Saving


class Trainer(Registering, Saving, AveragesView):
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
