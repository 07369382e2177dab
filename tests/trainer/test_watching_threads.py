"""Other threads look at a running training: a dashboard's job."""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import pyhooks


def make() -> pyhooks.Trainer:
    torch.manual_seed(0)
    net = nn.Linear(4, 1)
    meter = pyhooks.native.LossMeter()
    return pyhooks.Trainer(
        net, F.mse_loss, torch.optim.SGD(net.parameters(), lr=1e-3), callbacks=[meter], progress=False
    )


def watched(look: Any) -> pyhooks.Trainer:
    trainer, errors, looks = make(), [], 0
    started, done = threading.Event(), threading.Event()
    trainer.add_callback("on_train_start", lambda trainer: started.set())

    def watch() -> None:
        nonlocal looks
        started.wait(30)
        try:
            while not done.is_set():
                look(trainer)
                looks += 1
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        trainer.fit((torch.randn(3000, 4), torch.randn(3000, 1)), epochs=20, batch_size=1)
    finally:
        done.set()
        thread.join()
    assert errors == []
    assert looks > 0
    return trainer


def test_the_batch_history_grows_while_it_is_read() -> None:
    lengths: list[int] = []

    def look(trainer: pyhooks.Trainer) -> None:
        columns = trainer.history.batch
        lengths.append(len(columns.get("loss", ())))
        assert all(len(column) == lengths[-1] for column in columns.values())

    trainer = watched(look)
    assert lengths == sorted(lengths)
    assert len(trainer.history.batch["loss"]) == 60_000


def test_metrics_and_epochs_are_whole() -> None:
    def look(trainer: pyhooks.Trainer) -> None:
        for epoch in trainer.history.epochs:
            assert "train/loss" in epoch
        assert set(trainer.metrics) <= {"train/loss", "lr/pg0", "loss_ema"}
        assert trainer.best_fitness is None or trainer.best_fitness < 0
        assert trainer.stop is False

    assert len(watched(look).history.epochs) == 20
