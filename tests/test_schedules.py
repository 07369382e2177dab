"""Shapes: their values beside those of torch's schedulers and Hugging Face's formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import SGD, Optimizer
from torch.optim import lr_scheduler as sched

from pyhooks.schedules import (
    Shape,
    absolute,
    chained,
    constant,
    cosine,
    exponential,
    linear,
    one_cycle,
    one_cycle_momentum,
    polynomial,
    warmup,
)

STEPS = 20
BASE = 0.3


def hf_linear(step: int) -> float:
    """Hugging Face's get_linear_schedule_with_warmup, 4 warm-up steps."""
    return step / 4 if step < 4 else max(0.0, (STEPS - step) / (STEPS - 4))


def hf_cosine(step: int) -> float:
    """Hugging Face's get_cosine_schedule_with_warmup."""
    return step / 4 if step < 4 else 0.5 * (1.0 + math.cos(math.pi * (step - 4) / (STEPS - 4)))


PAIRS: dict[str, tuple[Shape, Callable[[Optimizer], sched.LRScheduler]]] = {
    "constant": (constant(steps=5, at=0.25) + constant(at=1), lambda o: sched.ConstantLR(o, 0.25, 5)),
    "linear": (linear(to=0.1), lambda o: sched.LinearLR(o, 1.0, 0.1, STEPS)),
    "warmup": (warmup(steps=6, start=0.1) + constant(), lambda o: sched.LinearLR(o, 0.1, 1.0, 6)),
    "cosine": (cosine(to=absolute(1e-3)), lambda o: sched.CosineAnnealingLR(o, STEPS, eta_min=1e-3)),
    "restarts": (cosine(start=1, steps=5) * 4, lambda o: sched.CosineAnnealingWarmRestarts(o, 5)),
    "longer restarts": (
        cosine(start=1, steps=6) + cosine(start=1, steps=12) + cosine(start=1, steps=24),
        lambda o: sched.CosineAnnealingWarmRestarts(o, 6, T_mult=2),
    ),
    "polynomial": (polynomial(3), lambda o: sched.PolynomialLR(o, STEPS, power=3)),
    "exponential": (exponential(to=0.9**STEPS), lambda o: sched.ExponentialLR(o, 0.9)),
    "steps": (
        constant(steps=7) + constant(steps=7, at=0.1) + constant(at=0.01),
        lambda o: sched.StepLR(o, 7, gamma=0.1),
    ),
    "one cycle": (one_cycle(), lambda o: sched.OneCycleLR(o, BASE, total_steps=STEPS)),
    "one cycle in lines": (
        one_cycle(warm=0.4, start=0.1, to=1e-3, curve="linear"),
        lambda o: sched.OneCycleLR(
            o, BASE, total_steps=STEPS, pct_start=0.4, div_factor=10, final_div_factor=100, anneal_strategy="linear"
        ),
    ),
    "warmup, cosine": (
        warmup(0.25, start=0.1) + cosine(),
        lambda o: sched.SequentialLR(o, [sched.LinearLR(o, 0.1, 1.0, 5), sched.CosineAnnealingLR(o, 15)], [5]),
    ),
    "chained": (
        chained(warmup(steps=5, start=0.1) + constant(), exponential(to=0.9**STEPS)),
        lambda o: sched.ChainedScheduler([sched.LinearLR(o, 0.1, 1.0, 5), sched.ExponentialLR(o, 0.9)]),
    ),
    "hf linear": (warmup(0.2, start=0) + linear(), lambda o: sched.LambdaLR(o, hf_linear)),
    "hf cosine": (warmup(0.2, start=0) + cosine(), lambda o: sched.LambdaLR(o, hf_cosine)),
}


def torchs(make: Callable[[Optimizer], sched.LRScheduler], field: str = "lr") -> list[float]:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE, momentum=0.9)
    scheduler = make(optimizer)
    values = [optimizer.param_groups[0][field]]
    for _ in range(STEPS - 1):
        optimizer.step()
        scheduler.step()
        values.append(optimizer.param_groups[0][field])
    return values


@pytest.mark.parametrize("name", PAIRS)
def test_as_torchs(name: str) -> None:
    shape, make = PAIRS[name]
    found, wanted = shape.values(steps=STEPS, base=BASE), torchs(make)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)


