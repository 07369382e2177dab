"""What users write: a function for each kind of piece."""

from __future__ import annotations

import math
from typing import Literal

from pyhooks.schedules.pieces import Ease, OneCycle, Piece, each, half_cosine, straight
from pyhooks.schedules.shape import (
    Chained,
    Column,
    Length,
    Level,
    Shape,
    absolute,
    arguments,
    checked_level,
    shown,
    value_of,
)
from pyhooks.wording import kind


def warmup(
    share: float | None = None, *, epochs: float | None = None, steps: int | None = None, start: Level = 0.01
) -> Shape:
    """In a straight line up (or down) to the full value.

    Args:
        share: of the run, in (0, 1].
        epochs: its length in epochs instead; 0.5 is half an epoch.
        steps: or in optimizer steps. Default of the three, here and below: what other pieces leave of the run.
        start: the factor it begins at. Default: 0.01; at 0 the first step would do nothing.

    Example:
        >>> warmup(steps=4, start=0).values(steps=6).tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """
    level = checked_level("start", start)
    given = arguments(start=None if start == 0.01 else start)
    return Piece("warmup", Length(share, epochs, steps), level, 1.0, straight, given)


def constant(
    share: float | None = None, *, epochs: float | None = None, steps: int | None = None, at: Level | None = None
) -> Shape:
    """The same value all along.

    Args:
        share: of the run, in (0, 1].
        epochs: its length in epochs instead.
        steps: or in optimizer steps.
        at: the factor. Default: None, where the piece before it ended; 1 at the beginning.

    Example:
        >>> (constant(steps=2) + constant(at=0.1)).values(steps=4).tolist()
        [1.0, 1.0, 0.1, 0.1]
    """
    level = checked_level("at", at)
    return Piece("constant", Length(share, epochs, steps), level, level, straight, arguments(at=at))


def linear(
    share: float | None = None,
    *,
    epochs: float | None = None,
    steps: int | None = None,
    start: Level | None = None,
    to: Level = 0.0,
) -> Shape:
    """In a straight line.

    Args:
        share: of the run, in (0, 1].
        epochs: its length in epochs instead.
        steps: or in optimizer steps.
        start: the factor it begins at. Default: None, where the piece before it ended; 1 at the beginning.
        to: the factor it goes to. Default: 0.

    Example:
        >>> linear(to=0.2).values(steps=4).round(2).tolist()
        [1.0, 0.8, 0.6, 0.4]
    """
    return _moving("linear", Length(share, epochs, steps), start, to, straight)


def cosine(
    share: float | None = None,
    *,
    epochs: float | None = None,
    steps: int | None = None,
    start: Level | None = None,
    to: Level = 0.0,
) -> Shape:
    """Along half a cosine. Warm restarts (SGDR): ``cosine(start=1, epochs=10) * 3``.

    Args:
        share: of the run, in (0, 1].
        epochs: its length in epochs instead.
        steps: or in optimizer steps.
        start: the factor it begins at. Default: None, where the piece before it ended; 1 at the beginning.
        to: the factor it goes to. Default: 0.

    Example:
        >>> cosine(to=0.5).values(steps=4).round(3).tolist()
        [1.0, 0.927, 0.75, 0.573]
    """
    return _moving("cosine", Length(share, epochs, steps), start, to, half_cosine)


def polynomial(
    power: float = 2.0,
    *,
    share: float | None = None,
    epochs: float | None = None,
    steps: int | None = None,
    start: Level | None = None,
    to: Level = 0.0,
) -> Shape:
    """As ``(1 - t) ** power``, t going from 0 to 1.

    Args:
        power: above 0; 1 is a straight line. Default: 2.
        share: of the run, in (0, 1].
        epochs: its length in epochs instead.
        steps: or in optimizer steps.
        start: the factor it begins at. Default: None, where the piece before it ended; 1 at the beginning.
        to: the factor it goes to. Default: 0.

    Example:
        >>> polynomial(2).values(steps=4).tolist()
        [1.0, 0.5625, 0.25, 0.0625]
    """
    if not 0 < power < math.inf:
        raise ValueError(f"polynomial got power={power}; it must be above 0")

    def ease(start: float, end: float, way: Column) -> Column:
        return end + (start - end) * each(lambda left: float(left**power), 1 - way)

    return _moving("polynomial", Length(share, epochs, steps), start, to, ease, f"power={power:g}")


