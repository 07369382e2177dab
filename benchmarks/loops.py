"""The contestants: one training epoch with pyhooks, with the best eager loop, and with the tutorial's.

All start from the same parameters and see the same batches in the same order. An epoch's time is that of its batches,
the drawing of their order included; what comes once a run (capture, verification) is left out.
"""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import pyhooks

SEED = 0
LR = 1e-3


@dataclasses.dataclass(frozen=True)
class Case:
    """What to train.

    Args:
        name: for people.
        model: makes the model.
        data: makes inputs and targets of that many rows.
        loss: ``loss(outputs, targets)``.
        batch: rows a batch.
        steps: batches an epoch.
    """

    name: str
    model: Callable[[], nn.Module]
    data: Callable[[int], tuple[Tensor, Tensor]]
    loss: Callable[[Tensor, Tensor], Tensor]
    batch: int
    steps: int

    def fresh_model(self) -> nn.Module:
        """A model that is the same each time."""
        torch.manual_seed(SEED)
        return self.model().train()

    def rows(self) -> tuple[Tensor, Tensor]:
        """The data of an epoch."""
        return self.data(self.batch * self.steps)


class Loop:
    """A contestant.

    Attributes:
        losses: of the last epoch, float32, one a step.
    """

    losses: npt.NDArray[np.float32]

    def __init__(self, case: Case) -> None:
        self.case, self.data, self.model = case, case.rows(), case.fresh_model()

    def epoch(self) -> float:
        """Train an epoch; returns its seconds."""
        raise NotImplementedError

    def us_a_step(self) -> float:
        """Train an epoch; returns microseconds a step."""
        gc.collect()
        return 1e6 * self.epoch() / self.case.steps


class Pyhooks(Loop):
    """The graph engine through the public API, timed by epoch callbacks; its first epoch captures and verifies."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        optimizer = torch.optim.Adam(self.model.parameters(), lr=LR)
        self.trainer = pyhooks.Trainer(self.model, case.loss, optimizer, engine="graph", seed=SEED, progress=False)
        self.trainer.add_callback("on_train_epoch_start", self._start)
        self.trainer.add_callback("on_train_epoch_end", self._end)

    def _start(self, trainer: pyhooks.Trainer) -> None:
        self.started = time.perf_counter()

    def _end(self, trainer: pyhooks.Trainer) -> None:
        self.seconds = time.perf_counter() - self.started

    def epoch(self) -> float:
        """Train an epoch; returns its seconds."""
        result = self.trainer.fit(self.data, epochs=1, batch_size=self.case.batch)
        self.losses = result.history.batch["loss"].astype(np.float32)
        return self.seconds


class Eager(Loop):
    """The best loop by hand: rows permuted once an epoch, batches are views, Adam is fused, no loss is read."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR, fused=True)

    def epoch(self) -> float:
        """Train an epoch; returns its seconds."""
        generator = seeded()
        torch.empty((), dtype=torch.int64).random_(generator=generator)  # a DataLoader draws one number first
        loss_fn, model, optimizer, losses = self.case.loss, self.model, self.optimizer, []
        start = time.perf_counter()
        inputs, targets = self.data
        order = torch.randperm(len(inputs), generator=generator)
        for x, y in zip(inputs[order].split(self.case.batch), targets[order].split(self.case.batch), strict=True):
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.detach())
        seconds = time.perf_counter() - start
        self.losses = torch.stack(losses).numpy()
        return seconds


class Tutorial(Loop):
    """The loop of the tutorials: a DataLoader, torch.optim.Adam as it comes, ``loss.item()``."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR)

    def epoch(self) -> float:
        """Train an epoch; returns its seconds."""
        dataset = TensorDataset(*self.data)
        loader = DataLoader(dataset, batch_size=self.case.batch, shuffle=True, generator=seeded())
        loss_fn, model, optimizer, losses = self.case.loss, self.model, self.optimizer, []
        start = time.perf_counter()
        for x, y in loader:
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        seconds = time.perf_counter() - start
        self.losses = np.array(losses, dtype=np.float32)
        return seconds


def seeded() -> torch.Generator:
    """Seed the default generator; returns one for the order of the batches."""
    torch.manual_seed(SEED)
    return torch.Generator().manual_seed(SEED)
