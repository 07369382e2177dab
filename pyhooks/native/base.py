"""What all native callbacks are made of."""

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
        ValueError: no such callback, options it does not take, or an int of more than 64 bits.

    Example:
        >>> NativeCallback("loss_meter").events
        ['on_train_start', 'on_train_batch_end']
    """

    def __init__(self, name: str, /, **options: OptionValue) -> None:
        self.name = name
        self.options = {key: plain_option(name, key, value) for key, value in options.items()}
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


class BuiltIn(NativeCallback):
    """Base of the built-in ones, whose name in the registry the class knows."""

    registry_name: ClassVar[str]


def plain_option(name: str, key: str, value: object) -> OptionValue:
    """The value of an option as C++ takes it; NumPy's numbers become Python's.

    Raises:
        TypeError: it is no bool, int, float, str or None.
        ValueError: it is an int that 64 bits cannot hold.
    """
    if value is None or isinstance(value, bool | float | str):
        return value
    if isinstance(value, numbers.Integral):  # NumPy's too
        number = int(value)
        if not -(2**63) <= number < 2**63:
            raise ValueError(
                f"{name}: option {key!r} was given an int that is too large for 64 bits; an int is from -2**63 to "
                "2**63 - 1, a float may be larger: 1e30"
            )
        return number
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