def exponential(
    share: float | None = None,
    *,
    epochs: float | None = None,
    steps: int | None = None,
    start: Level | None = None,
    to: Level = 0.01,
) -> Shape:
    """By the same factor each step: a straight line on a logarithmic scale.

    Args:
        share: of the run, in (0, 1].
        epochs: its length in epochs instead.
        steps: or in optimizer steps.
        start: the factor it begins at. Default: None, where the piece before it ended; 1 at the beginning.
        to: the factor it goes to, above 0. Default: 0.01.

    Example:
        >>> exponential(to=1e-4).values(steps=4).round(5).tolist()
        [1.0, 0.1, 0.01, 0.001]
    """
    for name, level in (("start", 1.0 if start is None else start), ("to", to)):
        checked_level(name, level)
        if not value_of(level, 1.0) > 0:
            raise ValueError(f"exponential got {name}={shown(level)}; it must be above 0")

    def ease(start: float, end: float, way: Column) -> Column:
        return start * each(lambda gone: float((end / start) ** gone), way) if start else 0 * way

    return _moving("exponential", Length(share, epochs, steps), start, to, ease)


def one_cycle(
    share: float | None = None,
    *,
    epochs: float | None = None,
    steps: int | None = None,
    start: Level = 1 / 25,
    to: Level = 1 / 25e4,
    warm: float = 0.3,
    curve: Literal["cosine", "linear"] = "cosine",
) -> Shape:
    """Up to the optimizer's own rate and down to almost nothing (Smith and Topin, 2018): torch's ``OneCycleLR``.

    Args:
        share: of the run, in (0, 1].
        epochs: its length in epochs instead.
        steps: or in optimizer steps.
        start: the factor it begins at, torch's ``1 / div_factor``. Default: 1/25.
        to: the factor it ends at, torch's ``1 / (div_factor * final_div_factor)``. Default: 1/250000.
        warm: the share of it that goes up, torch's ``pct_start``. Default: 0.3.
        curve: "cosine" (default) or "linear".

    Example:
        >>> one_cycle(warm=0.5, start=0, to=0, curve="linear").values(steps=7).round(2).tolist()
        [0.0, 0.4, 0.8, 0.86, 0.57, 0.29, 0.0]
    """
    return _cycle("one_cycle", Length(share, epochs, steps), (start, 1.0, to), warm, curve)


def one_cycle_momentum(
    share: float | None = None,
    *,
    epochs: float | None = None,
    steps: int | None = None,
    high: float = 0.95,
    low: float = 0.85,
    warm: float = 0.3,
    curve: Literal["cosine", "linear"] = "cosine",
) -> Shape:
    """Momentum (or beta1) against :func:`one_cycle`: low where the rate is high, as ``OneCycleLR`` cycles it.

    Args:
        share: of the run, in (0, 1].
        epochs: its length in epochs instead.
        steps: or in optimizer steps.
        high: the value itself at both ends. Default: 0.95.
        low: the value itself at the rate's peak. Default: 0.85.
        warm: as :func:`one_cycle`'s.
        curve: as :func:`one_cycle`'s.

    Example:
        >>> one_cycle_momentum(warm=0.5).values(steps=5)[[0, -1]].tolist()
        [0.95, 0.95]
    """
    levels = (absolute(high), absolute(low), absolute(high))
    return _cycle("one_cycle_momentum", Length(share, epochs, steps), levels, warm, curve)


def chained(*shapes: Shape) -> Shape:
    """Several at once: their factors multiply, as torch's ``ChainedScheduler``.

    Args:
        shapes: each from the beginning on.

    Raises:
        ValueError: none, or one with absolute values.

    Example:
        >>> chained(warmup(steps=2, start=0.5) + constant(), linear()).values(steps=4).tolist()
        [0.5, 0.5625, 0.5, 0.25]
    """
    if not shapes:
        raise ValueError("chained got no schedule; wanted at least one")
    for shape in shapes:
        if not isinstance(shape, Shape):
            raise TypeError(f"chained got {kind(shape)}; wanted schedules, as chained(warmup(0.1), cosine())")
        if not shape.relative:
            raise ValueError(f"chained multiplies factors, and {shape} has an absolute value")
    return Chained(shapes)


def _moving(name: str, span: Length, start: Level | None, to: Level, ease: Ease, first: str = "") -> Shape:
    checked = checked_level("start", start), checked_level("to", to)
    given = ", ".join(part for part in (first, arguments(start=start, to=to if to else None)) if part)
    return Piece(name, span, *checked, ease, given)


def _cycle(name: str, span: Length, levels: tuple[Level, Level, Level], warm: float, curve: str) -> Shape:
    if not 0 < warm < 1:
        raise ValueError(f"{name} got warm={warm}; wanted a share of its length, above 0 and below 1")
    if curve not in ("cosine", "linear"):
        raise ValueError(f'{name} got curve={curve!r}; wanted "cosine" or "linear"')
    ease = half_cosine if curve == "cosine" else straight
    for level in levels:
        checked_level(name, level)
    return OneCycle(name, span, levels, warm, ease, "" if warm == 0.3 else f"warm={warm:g}")
