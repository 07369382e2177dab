"""The pieces: from one level to another, and the two phases of one cycle."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from pyhooks.schedules.shape import Curve, Length, Level, Run, Shape, absolute, value_of

Ease = Callable[[float, float, float], float]
"""From start, end and the way gone between them, above 0 and below 1, to the value."""


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

        def at(step: float) -> float:
            way = step / length if length else 1.0
            return start if way <= 0 else end if way >= 1 else self.ease(start, end, way)

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

        def at(step: float) -> float:
            if step <= turn:
                return self.ease(start, peak, step / turn if turn else 1.0)
            return self.ease(peak, end, min(1.0, (step - turn) / (last - turn)))

        return at

    @property
    def relative(self) -> bool:
        """Whether all its values are factors."""
        return not any(isinstance(level, absolute) for level in self.levels)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(part for part in (repr(self.span), self.shown) if part)})"


def straight(start: float, end: float, way: float) -> float:
    """In a line."""
    return start + (end - start) * way


def half_cosine(start: float, end: float, way: float) -> float:
    """Slow at both ends."""
    return end + (start - end) / 2.0 * (math.cos(math.pi * way) + 1)
