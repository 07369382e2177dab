"""The plain PyTorch loop that guarded training must equal, bit for bit, and what the guards' tests train."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import pyhooks

Data = tuple[Tensor, Tensor]
Judge = Callable[[float, nn.Module], bool]


def network(seed: int = 0) -> nn.Module:
    """With buffers that a bad batch spoils, and random numbers in every forward pass."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Tanh(), nn.Linear(8, 3))


class Roots(nn.Module):
    """A row of zeros gives it a finite loss and a gradient of ``scale`` that is NaN."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 3)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.sqrt((x * self.scale) ** 2))


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=0.05, fused=True)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=True)


def guarded(
    model: nn.Module, *callbacks: Any, make: Any = adam, loss: Any = F.cross_entropy, **options: Any
) -> pyhooks.Trainer:
    """The trainer that is compared with :class:`Plain`."""
    options = {"seed": 0, "progress": False, **options}
    return pyhooks.Trainer(model, loss, make(model), callbacks=callbacks, **options)


def fit(trainer: pyhooks.Trainer, data: Data, epochs: int = 3, **options: Any) -> pyhooks.Result:
    return trainer.fit(data, epochs=epochs, batch_size=8, **options)


def gradients_finite(loss: float, model: nn.Module) -> bool:
    return all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


class State:
    """A copy of a model and its optimizer."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.model = copy.deepcopy(model.state_dict())
        self.optimizer = copy.deepcopy(optimizer.state_dict())

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        model.load_state_dict(self.model)
        optimizer.load_state_dict(copy.deepcopy(self.optimizer))


class Plain:
    """Trains on batches of 8 rows, and leaves out those that ``good(loss, model)`` does not like.

    Args:
        model: trained in place.
        optimizer: its optimizer.
        good: says after the backward pass whether the batch is to be stepped with.
        loss: of outputs and targets.
        shuffle: the rows, anew each epoch.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        good: Judge = gradients_finite,
        loss: Any = F.cross_entropy,
        shuffle: bool = True,
    ) -> None:
        self.model, self.optimizer, self.good, self.loss, self.shuffle = model, optimizer, good, loss, shuffle
        self.losses: list[float] = []
        self.left_out: list[int] = []

    def fit(self, data: Data, epochs: int, accumulate: int = 1) -> None:
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(0)
        loader = DataLoader(TensorDataset(*data), 8, shuffle=self.shuffle, generator=generator)
        self.model.train()
        for _ in range(epochs):
            self._epoch(list(loader), accumulate)

    def _epoch(self, batches: list[Data], accumulate: int) -> None:
        whole = True
        for number, (x, y) in enumerate(batches, start=1):
            buffers = copy.deepcopy(dict(self.model.named_buffers()))
            loss = self.loss(self.model(x), y)
            (loss / accumulate).backward()
            self.losses.append(loss.item())
            if not self.good(loss.item(), self.model):
                self.left_out.append(len(self.losses) - 1)
                self.model.load_state_dict(buffers, strict=False)
                self.optimizer.zero_grad()
                self.leave_out()
                whole = False
            if number % accumulate == 0 or number == len(batches):
                if whole:
                    self.optimizer.step()
                self.optimizer.zero_grad()
                whole = True

    def leave_out(self) -> None:
        """What else happens at a bad batch."""


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def assert_same_state(one: torch.optim.Optimizer, other: torch.optim.Optimizer) -> None:
    for state, wanted in zip(one.state.values(), other.state.values(), strict=True):
        assert state.keys() == wanted.keys()
        for key, value in wanted.items():
            assert torch.equal(state[key], value), key
