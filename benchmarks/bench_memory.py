"""How much memory does training take, and does it grow?

Each training runs in a process of its own: memory_program.py.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.environment import ROOT
from benchmarks.figures import Target, in_turns, report

MB = 1 << 20


def measured(what: str) -> dict[str, float]:
    """Run the program; returns megabytes by name."""
    command = [sys.executable, "-m", "benchmarks.memory_program", what]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return {name: size / MB for name, size in json.loads(done.stdout).items()}


@functools.cache
def resnet() -> dict[str, list[dict[str, float]]]:
    return in_turns({name: functools.partial(measured, name) for name in ("pyhooks", "eager")}, rounds=3)


@pytest.mark.parametrize(
    ("part", "name", "target"),
    [
        ("steps", "ResNet-18: peak of training steps", Target(1.1)),
        ("whole", "ResNet-18: peak of the whole process, verification included", None),
    ],
    ids=["steps", "whole"],
)
def test_peak(benchmark: Any, part: str, name: str, target: Target | None) -> None:
    peaks = benchmark.pedantic(resnet)
    samples = {contestant: [peak[part] for peak in rounds] for contestant, rounds in peaks.items()}
    report(benchmark, name, "MB", samples, target)


def test_growth(benchmark: Any) -> None:
    grown = benchmark.pedantic(measured, args=("tiny",))
    report(
        benchmark,
        "a million tiny steps: growth, their history included",
        "MB",
        {"pyhooks": [grown["growth"]]},
        Target(5, ratio=False),
    )
