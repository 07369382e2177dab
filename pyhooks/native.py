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
        >>> NativeCallback("nan_guard").events
        ['on_train_batch_end']
    """

    def __init__(self, name: str, /, **options: OptionValue) -> None:
        self.name = name
        self.options = {key: _plain(name, key, value) for key, value in options.items()}
        self.events: list[str] = self.make().events

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


class NaNGuard(_BuiltIn):
    """Stops training when a batch's loss is not finite; ``trainer.stop_reason`` names the batch.

    Example:
        >>> NaNGuard()
        NaNGuard()
    """

    registry_name = "nan_guard"

    def __init__(self) -> None:
        super().__init__(self.registry_name)


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
    """The registered native callbacks: name to what it does.

    Example:
        >>> available()["nan_guard"]
        "Stops training when a batch's loss is not finite, naming the batch."
    """
    return {name: what for name, what, _ in _C.native_callbacks()}


from pyhooks.hooks import (  # noqa: E402  (they take their options as callbacks do)
    ActivationStats as ActivationStats,
    GradNoise as GradNoise,
    GradScale as GradScale,
    GradStats as GradStats,
    NativeHook as NativeHook,
    available_hooks as available_hooks,
)
