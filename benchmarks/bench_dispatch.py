"""What does an event cost?

Native events are timed by C++ programs against the core, calls into Python by a module of the benchmarks' own; all are
in cpp/.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import pytest

from benchmarks.figures import Samples, Target, clock, replayed, report
from benchmarks.programs import BUILD, output_of, program

ROUNDS = 9


# The ways to listen natively (cpp/kinds.h): how many nanoseconds a callback may take above an empty virtual call.
KINDS = {"native class": 5.0, "ten native classes": 5.0, "C entry": 10.0, "numba": 10.0, "trigger": 60.0}


@functools.cache
def native() -> dict[str, list[float]]:
    return output_of(program("pyhooks_bench_dispatch"), ROUNDS)


@functools.cache
def kinds() -> dict[str, list[float]]:
    numba = {key: rounds for key, rounds in python().items() if key.startswith("numba")}
    return output_of(program("pyhooks_bench_kinds"), ROUNDS) | numba


@functools.cache
def python() -> dict[str, list[float]]:
    program("pyhooks_bench_dispatch")  # built together with the module that is loaded
    return output_of(sys.executable, "-m", "benchmarks.python_calls", BUILD, ROUNDS)


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
@pytest.mark.parametrize("n", [0, 1, 10, 100])
def test_kinds(benchmark: Any, n: int) -> None:
    """The kinds side by side."""
    samples = {kind: kinds()[f"{kind} event {n}"] for kind in KINDS if f"{kind} event {n}" in kinds()}
    clock.replay(benchmark, [1e-9 * value for value in samples["native class"]])
    report(benchmark, f"batch event, {n} no-op callbacks", "ns", samples)


@replayed
@pytest.mark.parametrize("kind", KINDS)
def test_above_a_virtual_call(benchmark: Any, kind: str) -> None:
    """What the dispatcher, its accounting and the kind itself add to a call of an empty virtual function."""
    if f"{kind} event 10" not in kinds():
        pytest.skip(f"{kind} is not installed")
    pairs = zip(kinds()[f"{kind} event 10"], kinds()["virtual calls 10"], strict=True)
    above = [(event - calls) / 10 for event, calls in pairs]
    name = f"each of 10 callbacks, above an empty virtual call: {kind}"
    show(benchmark, name, {"pyhooks": above}, Target(KINDS[kind], ratio=False))


@replayed
def test_accounting(benchmark: Any) -> None:
    """A whole call is the bound of what counting and timing it takes."""
    each = [event / 10 for event in kinds()["native class event 10"]]
    name = "each of 10 native callbacks, its accounting included"
    show(benchmark, name, {"pyhooks": each}, Target(15, ratio=False))


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


@replayed
def test_beside_a_busy_thread(benchmark: Any) -> None:
    """The time a batch spends in its ten callbacks while another Python thread computes."""
    samples = {"pyhooks": python()["native p99"], "Python list": python()["python p99"]}
    name = "10 no-ops at every batch, 99th percentile, another Python thread busy"
    show(benchmark, name, samples, Target(2000, ratio=False))
