"""How long does a training step take?

The graph engine beside the best eager loop and the tutorial's; loops.py says what each of them is. All must have
computed the same before a time is shown: pyhooks bit for bit what eager did, in every step of every round; the
tutorial's loop, whose Adam is not the fused one, nearly, in the first steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import cases
from benchmarks.figures import Target, clock, in_turns, replayed, report
from benchmarks.loops import Case, Eager, Pyhooks, Tutorial

WANTED = [
    (cases.MLP, 9, Target(0.25)),
    (cases.LSTM, 9, Target(0.75)),
    (cases.GPT, 9, Target(0.75)),
    (cases.CNN, 9, Target(1.0, noise=0.05)),
    (cases.RESNET, 11, Target(1.0, noise=0.05)),
]


@replayed
@pytest.mark.parametrize(("case", "rounds", "target"), WANTED, ids=["mlp", "lstm", "gpt", "cnn", "resnet18"])
def test_step(benchmark: Any, case: Case, rounds: int, target: Target) -> None:
    loops = {"pyhooks": Pyhooks(case), "eager": Eager(case), "tutorial": Tutorial(case)}
    for loop in loops.values():
        loop.epoch()  # captures, verifies, warms up
    np.testing.assert_allclose(loops["tutorial"].losses[:3], loops["eager"].losses[:3], rtol=1e-2)

    def measured(name: str) -> float:
        microseconds = loops[name].us_a_step()
        if name == "eager":
            np.testing.assert_array_equal(loops["pyhooks"].losses, loops["eager"].losses)
        return microseconds

    samples = in_turns({name: lambda name=name: measured(name) for name in loops}, rounds)
    clock.replay(benchmark, [1e-6 * value for value in samples["pyhooks"]])
    report(benchmark, case.name, "us", samples, target)
