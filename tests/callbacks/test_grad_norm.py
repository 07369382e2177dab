"""GradNorm: the bits of torch's total norm, at updates only."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from callbacks.averaging import ROWS, Plain, fit, network, trainer_for
from torch import nn
from torch.nn.utils import clip_grad_norm_, get_total_norm
from trainer_helpers import points

import pyhooks
from pyhooks.native import GradClip, GradNorm

Measure = Callable[[Plain], float]


class Measuring(Plain):
    """Notes ``measure(self)`` before each step, and NaN for batches without one; clips if asked to."""

    def __init__(self, measure: Measure, clip_norm: float | None = None, after: bool = False, **options: Any) -> None:
        super().__init__(network(), **options)
        self.measure, self.clip_norm, self.after = measure, clip_norm, after
        self.noted: list[float] = []

    def backward_ends(self, rows: int, last: bool) -> None:
        if last and not self.after:
            self.noted.append(self.measure(self))
        if last and self.clip_norm is not None:
            clip_grad_norm_(self.model.parameters(), self.clip_norm)
        if last and self.after:
            self.noted.append(self.measure(self))
        if not last:
            self.noted.append(math.nan)


def total(p: float = 2.0) -> Measure:
    return lambda loop: get_total_norm(loop.grads(), p).item()


def column(trainer: pyhooks.Trainer, name: str = "grad_norm") -> np.ndarray:
    return trainer.history.batch[name]


@pytest.mark.parametrize("engine", ["graph", "python"])
@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("p", [1.0, 2.0, 3.5, math.inf])
def test_the_bits_of_total_norm(engine: str, accumulate: int, p: float) -> None:
    plain = Measuring(total(p), accumulate=accumulate)
    plain.fit(2)
    trainer = trainer_for(network(), GradNorm(p), engine=engine, accumulate=accumulate)
    fit(trainer, 2)
    np.testing.assert_array_equal(column(trainer), plain.noted)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("by", ["trainer", "callback"])
def test_before_and_after_clipping(after: bool, by: str) -> None:
    plain = Measuring(total(), clip_norm=0.3, after=after)
    plain.fit()
    assert (max(plain.noted) <= 0.3 + 1e-6) == after
    clip = {"clip_norm": 0.3} if by == "trainer" else {}
    callbacks = [GradNorm(after_clipping=after), *([GradClip(max_norm=0.3)] if by == "callback" else [])]
    trainer = trainer_for(network(), *callbacks, **clip)
    fit(trainer)
    np.testing.assert_array_equal(column(trainer), plain.noted)


def test_what_clip_grad_norm_returns() -> None:
    plain = Measuring(lambda loop: clip_grad_norm_(loop.model.parameters(), 0.3).item())
    plain.fit()
    trainer = trainer_for(network(), GradNorm(), clip_norm=0.3)
    fit(trainer)
    np.testing.assert_array_equal(column(trainer), plain.noted)


def test_the_epochs_mean() -> None:
    trainer = trainer_for(network(), GradNorm(name="size"))
    result = fit(trainer, 2)
    assert result.metrics["size"] == pytest.approx(column(trainer, "size")[6:].mean())


def test_each_parameter() -> None:
    model = network()
    plain = Measuring(lambda loop: [grad.norm().item() for grad in loop.grads()])  # type: ignore[arg-type, return-value]
    plain.fit()
    trainer = trainer_for(model, GradNorm(per_parameter=True, name="g"))
    fit(trainer)
    for i, (name, _) in enumerate(model.named_parameters()):
        np.testing.assert_array_equal(column(trainer, f"g/{name}"), [row[i] for row in plain.noted])  # type: ignore[index]


def test_each_parameter_when_others_are_trained() -> None:
    trainer = trainer_for(network(), GradNorm(per_parameter=True))

    def freeze(t: pyhooks.Trainer) -> None:
        t.model[0].requires_grad_(t.epoch == 0)  # type: ignore[index]
        t.model[4].requires_grad_(t.epoch == 1)  # type: ignore[index]

    trainer.add_callback("on_train_epoch_start", freeze)
    fit(trainer, 2)
    first, second = (column(trainer, f"grad_norm/{name}.weight") for name in (0, 4))
    assert np.isnan(first[6:]).all() and not np.isnan(first[:6]).any()
    assert np.isnan(second[:6]).all() and not np.isnan(second[6:]).any()


class Halves(nn.Module):
    """Uses one of its layers only, so the other has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.used, self.unused = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.used(x)


@pytest.mark.parametrize("engine", ["graph", "python"])
def test_parameters_without_a_gradient(engine: str) -> None:
    trainer = trainer_for(Halves(), GradNorm(per_parameter=True), engine=engine)
    fit(trainer, 1)
    names = set(trainer.history.batch)
    assert "grad_norm/used.weight" in names and "grad_norm/unused.weight" not in names
    parts = np.stack([column(trainer, f"grad_norm/used.{name}") for name in ("weight", "bias")])
    np.testing.assert_allclose(column(trainer), np.sqrt((parts**2).sum(0)), rtol=1e-6)


def batches(data: Any) -> Any:
    """Batches from a source that cannot tell how many there are."""

    class Stream:
        def __iter__(self) -> Any:
            x, y = data
            return iter([(x[i : i + 8], y[i : i + 8]) for i in range(0, len(x), 8)])

    return Stream()


def test_a_source_that_cannot_tell_its_length() -> None:
    known = trainer_for(network(), GradNorm(), accumulate=4)
    known.fit(points(ROWS), epochs=2, batch_size=8, shuffle=False)
    unknown = trainer_for(network(), GradNorm(), accumulate=4)
    unknown.fit(batches(points(ROWS)), epochs=2)
    np.testing.assert_array_equal(column(unknown), column(known))
    assert np.isfinite(column(unknown)).tolist() == [False, False, False, True, False, True] * 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"norm_type": 0}, r"GradNorm: norm_type is 0\.0+; it must be above 0"),
        ({"norm_type": math.nan}, "norm_type is nan"),
        ({"per_parameter": "yes"}, "'per_parameter' was given a str; it takes a bool"),
        ({"name": None}, "'name' was given None; it takes a str"),
    ],
)
def test_wrong_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        GradNorm(**options)
