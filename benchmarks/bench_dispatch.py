"""What does an event cost?

Native events are timed by a C++ program against the core, calls into Python by a module of the benchmarks' own. Both
are in cpp/; the CMake target pyhooks_bench puts them into $PYHOOKS_BENCH_BUILD (build/dev if unset).
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.environment import ROOT
from benchmarks.figures import Samples, Target, clock, replayed, report

BUILD = ROOT / os.environ.get("PYHOOKS_BENCH_BUILD", "build/dev")
ROUNDS = 9


def output_of(*command: str | Path) -> dict[str, list[float]]:
    """Run a program that prints JSON."""
    if not (BUILD / "pyhooks_bench").exists():
        pytest.fail(f"{BUILD}/pyhooks_bench is not there: run `make bench`, which builds it first", pytrace=False)
    done = subprocess.run([str(part) for part in command], cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@functools.cache
def native() -> dict[str, list[float]]:
    return output_of(BUILD / "pyhooks_bench", str(ROUNDS))


@functools.cache
def python() -> dict[str, list[float]]:
    return output_of(sys.executable, "-m", "benchmarks.python_calls", BUILD, str(ROUNDS))


def show(benchmark: Any, name: str, samples: Samples, target: Target | None = None) -> None:
    """Report nanoseconds."""
    clock.replay(benchmark, [1e-9 * value for value in samples["pyhooks"]])
    report(benchmark, name, "ns", samples, target)


@replayed
@pytest.mark.parametrize(
    ("key", "name", "bound"),
    [
        ("nobody", "batch event, nobody listening", 2),
        ("one", "batch event, one native callback", 10),
        ("looking", "batch event, a callback that reads epoch and batch", 10),
        ("filtered", "batch event, a callback with every=10", 10),
        ("eight", "batch event, each of eight native callbacks", 10),
    ],
    ids=["nobody", "one", "looking", "filtered", "eight"],
)
def test_native(benchmark: Any, key: str, name: str, bound: float) -> None:
    show(benchmark, name, {"pyhooks": native()[key]}, Target(bound, ratio=False))


@replayed
def test_python_epoch_callback(benchmark: Any) -> None:
    samples = {"pyhooks": python()["adapter"], "bare call": python()["bare"]}
    show(benchmark, "epoch event, one Python function", samples, Target(2))


@replayed
@pytest.mark.parametrize("key", ["quiet", "busy"])
def test_python_at_every_batch(benchmark: Any, key: str) -> None:
    """What pyhooks refuses: a Python no-op at every batch."""
    samples = {"pyhooks": native()["one"], "Python no-op": python()[key]}
    show(benchmark, "a no-op at every batch" + (", another Python thread busy" if key == "busy" else ""), samples)
