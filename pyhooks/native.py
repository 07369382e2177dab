"""Native callbacks: C++ that runs on every batch, without Python and without the GIL.

An object here is a recipe, a name and options, checked when it is made; each trainer it is added to makes its own C++
object. The same object can be added to several trainers.
"""

from __future__ import annotations

import numbers
from typing import ClassVar

from pyhooks import _C

OptionValue = bool | int | float | str | None


class NativeCallback:
    """A native callback by its registered name.

    Args:
        name: as the C++ class is registered, say "grad_clip".
        options: what the class declares; see :func:`available`.

    Raises:
        TypeError: an option that is no plain value.
        ValueError: no such callback, or options it does not take.

    Example:
        >>> NativeCallback("loss_meter").events
        ['on_train_start', 'on_train_batch_end']
    """

    def __init__(self, name: str, /, **options: OptionValue) -> None:
        self.name = name
        self.options = {key: _plain(name, key, value) for key, value in options.items()}
        self.events: list[str] = self.make().events

    @property
    def label(self) -> str:
        """What it is called in messages and reports."""
        return self.name if type(self) is NativeCallback else type(self).__name__

    def make(self) -> _C.Listener:
        """Make the C++ object."""
        return _C.make_callback(self.name, self.options)

    def __repr__(self) -> str:
        given = ", ".join(f"{key}={value!r}" for key, value in self.options.items() if value is not None)
        return f"{type(self).__name__}({given})"


class _BuiltIn(NativeCallback):
    registry_name: ClassVar[str]


class GradClip(_BuiltIn):
    """Clips gradients in place before each optimizer step.

    Args:
        max_norm: largest total 2-norm, as ``torch.nn.utils.clip_grad_norm_``. Default: None, no limit.
        max_value: largest absolute value, as ``torch.nn.utils.clip_grad_value_``. Default: None, no limit.

    Raises:
        ValueError: neither is given, or one is not above 0.

    Example:
        >>> GradClip(max_norm=1.0)
        GradClip(max_norm=1.0)
    """

    registry_name = "grad_clip"

    def __init__(self, max_norm: float | None = None, max_value: float | None = None) -> None:
        super().__init__(self.registry_name, max_norm=max_norm, max_value=max_value)


class LossMeter(_BuiltIn):
    """Logs an exponential moving average of the loss for every batch.

    It appears as a column of ``trainer.history.batch`` and, averaged over the epoch, in ``trainer.metrics``.

    Args:
        decay: how much of the average each batch keeps, in [0, 1). Default: 0.98.
        name: of the column and the metric. Default: "loss_ema".

    Raises:
        ValueError: the decay is out of range.

    Example:
        >>> LossMeter(decay=0.9)
        LossMeter(decay=0.9, name='loss_ema')
    """

    registry_name = "loss_meter"

    def __init__(self, decay: float = 0.98, name: str = "loss_ema") -> None:
        super().__init__(self.registry_name, decay=decay, name=name)


def _plain(name: str, key: str, value: object) -> OptionValue:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, numbers.Integral):  # of numpy, say
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    raise TypeError(f"{name}: option {key!r} is a {type(value).__name__}; wanted a bool, int, float, str or None")


def available() -> dict[str, str]:
    """The registered native callbacks, those of loaded plugins too: name to what it does.

    Example:
        >>> available()["loss_meter"]
        'Logs a moving average of the loss for every batch.'
    """
    return {native.name: native.help for native in _C.native_classes("callback")}


# Last: they are made of the classes above.
from pyhooks.native_averages import *  # noqa: E402, F403
from pyhooks.native_gradients import *  # noqa: E402, F403
from pyhooks.native_guards import *  # noqa: E402, F403
