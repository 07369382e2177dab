"""What the tests of averages and gradient measures train, with pyhooks and in a plain PyTorch loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, TensorDataset
from trainer_helpers import points

import pyhooks

ROWS, SIZE = 44, 8  # the last batch of an epoch is short


def network(seed: int = 0) -> nn.Module:
    """With random numbers, and buffers of floats and of integers."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Tanh(), nn.Linear(8, 3))


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.05, fused=True)


def trainer_for(model: nn.Module, *callbacks: Any, **options: Any) -> pyhooks.Trainer:
    settings = {"seed": 3, "progress": False, "callbacks": callbacks}
    return pyhooks.Trainer(model, F.cross_entropy, adam(model), **settings | options)


def fit(trainer: pyhooks.Trainer, epochs: int = 3, val: Any = None) -> pyhooks.Result:
    return trainer.fit(points(ROWS), val, epochs=epochs, batch_size=SIZE)


class Plain:
    """The plain loop. Methods that do nothing are for what a test wants to happen there."""

    def __init__(self, model: nn.Module, accumulate: int = 1, seed: int = 3) -> None:
        self.model, self.optimizer = model, adam(model)
        self.accumulate, self.seed = accumulate, seed
        self.steps = 0

    def fit(self, epochs: int = 3) -> None:
        torch.manual_seed(self.seed)
        order = torch.Generator().manual_seed(self.seed)
        loader = DataLoader(TensorDataset(*points(ROWS)), SIZE, shuffle=True, generator=order)
        for epoch in range(epochs):
            self.model.train()
            self.epoch_starts(epoch)
            for number, (x, y) in enumerate(loader, start=1):
                self.batch(x, y, last=number == len(loader) or number % self.accumulate == 0)
            self.epoch_ends(epoch)

    def batch(self, x: Tensor, y: Tensor, last: bool) -> None:
        loss = F.cross_entropy(self.model(x), y)
        (loss / self.accumulate if self.accumulate > 1 else loss).backward()
        self.backward_ends(len(x), last)
        if last:
            self.optimizer.step()
            self.steps += 1
            self.optimizer.zero_grad()
            self.stepped()

    def grads(self) -> list[Tensor]:
        return [p.grad for p in self.model.parameters() if p.grad is not None]

    def epoch_starts(self, epoch: int) -> None:
        """Before its batches."""

    def backward_ends(self, rows: int, last: bool) -> None:
        """After each batch's backward pass; ``last``: a step follows."""

    def stepped(self) -> None:
        """After each optimizer step."""

    def epoch_ends(self, epoch: int) -> None:
        """After its batches."""


class Averaging(Plain):
    """Updates an ``AveragedModel`` when ``due(self)``, after each step or at each epoch's end."""

    def __init__(
        self, model: nn.Module, average: Any, due: Callable[[Any], bool], per: str = "step", **options: Any
    ) -> None:
        super().__init__(model, **options)
        self.average: AveragedModel = average(model)
        self.due, self.per = due, per
        self.epoch = 0

    def stepped(self) -> None:
        if self.per == "step" and self.due(self):
            self.average.update_parameters(self.model)

    def epoch_ends(self, epoch: int) -> None:
        self.epoch = epoch
        if self.per == "epoch" and self.due(self):
            self.average.update_parameters(self.model)


def assert_equal_states(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value), name


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}
