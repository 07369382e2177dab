"""What do the built-in callbacks cost that look at every parameter?

They run in a loop around no model, on tensors shaped as a ResNet-18's, beside the one torch call that they cannot do
without.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest

from benchmarks.figures import Target, clock, replayed, report
from benchmarks.programs import output_of, program

ROUNDS = 9


@functools.cache
def measured() -> dict[str, list[float]]:
    """Milliseconds a batch."""
    nanoseconds = output_of(program("pyhooks_bench_builtins"), ROUNDS)
    return {name: [1e-6 * value for value in values] for name, values in nanoseconds.items()}


@replayed
@pytest.mark.parametrize(
    ("callback", "call", "name"),
    [
        ("ema", "_foreach_lerp_", "EMA of a ResNet-18"),
        ("grad_norm", "_foreach_norm", "GradNorm of a ResNet-18"),
    ],
    ids=["ema", "grad_norm"],
)
def test_every_parameter(benchmark: Any, callback: str, call: str, name: str) -> None:
    samples = {"pyhooks": measured()[callback], f"torch.{call}": measured()[call]}
    clock.replay(benchmark, [1e-3 * value for value in samples["pyhooks"]])
    report(benchmark, name, "ms", samples, Target(1.1))
