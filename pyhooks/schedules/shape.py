"""What a schedule is made of: levels, lengths, and shapes that can be put together."""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pyhooks.wording import kind

Column = npt.NDArray[np.float64]
Curve = Callable[[Column], Column]
"""From steps, counted from the piece's beginning, to the values there."""


@dataclasses.dataclass(frozen=True)
class absolute:
    """A value itself instead of a factor: ``cosine(to=absolute(1e-5))``. The same for all parameter groups.

    Args:
        value: any number.
    """

    value: float

    def __repr__(self) -> str:
        return f"absolute({self.value:g})"


Level = float | absolute


@dataclasses.dataclass(frozen=True)
class Run:
    """How long a run is.

    Args:
        steps: optimizer steps in all, or epochs where a schedule moves once an epoch.
        per_epoch: of them in an epoch.
    """

    steps: int
    per_epoch: int


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a piece is: at most one of a share of the run, epochs, or steps."""

    share: float | None = None
    epochs: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if value is not None}
        if len(given) > 1:
            raise ValueError(f"a piece of a schedule got {given}; wanted one of share, epochs and steps, or none")
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, numbers.Real):
                raise TypeError(f"{name} is {kind(value)}; wanted a number")
            if not 0 < float(value) < math.inf:
                raise ValueError(f"{name} is {value}; it must be above 0")
        if self.share is not None and self.share > 1:
            raise ValueError(f"share is {self.share}, of the run: at most 1; for epochs write epochs={self.share}")

    def of(self, run: Run) -> int | None:
        """In steps of that run; None: not said."""
        if self.share is not None:
            return round(self.share * run.steps)
        if self.epochs is not None:
            return round(self.epochs * run.per_epoch)
        return self.steps

    def __repr__(self) -> str:
        if self.share is not None:
            return f"{self.share:g}"
        return "".join(f"{name}={value:g}" for name, value in vars(self).items() if value is not None)


class Shape:
    """How a value moves in the course of a run: what :func:`cosine`, :func:`warmup` and the others return.

    ``a + b`` is one after the other, ``a * 3`` three times a.

    Example:
        >>> from pyhooks.schedules import linear, warmup
        >>> shape = warmup(steps=2, start=0.5) + linear()
        >>> shape
        warmup(steps=2, start=0.5) + linear()
        >>> shape.values(epochs=1, steps=6, base=0.1).round(3).tolist()
        [0.05, 0.075, 0.1, 0.075, 0.05, 0.025]
    """

    def __add__(self, other: Shape) -> Shape:
        if not isinstance(other, Shape):
            return NotImplemented
        return Joined([*self.pieces, *other.pieces])

    def __mul__(self, times: int) -> Shape:
        if isinstance(times, bool) or not isinstance(times, int) or times < 1:
            raise ValueError(f"a schedule can be repeated 1, 2, 3, ... times, got {times!r}")
        return Joined(self.pieces * times)

    @property
    def pieces(self) -> list[Shape]:
        """What follows one after the other."""
        return [self]

    def values(self, epochs: int = 1, steps: int = 100, base: float = 1.0) -> Column:
        """The values of a run, to look at or to plot.

        Args:
            epochs: of the run. Default: 1.
            steps: optimizer steps an epoch. Default: 100.
            base: what factors are of. Default: 1.

        Returns:
            float64 ``[epochs * steps]``.
        """
        run = Run(epochs * steps, steps)
        return self.over(run, base)(np.arange(run.steps, dtype=np.float64))

    def over(self, run: Run, base: float) -> Curve:
        """The values of a whole run; past the last piece the last value stays."""
        return Joined(self.pieces).curve(run, run.steps, base, base)

    def length(self, run: Run) -> int | None:
        """Steps it takes; None: what is left."""
        raise NotImplementedError

    def curve(self, run: Run, length: float, base: float, first: float) -> Curve:
        """The values.

        Args:
            run: in which.
            length: steps it takes.
            base: what factors are of.
            first: where it begins, if it does not say.
        """
        raise NotImplementedError

    @property
    def relative(self) -> bool:
        """Whether all its values are factors."""
        return all(piece.relative for piece in self.pieces)


class Joined(Shape):
    """One after the other; those that do not say how long they take share what is left."""

    def __init__(self, pieces: list[Shape]) -> None:
        self._pieces = pieces

    @property
    def pieces(self) -> list[Shape]:
        """What follows one after the other."""
        return self._pieces

    def length(self, run: Run) -> int | None:
        """Steps it takes; None: what is left."""
        lengths = [piece.length(run) for piece in self._pieces]
        known = [length for length in lengths if length is not None]
        return sum(known) if len(known) == len(lengths) else None

    def curve(self, run: Run, length: float, base: float, first: float) -> Curve:
        """The values."""
        curves, begins = [], [0.0]
        for piece, steps in zip(self._pieces, self._lengths(run, length), strict=True):
            curves.append(piece.curve(run, steps, base, first))
            first = float(curves[-1](np.array([float(steps)]))[0])
            begins.append(begins[-1] + steps)

        def at(steps: Column) -> Column:
            values = np.empty(len(steps))
            which = np.searchsorted(begins[:-1], steps, side="right") - 1
            for i, curve in enumerate(curves):
                mine = which == i
                values[mine] = curve(steps[mine] - begins[i])
            return values

        return at

    def _lengths(self, run: Run, length: float) -> list[float]:
        lengths = [piece.length(run) for piece in self._pieces]
        rest = length - sum(steps for steps in lengths if steps is not None)
        open_ended = lengths.count(None)
        if open_ended and rest <= 0:
            raise ValueError(
                f"nothing of the run is left for {self._pieces[lengths.index(None)]} in {self}: the other pieces take "
                f"{length - rest:g} steps, the run has {length:g}"
            )
        return [rest / open_ended if steps is None else steps for steps in lengths]

    def __repr__(self) -> str:
        return " + ".join(map(repr, self._pieces))


class Chained(Shape):
    """Several at once: their factors multiply."""

    def __init__(self, shapes: tuple[Shape, ...]) -> None:
        self._shapes = shapes

    def length(self, run: Run) -> int | None:
        """Steps it takes; None: what is left."""
        lengths = [shape.length(run) for shape in self._shapes]
        known = [length for length in lengths if length is not None]
        return max(known) if len(known) == len(lengths) else None

    def curve(self, run: Run, length: float, base: float, first: float) -> Curve:
        """The values."""
        curves = [shape.curve(run, shape.length(run) or length, 1.0, 1.0) for shape in self._shapes]
        return lambda steps: base * functools.reduce(np.multiply, [curve(steps) for curve in curves])

    def __repr__(self) -> str:
        return f"chained({', '.join(map(repr, self._shapes))})"


def value_of(level: Level, base: float) -> float:
    """The value itself."""
    return float(level.value) if isinstance(level, absolute) else base * level


def checked_level(name: str, level: Level | None) -> Level | None:
    """Refuse what is no finite number."""
    number: object = level.value if isinstance(level, absolute) else level
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, numbers.Real):
        raise TypeError(f"{name} is {kind(number)}; wanted a factor, or absolute(value)")
    if not math.isfinite(float(number)):
        raise ValueError(f"{name} is {number}; wanted a finite factor, or absolute(value)")
    return level


def shown(level: Level) -> str:
    """As the user writes it."""
    return repr(level) if isinstance(level, absolute) else f"{level:g}"


def arguments(**levels: Level | None) -> str:
    """Those that are given, as the user writes them."""
    return ", ".join(f"{name}={shown(level)}" for name, level in levels.items() if level is not None)
