"""From measured samples to a row of the table and a verdict.

A figure has samples of several contestants, one a round each, measured in turns so that a busy machine slows all of
them. The first contestant is judged; the second is what it is compared with.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

Samples = Mapping[str, Sequence[float]]


@dataclasses.dataclass(frozen=True)
class Target:
    """What a figure has to reach.

    Args:
        bound: the number.
        ratio: whether it bounds the ratio of the first contestant to the second, not the first one's own value.
        at_least: whether higher is better.
        noise: how far beyond the bound a figure may lie, relative: where "no worse" is wanted of two equals.
    """

    bound: float
    ratio: bool = True
    at_least: bool = False
    noise: float = 0.0

    def holds(self, figure: float) -> bool:
        """Whether the figure reaches it."""
        if self.at_least:
            return figure >= self.bound * (1 - self.noise)
        return figure <= self.bound * (1 + self.noise)

    def text(self, unit: str, compared: str) -> str:
        """As "<= 0.25 x eager" or "<= 10 ns"."""
        sign = ">=" if self.at_least else "<="
        slack = f" (noise {self.noise:.0%})" if self.noise else ""
        return f"{sign} {self.bound:g} {f'x {compared}' if self.ratio else unit}{slack}"


def in_turns(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Let the contestants measure themselves, one after the other, `rounds` times."""
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, measure in contestants.items():
            samples[name].append(measure())
    return samples


def report(benchmark: Any, name: str, unit: str, samples: Samples, target: Target | None = None) -> None:
    """Note a figure in pytest-benchmark's JSON (``extra_info``), and fail the test if it misses its target.

    Args:
        benchmark: pytest-benchmark's fixture, after its run.
        name: of the figure, for people.
        unit: of the samples.
        samples: contestant to one value a round, in the same order for all.
        target: what it has to reach; None: it stands there for comparison.
    """
    judged, *others = samples
    medians = {contestant: statistics.median(values) for contestant, values in samples.items()}
    row = {"name": name, "unit": unit, "medians": medians, "rounds": {key: list(v) for key, v in samples.items()}}
    if others:
        ratios = [a / b for a, b in zip(samples[judged], samples[others[0]], strict=True)]
        row |= {"ratio": medians[judged] / medians[others[0]], "ratio_range": [min(ratios), max(ratios)]}
    row["range"] = [min(samples[judged]), max(samples[judged])]
    if target is None:
        benchmark.extra_info.update(row, target="", ok=None)
        return
    figure = row["ratio"] if target.ratio else medians[judged]
    wanted = target.text(unit, others[0] if others else "")
    row |= {"target": wanted, "ok": target.holds(figure), "bounds": "ratio" if target.ratio else "value"}
    benchmark.extra_info.update(row)
    if not row["ok"]:
        shown = ", ".join(f"{key} {value:.4g} {unit}" for key, value in medians.items())
        pytest.fail(f"{name}: measured {figure:.4g}, wanted {wanted} ({shown})", pytrace=False)


class Clock:
    """A clock that moves only when told: pytest-benchmark's timer for samples that are measured already."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def replay(self, benchmark: Any, seconds: Sequence[float]) -> None:
        """Run a benchmark whose rounds take that long."""
        self.now = 0.0
        left = iter(seconds)
        benchmark.pedantic(self._advance, args=(left,), rounds=len(seconds))

    def _advance(self, left: Any) -> None:
        self.now += next(left)


clock = Clock()
replayed = pytest.mark.benchmark(timer=clock)