def test_one_cycles_momentum_as_torchs() -> None:
    wanted = torchs(PAIRS["one cycle"][1], "momentum")
    np.testing.assert_allclose(one_cycle_momentum().values(steps=STEPS, base=0.9), wanted, rtol=1e-12)


def test_lengths_in_epochs_steps_and_shares() -> None:
    shape = constant(epochs=0.5, at=4) + constant(steps=3, at=3) + constant(0.25, at=2) + constant(at=1)
    assert shape.values(epochs=2, steps=10).tolist() == [4] * 5 + [3] * 3 + [2] * 5 + [1] * 7


def test_pieces_without_a_length_share_what_is_left() -> None:
    shape = constant(steps=2, at=3) + constant(at=2) + constant(at=1)
    assert shape.values(steps=10).tolist() == [3] * 2 + [2] * 4 + [1] * 4


def test_each_piece_begins_where_the_one_before_ended() -> None:
    shape = linear(steps=2, to=0.5) + linear(steps=2, to=0.75) + constant()
    assert shape.values(steps=6).tolist() == [1, 0.75, 0.5, 0.625, 0.75, 0.75]


def test_a_single_piece_takes_its_own_length_and_the_last_value_stays() -> None:
    assert linear(steps=2).values(steps=5).tolist() == [1, 0.5, 0, 0, 0]
    assert chained(linear(steps=2, to=0.5), constant(at=2)).values(steps=4).tolist() == [2, 1.5, 1, 1]


def test_absolute_values_do_not_depend_on_the_base() -> None:
    shape = linear(start=absolute(0.8), to=absolute(0.9))
    assert (
        shape.values(steps=2, base=0.1).tolist() == shape.values(steps=2, base=7).tolist() == [0.8, pytest.approx(0.85)]
    )


def test_it_is_written_as_it_was_made() -> None:
    for text in (
        "warmup(0.05) + cosine(to=0.01)",
        "warmup(epochs=3, start=absolute(0.8)) + constant()",
        "linear(0.5, start=2) + polynomial(power=3, steps=7) + exponential(to=0.01) + constant(at=0.1)",
        "chained(warmup(steps=5), one_cycle(warm=0.2))",
    ):
        shown = repr(eval(text))
        assert eval(shown).values(4, 50).tolist() == eval(text).values(4, 50).tolist()
        assert "warmup" not in text or "warmup" in shown
    assert repr(warmup(0.05) + cosine(to=0.01)) == "warmup(0.05) + cosine(to=0.01)"


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: warmup(0.1, steps=3), ValueError, r"got \{'share': 0.1, 'steps': 3\}; wanted one of share, epochs"),
        (lambda: warmup(5), ValueError, r"share is 5, of the run: at most 1; for epochs write epochs=5"),
        (lambda: cosine(epochs=0), ValueError, "epochs is 0; it must be above 0"),
        (lambda: cosine(steps=math.inf), ValueError, "steps is inf"),
        (lambda: cosine("1"), TypeError, "share is a str; wanted a number"),
        (lambda: cosine(to="0"), TypeError, r"to is a str; wanted a factor, or absolute\(value\)"),
        (lambda: linear(start=math.nan), ValueError, "start is nan; wanted a finite factor"),
        (lambda: linear(to=absolute(math.inf)), ValueError, "to is inf"),
        (lambda: exponential(to=0), ValueError, "exponential got to=0; it must be above 0"),
        (lambda: polynomial(0), ValueError, "polynomial got power=0"),
        (lambda: one_cycle(warm=1), ValueError, "one_cycle got warm=1; wanted a share"),
        (lambda: one_cycle(curve="cos"), ValueError, "one_cycle got curve='cos'"),
        (lambda: cosine() * 0, ValueError, "can be repeated 1, 2, 3, ... times, got 0"),
        (lambda: cosine() + 1, TypeError, "unsupported operand"),
        (chained, ValueError, "chained got no schedule"),
        (lambda: chained(cosine(), 1), TypeError, "chained got an int"),
        (lambda: chained(cosine(to=absolute(1))), ValueError, "has an absolute value"),
        (
            lambda: (warmup(steps=9) + cosine()).values(steps=8),
            ValueError,
            r"nothing of the run is left for cosine\(\) in warmup\(steps=9\) \+ cosine\(\): the other pieces take 9 "
            "steps, the run has 8",
        ),
    ],
)
def test_mistakes(make: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        make()
