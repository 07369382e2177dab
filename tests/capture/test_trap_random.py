"""Random numbers that a graph would freeze."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from capture.helpers import Base, refused
from torch import Tensor


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (random.random, "Python's random"),
        (np.random.rand, "numpy.random"),
        (lambda: random.seed(0) or 1.0, "Python's random"),
        (lambda: torch.manual_seed(3) and 1.0, "torch's default"),
    ],
)
def test_host_random_numbers_are_refused(draw: Callable[[], float], name: str) -> None:
    class Draws(Base):
        def extra(self, h: Tensor) -> Tensor:
            return h * draw()

    model = Draws()
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    refused(model, name)
    assert random.getstate() == states[0] and np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_private_numpy_generator_is_refused() -> None:
    class Draws(Base):
        def __init__(self) -> None:
            super().__init__()
            self.rng = np.random.default_rng(0)

        def extra(self, h: Tensor) -> Tensor:
            return h * self.rng.random()

    model = Draws()
    refused(model, "private NumPy generator")
    assert model.rng.random() == np.random.default_rng(0).random()


def test_private_torch_generator_is_refused() -> None:
    class Draws(Base):
        def __init__(self) -> None:
            super().__init__()
            self.g = torch.Generator().manual_seed(0)

        def extra(self, h: Tensor) -> Tensor:
            return h + torch.rand(3, generator=self.g)

    assert "test_trap_random.py" in refused(Draws(), "enerator").source
