"""Triggers: an expression that native code evaluates for every batch, and what happens where it holds.

The language is described in docs/triggers.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from pyhooks import _C
from pyhooks.callables import check_arity, check_plain, name_of
from pyhooks.native import NativeCallback
from pyhooks.wording import kind


@dataclasses.dataclass(frozen=True)
class Firing:
    """A batch at which a trigger acted.

    Args:
        epoch: of the batch, from 0.
        batch: of the epoch, from 0.
        step: optimizer steps made before this batch's.
        values: of the expression's names and windows, as {"loss": 12.3, "ema(loss, 100)": 1.1}.
    """

    epoch: int
    batch: int
    step: int
    values: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Call:
    """What :func:`call` returns."""

    function: Callable[[list[Firing]], object]

    def __repr__(self) -> str:
        return f"call({name_of(self.function)})"


Action = str | Call | Callable[[list[Firing]], object]


class When(NativeCallback):
    """What :func:`when` returns: a recipe, for ``callbacks=[...]`` or ``add_callback``, of any number of trainers."""

    def __init__(self, expression: str, do: Action | Sequence[Action], at: str | None = None) -> None:
        if not isinstance(expression, str):
            raise TypeError(f"when got {kind(expression)}; wanted an expression, as 'loss > 3 * ema(loss, 100)'")
        if at is not None and not isinstance(at, str):
            raise TypeError(f"at is {kind(at)}; wanted 'on_backward_end', 'on_train_batch_end' or None")
        actions = [_action(one) for one in (do if isinstance(do, list | tuple) else [do])]
        if not actions:
            raise ValueError("do is empty; wanted an action, as 'stop', or a function")
        self._shown = actions[0] if len(actions) == 1 else actions
        self.functions = [action.function for action in actions if isinstance(action, Call)]
        texts = ["call" if isinstance(action, Call) else action for action in actions]
        super().__init__("trigger", when=expression, do=", ".join(texts), at=at)

    @property
    def label(self) -> str:
        """What it is called in reports: the expression and its actions."""
        return repr(self)

    @property
    def at(self) -> str:
        """The event at which the expression is evaluated."""
        late = "on_train_batch_end"
        return late if late in self.events else "on_backward_end"

    def check_event(self, event: str | None) -> None:
        """ValueError if it is to be called at another event than it has been made for."""
        if event not in (None, self.at):
            raise ValueError(
                f"{self!r} is evaluated at {self.at!r}, not at {event!r}: leave the event out, or choose with at=... "
                "between 'on_backward_end' and 'on_train_batch_end'"
            )

    def deliver(self, made: _C.Listener) -> None:
        """Call the functions with the firings since the last time, if there are any."""
        firings = [Firing(*firing) for firing in made.take_firings()]
        if firings:
            for function in self.functions:
                function(list(firings))

    def __repr__(self) -> str:
        at = "" if self.options["at"] is None else f", at={self.options['at']!r}"
        return f"when({self.options['when']!r}, do={self._shown!r}{at})"


def when(expression: str, do: Action | Sequence[Action], *, at: str | None = None) -> When:
    """Act where an expression holds: it is evaluated for every training batch, natively.

    ``loss > 3 * ema(loss, 100) and step > 500`` compares the batch's loss with the average of the batches before it.
    Names are loss, lr, grad_norm, step, epoch, epochs, batch, batches, samples, samples_seen, seconds, and whatever
    native callbacks log (in quotes where it is no plain name, as ``'act/fc1'``); docs/triggers.md has the language.

    With built-in names alone it is evaluated at on_backward_end, before the optimizer's step; with logged values at
    on_train_batch_end, when they are all there.

    ``every``, ``once``, ``after``, ``seconds`` and the like of ``add_callback`` say where the trigger may act; its
    windows see every batch all the same. ``once`` means: at the first batch at which the expression holds.

    Args:
        expression: a condition.
        do: one action or several. "stop", "skip_step" (drop this batch's gradients), "save" (a checkpoint at the end of
            the epoch), "snapshot" (see ``trainer.snapshots``), "scale_lr(0.5)", "log" or "log(name)" (a column of 1
            where it acted and 0 elsewhere, named by the expression or as given), or a function of one argument, a list
            of :class:`Firing`, which is called at the end of each epoch in which there were any.
        at: "on_backward_end" or "on_train_batch_end", to evaluate it elsewhere than said above. A logged value that is
            not there yet is NaN. Default: None.

    Raises:
        pyhooks.TriggerError: no such expression or action; the message points at the character. When training starts: a
            name nobody logs.
        TypeError: an argument of the wrong kind.

    Example:
        >>> when("loss > 3 * ema(loss, 100) and step > 500", do=["skip_step", "log(spikes)"])
        when('loss > 3 * ema(loss, 100) and step > 500', do=['skip_step', 'log(spikes)'])
    """
    return When(expression, do, at)


def call(function: Callable[[list[Firing]], object]) -> Call:
    """A trigger's action that calls Python: at the end of the epoch, with the list of its firings.

    Args:
        function: takes a list of :class:`Firing`. Not called in an epoch without any.

    Raises:
        TypeError: it cannot be called with one argument.

    Example:
        >>> when("not isfinite(loss)", do=["skip_step", call(print)])
        when('not isfinite(loss)', do=['skip_step', call(print)])
    """
    if not callable(function):
        raise TypeError(f"call got {kind(function)}; wanted a function of one argument, a list of firings")
    check_plain(function, name_of(function))
    check_arity(function, name_of(function), "firings", "the list of firings")
    return Call(function)


def _action(action: object) -> str | Call:
    if isinstance(action, Call):
        return action
    if isinstance(action, str):
        if action.strip() == "call":
            raise ValueError("the action 'call' wants the function itself: do=function, or do=pyhooks.call(function)")
        return action
    if callable(action):
        return call(action)
    raise TypeError(f"an action is {kind(action)}; wanted a text as 'skip_step', or a function")


def as_listener(trigger: When, made: _C.Listener, trainer: Any) -> _C.Listener:
    """What brings a trigger's firings to its functions at the end of each epoch."""
    return _C.python_callback({"on_train_epoch_end": lambda _: trigger.deliver(made)}, trainer, "observe", [])
