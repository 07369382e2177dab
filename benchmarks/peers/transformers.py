"""Hugging Face's Trainer: callbacks of a `train` whose step does nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import torch
import transformers
from transformers import TrainerCallback, TrainingArguments

from benchmarks.peers.worker import BATCHES, Mark, serve


class NoOp(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        pass


class Trainer(transformers.Trainer):
    """Marks each step, and computes nothing."""

    mark: Mark

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        self.mark()
        return torch.zeros(())


def trainer_with(n: int, folder: str) -> Trainer:
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=BATCHES,
        per_device_train_batch_size=1,
        use_cpu=True,
        max_grad_norm=0.0,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    rows = [{"x": torch.zeros(1)}] * BATCHES
    return Trainer(torch.nn.Linear(1, 1), arguments, train_dataset=rows, callbacks=[NoOp() for _ in range(n)])


def train(n: int, mark: Mark) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_with(n, folder)
        trainer.mark = mark
        trainer.train()


def event(n: int) -> Callable[[], object]:
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_with(n, folder)
    return lambda: trainer.callback_handler.on_step_end(trainer.args, trainer.state, trainer.control)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    serve(transformers.__version__, train, event)
