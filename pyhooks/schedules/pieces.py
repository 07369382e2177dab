"""The pieces: from one level to another, and the two phases of one cycle."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from pyhooks.schedules.shape import Column, Curve, Length, Level, Run, Shape, absolute, value_of

Ease = Callable[[float, float, Column], Column]
"""From start, end and the ways gone between them, from 0 to 1, to the values."""


@dataclasses.dataclass(frozen=True, repr=False)
class Piece(Shape):
    """From one level to another."""

    name: str
    span: Length
    start: Level | None
    to: Level | None
    ease: Ease
    shown: str

    def length(self, run: Run) -> int | None:
        """Steps it takes; None: what is left."""
        return self.span.of(run)

    def curve(self, run: Run, length: float, base: float, first: float) -> Curve:
        """The values."""
        start = first if self.start is None else value_of(self.start, base)
        end = start if self.to is None else value_of(self.to, base)

        def at(steps: Column) -> Column:
            way = np.clip(steps / length, 0, 1) if length else np.ones(len(steps))
            values = self.ease(start, end, way)
            values[way == 0] = start
            values[way == 1] = end
            return values

        return at

    @property
    def relative(self) -> bool:
        """Whether all its values are factors."""
        return not isinstance(self.start, absolute) and not isinstance(self.to, absolute)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(part for part in (repr(self.span), self.shown) if part)})"


@dataclasses.dataclass(frozen=True, repr=False)
class OneCycle(Shape):
    """Up, then down: the two phases of torch's ``OneCycleLR``, whose last step has the last value."""

    name: str
    span: Length
    levels: tuple[Level, Level, Level]
    warm: float
    ease: Ease
    shown: str

    def length(self, run: Run) -> int | None:
        """Steps it takes; None: what is left."""
        return self.span.of(run)

    def curve(self, run: Run, length: float, base: float, first: float) -> Curve:
        """The values."""
        start, peak, end = (value_of(level, base) for level in self.levels)
        turn, last = self.warm * length - 1, length - 1

        def at(steps: Column) -> Column:
            up = np.clip(steps / turn, 0, 1) if turn > 0 else np.ones(len(steps))
            down = np.clip((steps - turn) / (last - turn), 0, 1)
            return np.where(steps <= turn, self.ease(start, peak, up), self.ease(peak, end, down))

        return at

    @property
    def relative(self) -> bool:
        """Whether all its values are factors."""
        return not any(isinstance(level, absolute) for level in self.levels)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(part for part in (repr(self.span), self.shown) if part)})"


def straight(start: float, end: float, way: Column) -> Column:
    """In a line."""
    return start + (end - start) * way


def half_cosine(start: float, end: float, way: Column) -> Column:
    """Slow at both ends."""
    return end + (start - end) / 2.0 * (each(math.cos, math.pi * way) + 1)


def each(function: Callable[[float], float], values: Column) -> Column:
    """One by one: NumPy's own functions may round otherwise, from CPU to CPU and from place to place in an array."""
    return np.array([function(value) for value in values.tolist()], dtype=np.float64)
