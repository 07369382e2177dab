"""From what the user hands to ``add_hook`` to a tensor hook at work, and what the user holds of it."""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import nn

from pyhooks import _C
from pyhooks.callbacks import Callback
from pyhooks.native import NativeCallback, NativeHook
from pyhooks.taps import Entry, matched_modules, matches, module_names
from pyhooks.wording import kind

if TYPE_CHECKING:
    from pyhooks.trainer import Trainer

KINDS = {
    "output": "what a module returns",
    "grad": "the gradient of that",
    "param_grad": "a parameter's gradient",
}
_MOST_NAMES = 12


class HookHandle:
    """A tensor hook added to a trainer: keep it to read what it has seen, and to remove it again.

    Example:
        >>> handle = trainer.add_hook("fc*", pyhooks.native.ActivationStats())     # doctest: +SKIP
        >>> handle.remove()                                                        # doctest: +SKIP
    """

    def __init__(self, trainer: Trainer, entry: Entry) -> None:
        self._trainer, self._entry = trainer, entry

    @property
    def names(self) -> list[str]:
        """The modules (of "param_grad": the parameters) that the pattern matched."""
        return list(self._entry.names)

    @property
    def tensors(self) -> list[str]:
        """The tensors that have come so far, in the order in which they first came.

        A module's is named as the module; "lstm[1]", "encoder['h']" of a module that returns several; "fc#2" at the
        module's second call in a step.
        """
        self._trainer._check_thread("tensors")
        return self._entry.tap.sites

    @property
    def calls(self) -> int:
        """How many tensors the hook was handed in the current or last ``fit``."""
        return int(self._entry.tap.cost()["calls"])

    def histogram(self, tensor: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """This epoch's (after training: the last epoch's) histogram of a tensor.

        Args:
            tensor: its name, one of :attr:`tensors`.

        Returns:
            Counts, and the bins' edges: one more.

        Raises:
            ValueError: there is none: the hook makes none (``stats=["histogram"]``), or of no tensor of that name.
        """
        self._trainer._check_thread("histogram")
        found = self._entry.tap.histograms()
        if tensor not in found:
            there = ", ".join(found) or f"none: {self._entry.label} makes none, or has seen no tensor yet"
            raise ValueError(f"no histogram of {tensor!r}; there are {there}")
        low, high, counts = found[tensor]
        return np.array(counts, dtype=np.int64), np.linspace(low, high, len(counts) + 1)

    def remove(self) -> bool:
        """Stop calling it, from the next epoch on at the latest. False if it is gone already."""
        entries = self._trainer._provider.taps.entries
        if self._entry in entries:
            entries.remove(self._entry)
        return self._trainer._remove(self._entry.number)

    def __repr__(self) -> str:
        return f"HookHandle({self._entry.label!r}, {self._entry.pattern!r}, on={self._entry.on!r})"


def add_hook(trainer: Trainer, pattern: object, hook: object, on: object, every: int) -> HookHandle:
    """Put a tensor hook to work; see :meth:`pyhooks.Trainer.add_hook`."""
    hook = _check_hook(hook)
    if not isinstance(pattern, str):
        raise TypeError(f"add_hook got {kind(pattern)} first; wanted a module's name or a glob, as 'layer1.*'")
    if not isinstance(on, str) or on not in KINDS:
        wanted = ", ".join(f"{name!r} ({what})" for name, what in KINDS.items())
        raise ValueError(f"on is {on!r}; wanted one of {wanted}")
    names = _matched(trainer, pattern, on)
    tap = _C.Tap(hook.make(), on, every, hook.label, names)
    number = trainer._dispatcher.add(tap.listener(), label=hook.label)
    entry = Entry(tap, pattern, on, every, hook.label, names, number)
    trainer._provider.taps.entries.append(entry)
    return HookHandle(trainer, entry)


def _check_hook(hook: Any) -> NativeHook:
    if isinstance(hook, NativeHook):
        return hook
    if inspect.isclass(hook) and issubclass(hook, NativeHook):
        raise TypeError(f"got the class {hook.__name__}, wanted an object of it: {hook.__name__}(...)")
    if isinstance(hook, NativeCallback | Callback):
        raise TypeError(f"{hook!r} is a callback, which sees no tensors inside the model: add it with add_callback")
    raise TypeError(
        f"add_hook got {kind(hook)}; wanted a native tensor hook: one of pyhooks.native (ActivationStats, GradStats, "
        "GradScale, GradNoise), or a C++ class of your own (pyhooks/tap.h). A Python function can look at tensors by "
        "torch's module.register_forward_hook; its tensor operations are captured, its Python runs at capture only"
    )


def _matched(trainer: Trainer, pattern: str, on: str) -> list[str]:
    step = trainer._provider.blank_step()
    modules = module_names(step.modules())
    frozen = [name for name, tensor in step.constants().items() if isinstance(tensor, nn.Parameter)]
    parameters = [*step.parameters(), *frozen]
    of_modules, of_parameters = list(matched_modules(pattern, modules).values()), matches(pattern, parameters)
    if found := of_parameters if on == "param_grad" else of_modules:
        return found
    what, names = ("parameter", parameters) if on == "param_grad" else ("module", list(modules))
    if of_parameters:
        way = "it is a parameter's: wanted on='param_grad'?"
    elif of_modules:
        way = "it is a module's: wanted on='output' or 'grad'?"
    elif near := difflib.get_close_matches(pattern, names, n=3, cutoff=0.5):
        way = f"did you mean {' or '.join(map(repr, near))}?"
    else:
        way = f"there are {', '.join(names[:_MOST_NAMES])}{', ...' if len(names) > _MOST_NAMES else ''}"
    raise ValueError(f"no {what} has a name like {pattern!r}; {way}")
