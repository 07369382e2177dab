"""Who is called when: what a trainer offers for adding callbacks and tensor hooks, and for looking at them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from pyhooks import _C, checking, events
from pyhooks.callbacks import Callback
from pyhooks.engines import StepProvider
from pyhooks.explain import explain
from pyhooks.hook_handle import HookHandle, add_hook
from pyhooks.native import NativeCallback, NativeHook
from pyhooks.registration import Handle, delivery, listener
from pyhooks.rules import Rules
from pyhooks.run_view import RunView
from pyhooks.warn import warn_user

if TYPE_CHECKING:
    from pyhooks.trainer import Trainer

Function = TypeVar("Function", bound=Callable[..., Any])


class Registering(RunView):
    """Adding, removing and listing callbacks and tensor hooks."""

    _dispatcher: _C.Dispatcher
    _provider: StepProvider
    _python_callbacks: list[tuple[int, Callback]]

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
        trainer = cast("Trainer", self)
        made, label, only = listener(target, name, trainer)
        if self._running is None and self._fit is not None:
            warn_user(f"training has ended; {label} will be called from the next fit() on")
        if budget is not None and not made.native:
            raise ValueError(f"{label} is Python, which no batch waits for: budget is for native callbacks")
        numbers = [self._dispatcher.add(made, only, rules.filter, rules.manner, label)]
        if isinstance(target, Callback):
            self._python_callbacks.append((numbers[0], target))
        if (calls := delivery(target, made, trainer)) is not None:
            manner = {**rules.manner, "budget": 0.0, "key": ""}
            numbers.append(self._dispatcher.add(calls, None, None, manner, f"calls of {label}"))
        return Handle(trainer, numbers, label)

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
            >>> import torch
            >>> from torch import nn
            >>> from torch.nn import functional as F
            >>> from pyhooks import Trainer, native
            >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
            >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            >>> trainer = Trainer(net, F.mse_loss, optimizer, progress=False)
            >>> handle = trainer.add_hook("1", native.ActivationStats(["zeros"]))
            >>> _ = trainer.fit((torch.rand(8, 4), torch.rand(8, 1)), epochs=1, batch_size=4)
            >>> trainer.history.batch["1/output/zeros"].shape
            (2,)
        """
        checking.at_least(1, every=every)
        self._check_thread("add_hook")
        return add_hook(cast("Trainer", self), pattern, hook, on, every)

    def explain(self) -> str:
        """Print (and return) who is called when: events, phases, order, filters, who is native, and tensor hooks."""
        self._check_thread("explain")
        text = explain(cast("Trainer", self))
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

    def _remove(self, number: int) -> bool:
        self._check_thread("remove")
        self._python_callbacks = [(n, callback) for n, callback in self._python_callbacks if n != number]
        return self._dispatcher.remove(number)
