"""LRFinder: the range test of ``Trainer.find_lr`` as training starts, and the rate that comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from trainer_helpers import assert_same, net, points, state_of, trainer_of

import pyhooks
from pyhooks.callbacks import Checkpoint, LRFinder
from pyhooks.schedules import cosine, warmup


def make(**options: Any) -> pyhooks.Trainer:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
    options.setdefault("make_optimizer", lambda p: torch.optim.Adam(p, lr=0.01))
    return trainer_of(model, F.cross_entropy, **options)


@pytest.mark.parametrize("engine", ["graph", "python"])
@pytest.mark.parametrize("seed", [None, 5])
def test_the_callback_only_changes_the_rate(seed: int | None, engine: str) -> None:
    finder = LRFinder(steps=30, factor=0.5)
    torch.manual_seed(1)
    trainer = make(seed=seed, engine=engine, callbacks=[finder])
    trainer.fit(points(40), epochs=2, batch_size=8)
    rate = finder.result.suggestion * 0.5
    torch.manual_seed(1)
    plain = make(seed=seed, engine=engine, make_optimizer=lambda p: torch.optim.Adam(p, lr=rate))
    plain.fit(points(40), epochs=2, batch_size=8)
    assert trainer.history.batch["lr"].tolist() == [rate] * 10
    assert_same(state_of(trainer), state_of(plain))


def test_the_callbacks_rate_is_what_a_schedule_starts_from(tmp_path: Path) -> None:
    finder = LRFinder(steps=30, plot=tmp_path / "lr.png")
    trainer = make(scheduler=warmup(0.5) + cosine(), callbacks=[finder])
    trainer.fit(points(40), epochs=2, batch_size=8)
    assert trainer.history.batch["lr"][5] == finder.result.suggestion
    assert (tmp_path / "lr.png").is_file()


def test_a_resumed_run_makes_no_test(tmp_path: Path) -> None:
    make(callbacks=[LRFinder(steps=30), Checkpoint(tmp_path)]).fit(points(40), epochs=1, batch_size=8)
    finder = LRFinder(steps=30)
    resumed = make(callbacks=[finder, Checkpoint(tmp_path)])
    resumed.load_checkpoint(tmp_path / "last.safetensors")
    resumed.fit(points(40), epochs=2, batch_size=8)
    assert finder.result is None


def test_without_a_suggestion_the_rate_stays() -> None:
    trainer = make(callbacks=[LRFinder(start=1e3, end=1e5, steps=5)])
    with pytest.warns(UserWarning, match="found no rate at which the loss falls"):
        trainer.fit(points(40), epochs=1, batch_size=8)
    assert trainer.history.batch["lr"].tolist() == [0.01] * 5


def test_a_scheduler_of_torch_is_refused() -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    trainer = pyhooks.Trainer(
        model, F.cross_entropy, optimizer, scheduler=scheduler, callbacks=[LRFinder()], progress=False
    )
    with pytest.raises(ValueError, match="LRFinder cannot set the rate of ExponentialLR"):
        trainer.fit(points(20), epochs=1, batch_size=4)
    with pytest.raises(ValueError, match="factor=0"):
        LRFinder(factor=0)
