"""From what the user hands to ``add_callback`` to a native registration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pyhooks import _C, events
from pyhooks.callables import check_arity, check_plain, name_of
from pyhooks.callbacks import Callback
from pyhooks.native import NativeCallback
from pyhooks.schedule import Schedule
from pyhooks.triggers import When, as_listener
from pyhooks.warn import warn_user

if TYPE_CHECKING:
    from pyhooks.trainer import Trainer


class Handle:
    """A registration: keep it to remove the callback again.

    Example:
        >>> handle = trainer.add_callback("on_train_end", print)     # doctest: +SKIP
        >>> handle.remove()                                          # doctest: +SKIP
    """

    def __init__(self, trainer: Trainer, numbers: list[int], label: str) -> None:
        self._trainer, self._numbers, self.label = trainer, numbers, label

    def remove(self) -> bool:
        """Stop calling it, from the next call on. False if it is gone already."""
        removed = [self._trainer._remove(number) for number in self._numbers]
        return removed[0]

    def __repr__(self) -> str:
        return f"Handle({self.label!r})"


def listener(target: Any, event: str | None, trainer: Trainer) -> tuple[_C.Listener, str, int | None]:
    """Make what the dispatcher calls.

    Args:
        target: a function, a Python callback object, or a native one.
        event: the one event to listen to; None: all that the object overrides.
        trainer: handed to Python callbacks.

    Returns:
        The listener, its label, and the mask of events it is restricted to (None: no restriction).

    Raises:
        TypeError: not something that can be called at events.
        ValueError: Python on a batch event, or an object that does not listen to ``event``.
    """
    if inspect.isclass(target) and issubclass(target, Callback | NativeCallback):
        raise TypeError(f"got the class {target.__name__}, wanted an object of it: {target.__name__}(...)")
    if isinstance(target, NativeCallback):
        label, made = target.label, target.make()
        if isinstance(target, When):
            target.check_event(event)
            event = None
        _check_logs(made.logs, label, trainer)
        return made, label, _mask(target.events, event, repr(target))
    if isinstance(target, Callback):
        label = type(target).__name__
        made = _from_object(target, trainer)
        _check_logs(made.logs, label, trainer)
        return made, label, _mask(made.events, event, label)
    if event is None:
        raise TypeError(
            f"add_callback got {target!r} alone: wanted an event and a function, as "
            "add_callback('on_train_epoch_end', fn), "
            "or a callback object (pyhooks.Callback, pyhooks.native...)"
        )
    return _from_function(target, event, trainer), name_of(target), None


def delivery(target: Any, made: _C.Listener, trainer: Trainer) -> _C.Listener | None:
    """What calls a trigger's Python functions at the end of an epoch; None if it has none, or is no trigger."""
    return as_listener(target, made, trainer) if isinstance(target, When) and target.functions else None


def epoch_schedule(schedule: Schedule, trainer: Trainer) -> _C.Listener:
    """What steps a schedule once an epoch: after the votes, before anything is saved."""
    methods = {
        "on_pretrain_routine_end": lambda trainer: schedule.check([*trainer.metric_names, "fitness"]),
        "on_fit_epoch_end": lambda trainer: schedule.epoch_end(_with_fitness(trainer)),
    }
    return _C.python_callback(methods, trainer, "mutate", [])


def _with_fitness(trainer: Any) -> dict[str, float]:
    return trainer.metrics if trainer.fitness is None else {**trainer.metrics, "fitness": trainer.fitness}


def warn_of_shared_columns(registrations: Iterable[dict[str, Any]]) -> None:
    """Warn where two native callbacks log one column: of their numbers only those of the later one stay.

    Args:
        registrations: the dispatcher's, once callbacks know what they log.
    """
    owners: dict[tuple[str, str], str] = {}
    shared: dict[tuple[str, str], dict[str, None]] = {}
    for info in (info for info in registrations if info["native"]):
        for place in {_place(event) for event in info["events"]} - {""}:
            for name in info["logs"]:
                first = owners.setdefault((place, name), info["key"])
                if first != info["key"]:
                    shared.setdefault((first, info["key"]), {})[repr(name)] = None
    for (first, second), names in shared.items():
        warn_user(
            f"{first} and {second} both log {', '.join(names)}: only what the later one logs is kept. Let one of them "
            "log another name (an option of the callback, as name=), or leave one out"
        )


def _place(event: str) -> str:
    """Where what is logged at an event goes; "" at a run event, where a callback usually only sets itself up."""
    kind = events.KINDS[event]
    return "" if kind == "run" else "validation" if event.startswith("on_val_batch") else kind


def _from_object(callback: Callback, trainer: Trainer) -> _C.Listener:
    methods = {}
    for name, kind in events.KINDS.items():
        method = getattr(callback, name, None)
        if method is None or getattr(type(callback), name, None) is getattr(Callback, name, None):
            continue
        if kind == "batch":
            events.check_python(name)
        check_plain(method, f"{type(callback).__name__}.{name}")
        check_arity(method, f"{type(callback).__name__}.{name}")
        methods[name] = method
    return _C.python_callback(methods, trainer, callback.phase, list(callback.logs))


def _from_function(function: Callable[..., Any], event: str, trainer: Trainer) -> _C.Listener:
    if not callable(function):
        raise TypeError(
            f"add_callback({event!r}, ...) got {function!r}, wanted a function of one argument, the trainer"
        )
    events.check_python(event)
    check_plain(function, name_of(function))
    check_arity(function, name_of(function))
    return _C.python_callback({event: function}, trainer, "observe", [])


def _check_logs(logs: list[str], label: str, trainer: Trainer) -> None:
    own = {"loss", "lr", *(f"{part}/{name}" for part in ("train", "val") for name in ("loss", *trainer._metrics))}
    for name in logs:
        if name in own:
            raise ValueError(f"{label} logs {name!r}, which the trainer itself makes: give it another name")


def _mask(listens: list[str], event: str | None, name: str) -> int | None:
    """Restrict to one event, and to run events, where callbacks reset themselves."""
    if event is None:
        return None
    if events.check(event) not in listens:
        raise ValueError(
            f"{name} does not listen to {event!r}; it listens to {', '.join(listens)}: leave the event out"
        )
    return sum(1 << i for i, (other, kind) in enumerate(events.KINDS.items()) if other == event or kind == "run")
