"""Lightning: callbacks of a `fit` in its barest mode, of a model with one weight."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.trainer.call import _call_callback_hooks
from torch.utils.data import DataLoader

from benchmarks.peers.worker import BATCHES, Mark, serve


class NoOp(lightning.Callback):
    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        pass


class Module(lightning.LightningModule):
    """Marks each step."""

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.mark()
        return self.layer(batch).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def fitted(n: int, mark: Mark, batches: int) -> lightning.Trainer:
    trainer = lightning.Trainer(accelerator="cpu", max_epochs=1, barebones=True, callbacks=[NoOp() for _ in range(n)])
    trainer.fit(Module(mark), DataLoader(torch.zeros(batches, 1), batch_size=1))
    return trainer


def train(n: int, mark: Mark) -> None:
    fitted(n, mark, BATCHES)


def event(n: int) -> Callable[[], object]:
    trainer = fitted(n, lambda: None, batches=1)
    return lambda: _call_callback_hooks(trainer, "on_train_batch_end", None, None, 0)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    serve(lightning.__version__, train, event)
