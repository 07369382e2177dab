"""What do callbacks cost that go through all weights or gradients?

Timed by a C++ program (cpp/bench_weights.cpp) for a ResNet-18's 62 parameters, each beside the one operation of torch
that it cannot do without.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest

from benchmarks.bench_dispatch import BUILD, ROUNDS, output_of
from benchmarks.figures import Target, clock, replayed, report


@functools.cache
def measured() -> dict[str, list[float]]:
    return output_of(BUILD / "pyhooks_bench_weights", str(ROUNDS))


@replayed
@pytest.mark.parametrize(
    ("key", "operation", "name"),
    [
        ("ema", "lerp", "EMA of a ResNet-18, with its buffers"),
        ("grad_norm", "norm", "GradNorm of a ResNet-18"),
    ],
    ids=["ema", "grad_norm"],
)
def test_beside_one_operation(benchmark: Any, key: str, operation: str, name: str) -> None:
    samples = {"pyhooks": measured()[key], f"_foreach_{operation}": measured()[operation]}
    clock.replay(benchmark, [1e-3 * value for value in samples["pyhooks"]])
    report(benchmark, name, "ms", samples, Target(1.1))
