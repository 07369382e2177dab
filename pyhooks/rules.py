"""How a callback is registered: when it is called, in which order, and what happens when it fails or costs too much."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

from pyhooks import checking

ON_ERROR = ("raise", "warn", "disable")


class Rules:
    """The keyword arguments of ``add_callback``, checked.

    Args:
        every: call it at every n-th occurrence.
        once: remove it after its first call.
        after: skip that many occurrences.
        before: stop before this occurrence; None: never.
        between: the first and the last occurrence, both included, in place of ``after`` and ``before``.
        seconds: at most one call in so many seconds; None: no limit.
        samples: one call each time that many training rows have come; None: no limit.
        priority: within a phase, higher ones are called first.
        on_error: "raise", "warn" or "disable".
        budget: the most a native callback may cost at batch events, as "1%" or 0.01; None: no limit.
        id: names its state in checkpoints; None: its class, numbered where there are several.

    Raises:
        TypeError: a value of the wrong kind.
        ValueError: a value out of range, or values that let no call through.

    Example:
        >>> Rules(between=(3, 5)).filter["before"]
        6
    """

    def __init__(
        self,
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
    ) -> None:
        if between is not None:
            after, before = _bounds(between, after, before)
        checking.filters(every, once, after, before)
        checking.integers(priority=priority)
        if samples is not None:
            checking.at_least(1, samples=samples)
        self.filter: dict[str, Any] = {
            "every": int(every),
            "once": bool(once),
            "after": int(after),
            "before": before,
            "seconds": 0.0 if seconds is None else _seconds(seconds),
            "samples": 0 if samples is None else int(samples),
        }
        self.manner: dict[str, Any] = {
            "priority": int(priority),
            "on_error": _policy(on_error),
            "budget": 0.0 if budget is None else share(budget),
            "key": "" if id is None else _key(id),
        }


def share(budget: object) -> float:
    """A share of the time, from "1%", "0.5 %" or 0.01.

    Raises:
        TypeError: neither a string nor a number.
        ValueError: not above 0 and below 100 %.

    Example:
        >>> share("2%")
        0.02
    """
    wanted = f'budget is {budget!r}; wanted a share of the training time, as "1%" or 0.01'
    if isinstance(budget, bool) or not isinstance(budget, str | numbers.Real):
        raise TypeError(wanted)
    try:
        value = float(budget.strip().removesuffix("%")) / 100 if isinstance(budget, str) else float(budget)
    except ValueError:
        value = math.nan
    if (isinstance(budget, str) and not budget.strip().endswith("%")) or not 0 < value < 1:
        raise ValueError(wanted)
    return value


def _bounds(between: object, after: int, before: int | None) -> tuple[int, int]:
    if after != 0 or before is not None:
        raise ValueError("between names the first and the last occurrence: leave after and before out")
    if not isinstance(between, Sequence) or isinstance(between, str) or len(between) != 2:
        raise TypeError(f"between is {between!r}; wanted the first and the last occurrence, as (10, 20)")
    first, last = between
    checking.at_least(1, between=first)
    checking.at_least(int(first), between=last)
    return int(first) - 1, int(last) + 1


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"seconds is {value!r}; wanted a number of seconds above 0")
    if not 0 < float(value) < math.inf:
        raise ValueError(f"seconds is {value}; it must be above 0")
    return float(value)


def _policy(value: object) -> str:
    if value not in ON_ERROR:
        raise ValueError(f"on_error is {value!r}; wanted one of {', '.join(map(repr, ON_ERROR))}")
    return str(value)


def _key(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"id is {value!r}; wanted a name for the callback's state in checkpoints")
    return value
