"""The plain PyTorch loop that training with triggers must equal, bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from trainer_helpers import net, points

Optimizer = torch.optim.Optimizer
ROWS, SIZE = 60, 6


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Ten batches; the losses of some are several times those of others."""
    x, y = points(ROWS, seed=2)
    x[::17] *= 12
    return x, y


def sgd(parameters: Any) -> Optimizer:
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, fused=True)


@dataclasses.dataclass
class Batch:
    """What a plain loop knows of a batch after the backward pass."""

    loss: float
    grad_norm: float
    step: int
    epoch: int
    batch: int
    lr: float


class Plain:
    """Trains; ``judge(batch, optimizer)`` after each backward pass says whether the step is to be dropped."""

    def __init__(self, judge: Callable[[Batch, Optimizer], bool], scheduler: Any = None, per: str = "epoch") -> None:
        self.model = net()
        self.optimizer = sgd(list(self.model.parameters()))
        self.scheduler = None if scheduler is None else scheduler(self.optimizer)
        self.judge, self.per = judge, per
        self.seen: list[Batch] = []
        self.rates: list[float] = []
        self.dropped: list[int] = []
        self.step = 0

    def fit(self, epochs: int, accumulate: int = 1) -> Plain:
        torch.manual_seed(0)
        loader = DataLoader(TensorDataset(*data()), SIZE, shuffle=True, generator=torch.Generator().manual_seed(0))
        for epoch in range(epochs):
            self._epoch(epoch, list(loader), accumulate)
            if self.scheduler and self.per == "epoch":
                self.scheduler.step()
        return self

    def _epoch(self, epoch: int, batches: list[Any], accumulate: int) -> None:
        drop = False
        for number, (x, y) in enumerate(batches):
            loss = F.cross_entropy(self.model(x), y)
            (loss / accumulate if accumulate > 1 else loss).backward()
            norm = nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
            rate = self.optimizer.param_groups[0]["lr"]
            self.seen.append(Batch(loss.item(), norm.item(), self.step, epoch, number, rate))
            if self.judge(self.seen[-1], self.optimizer):
                self.dropped.append(len(self.seen) - 1)
                drop = True
            self.rates.append(self.optimizer.param_groups[0]["lr"])
            if (number + 1) % accumulate and number + 1 < len(batches):
                continue
            if not drop:
                self._step()
            self.optimizer.zero_grad()
            drop = False

    def _step(self) -> None:
        self.optimizer.step()
        self.step += 1
        if self.scheduler and self.per == "batch":
            self.scheduler.step()


class Ema:
    """The bias-corrected average of earlier values, as pandas' ewm(span=n)."""

    def __init__(self, n: int) -> None:
        self.alpha, self.sum, self.weight = 2 / (n + 1), 0.0, 0.0

    @property
    def value(self) -> float:
        return self.sum / self.weight if self.weight else float("nan")

    def push(self, value: float) -> None:
        self.sum = (1 - self.alpha) * self.sum + self.alpha * value
        self.weight = (1 - self.alpha) * self.weight + self.alpha


def assert_same_training(model: nn.Module, optimizer: Optimizer, plain: Plain) -> None:
    """The same weights and momenta."""
    for name, value in plain.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    for mine, theirs in zip(optimizer.state.values(), plain.optimizer.state.values(), strict=True):
        assert torch.equal(mine["momentum_buffer"], theirs["momentum_buffer"])
