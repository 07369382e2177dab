"""GradNoiseScale: against NumPy from single batches' gradients, and on a problem whose noise scale is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from callbacks.averaging import Plain, fit, network, trainer_for
from torch import Tensor, nn
from trainer_helpers import points

import pyhooks
from pyhooks.native import GradNoiseScale

Gradient = tuple[np.ndarray, int]  # of a batch's mean loss; the batch's rows


class Keeping(Plain):
    """Keeps each batch's gradient, in groups of those that make a step."""

    def __init__(self, accumulate: int = 1) -> None:
        super().__init__(network(), accumulate)
        self.groups: list[list[Gradient]] = [[]]
        self.summed: Any = 0.0

    def backward_ends(self, rows: int, last: bool) -> None:
        summed = np.concatenate([grad.double().numpy().ravel() for grad in self.grads()])
        self.groups[-1].append(((summed - self.summed) * self.accumulate, rows))
        self.summed = 0.0 if last else summed
        if last:
            self.groups.append([])

    def fit(self, epochs: int = 3) -> None:
        super().fit(epochs)
        self.groups.pop()


def estimate(small: float, inverse_small: float, big: float, inverse_big: float) -> np.ndarray:
    """|G|^2 and tr(Sigma), from: a batch's squared gradient norm is |G|^2 + tr(Sigma) / rows on average."""
    return np.linalg.solve([[1, inverse_small], [1, inverse_big]], [small, big])


def of_pair(first: Gradient, second: Gradient) -> np.ndarray:
    (a, n), (b, m) = first, second
    inverse = (1 / n + 1 / m) / 2
    return estimate((a @ a + b @ b) / 2, inverse, ((a + b) / 2) @ ((a + b) / 2), inverse / 2)


def of_group(group: list[Gradient]) -> np.ndarray:
    (first, n), count = group[0], len(group)
    mean = sum(gradient for gradient, _ in group) / count
    return estimate(first @ first, 1 / n, mean @ mean, sum(1 / rows for _, rows in group) / count**2)


def scales(estimates: list[np.ndarray], beta: float) -> list[float]:
    averages, found = np.zeros(2), []
    for one in estimates:
        averages = beta * averages + (1 - beta) * one
        found.append(averages[1] / averages[0] if averages[0] > 0 else math.nan)
    return found


def logged(trainer: pyhooks.Trainer, name: str = "noise_scale") -> np.ndarray:
    return trainer.history.batch[name]


@pytest.mark.parametrize("engine", ["graph", "python"])
@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_pairs_of_batches(engine: str, beta: float) -> None:
    plain = Keeping()
    plain.fit()
    batches = [group[0] for group in plain.groups]  # 6 an epoch, the last of 4 rows
    wanted = scales([of_pair(*batches[i : i + 2]) for i in range(0, len(batches), 2)], beta)
    trainer = trainer_for(network(), GradNoiseScale(beta), engine=engine)
    fit(trainer)
    assert np.isnan(logged(trainer)[::2]).all()
    np.testing.assert_allclose(logged(trainer)[1::2], wanted, rtol=1e-3)
    assert np.isfinite(wanted).any()


@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_accumulation_groups(beta: float) -> None:
    plain = Keeping(accumulate=3)
    plain.fit()
    trainer = trainer_for(network(), GradNoiseScale(beta), accumulate=3)
    fit(trainer)
    wanted = scales([of_group(group) for group in plain.groups], beta)
    np.testing.assert_allclose(logged(trainer)[2::3], wanted, rtol=1e-3)
    assert np.isnan(logged(trainer)[0::3]).all() and np.isnan(logged(trainer)[1::3]).all()
    assert np.isfinite(wanted).any()


def test_a_short_group_says_the_same() -> None:
    plain = Keeping(accumulate=4)  # groups of 4 and of 2, the losses all divided by 4
    plain.fit()
    trainer = trainer_for(network(), GradNoiseScale(0.0), accumulate=4)
    fit(trainer)
    wanted = scales([of_group(group) for group in plain.groups], 0.0)
    np.testing.assert_allclose(logged(trainer)[[3, 5, 9, 11, 15, 17]], wanted, rtol=1e-3)
    assert np.isfinite(wanted[1::2]).any()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_every(accumulate: int) -> None:
    plain = Keeping(accumulate)
    plain.fit()
    batches = [group[0] for group in plain.groups]
    wanted = np.full(18, math.nan)
    for step in range(0, len(plain.groups), 4):
        one = of_group(plain.groups[step]) if accumulate > 1 else of_pair(*batches[step : step + 2])
        wanted[2 * step + 1 if accumulate > 1 else step + 1] = scales([one], 0.0)[0]
    trainer = trainer_for(network(), GradNoiseScale(0.0, every=4), accumulate=accumulate)
    fit(trainer)
    np.testing.assert_allclose(logged(trainer), wanted, rtol=1e-3)
    assert np.isfinite(wanted).any()


def test_a_loss_that_is_not_finite_is_left_out() -> None:
    trainer = trainer_for(network(), GradNoiseScale(0.9))
    x, y = points(24)
    x[8:16] = math.inf
    trainer.fit((x, y), epochs=1, batch_size=8, shuffle=False)
    state = trainer.native_state("GradNoiseScale")
    assert state["trace"] == 0 and state["signal"] == 0


class Mean(nn.Module):
    """Its best parameter is the rows' mean, and a row's gradient the difference to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return x - self.mean


def half_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return 0.5 * outputs.square().sum(1).mean()


@pytest.mark.parametrize(("accumulate", "beta"), [(1, 0.999), (4, 0.998)])
def test_a_known_noise_scale(accumulate: int, beta: float) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(4096, 32, generator=generator) * torch.linspace(0.5, 2, 32) + 0.3
    known = (rows.var(0).sum() / rows.mean(0).square().sum()).item()
    model = Mean(32)
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    trainer = pyhooks.Trainer(
        model, half_square, still, callbacks=[GradNoiseScale(beta)], accumulate=accumulate, progress=False, seed=0
    )
    trainer.fit((rows, torch.zeros(4096)), epochs=10, batch_size=8)
    assert logged(trainer)[-1] == pytest.approx(known, rel=0.1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"beta": 1.0}, r"GradNoiseScale: beta is 1\.0+; it must be in \[0, 1\)"),
        ({"beta": math.nan}, "beta is nan"),
        ({"every": 0}, "GradNoiseScale: every is 0; it must be at least 1"),
        ({"name": 3}, "'name' was given an int; it takes a str"),
    ],
)
def test_wrong_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        GradNoiseScale(**options)
