"""Checks of what callbacks are made with: each error names the callback, what came and what was wanted."""

from __future__ import annotations

import math
import numbers
import os
from pathlib import Path


def whole(who: str, name: str, value: object, least: int) -> int:
    """A whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise _wrong(who, name, value, f"a whole number of at least {least}", numbers.Real)
    return int(value)


def whole_or_none(who: str, name: str, value: object, least: int) -> int | None:
    """A whole number of at least ``least``, or None."""
    return None if value is None else whole(who, name, value, least)


def number(who: str, name: str, value: object, above: float | None = None) -> float:
    """A finite number, ``above`` or not below it: at least ``above``."""
    wanted = "a finite number" if above is None else f"a number of at least {above:g}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _wrong(who, name, value, wanted, numbers.Real)
    if not math.isfinite(value) or (above is not None and value < above):
        raise _wrong(who, name, value, wanted, numbers.Real)
    return float(value)


def number_or_none(who: str, name: str, value: object, above: float | None = None) -> float | None:
    """A finite number, or None."""
    return None if value is None else number(who, name, value, above)


def flag(who: str, name: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise _wrong(who, name, value, "True or False")
    return value


def choice(who: str, name: str, value: object, words: tuple[str, ...]) -> str:
    """One of some words."""
    if value not in words or not isinstance(value, str):
        raise _wrong(who, name, value, f"one of {', '.join(map(repr, words))}", str)
    return value


def path_or_none(who: str, name: str, value: object) -> Path | None:
    """A path, or None."""
    if value is not None and not isinstance(value, str | os.PathLike):
        raise _wrong(who, name, value, "a path, or None")
    return None if value is None else Path(value)


def _wrong(who: str, name: str, value: object, wanted: str, right_kind: type | None = None) -> Exception:
    """A ValueError where only the value is wrong, else a TypeError."""
    only_value = right_kind is not None and isinstance(value, right_kind) and not isinstance(value, bool)
    return (ValueError if only_value else TypeError)(f"{who} got {name}={value!r}, wanted {wanted}")
