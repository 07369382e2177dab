"""Checkpoints that do not fit: refused, with nothing loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler
from trainer_helpers import points

import pyhooks
from pyhooks.callbacks import Checkpoint, EarlyStopping
from pyhooks.checkpoint import CheckpointError


def make(folder: Path, **changes: Any) -> pyhooks.Trainer:
    torch.manual_seed(0)
    model = changes.get("model", nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3)))
    optimizer = changes.get("optimizer", torch.optim.Adam)(model.parameters())
    scheduler = changes["scheduler"](optimizer) if "scheduler" in changes else None
    callbacks = changes.get("callbacks", [Checkpoint(folder)])
    return pyhooks.Trainer(
        model, F.cross_entropy, optimizer, scheduler=scheduler, callbacks=callbacks, progress=False, seed=0
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    make(tmp_path).fit(points(), epochs=2, batch_size=10)
    return tmp_path / "last.safetensors"


def two_groups(parameters: Any) -> torch.optim.Optimizer:
    first, *rest = parameters
    return torch.optim.Adam([{"params": [first]}, {"params": rest}])


def step_lr(optimizer: torch.optim.Optimizer) -> Any:
    return lr_scheduler.StepLR(optimizer, 1)


CHANGES: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "more callbacks": (
        lambda f: {"callbacks": [Checkpoint(f), EarlyStopping()]},
        "with the Python callbacks .*this trainer has .*EarlyStopping",
    ),
    "other callbacks": (
        lambda f: {"callbacks": [EarlyStopping()]},
        r"with the Python callbacks \['Checkpoint'\], this trainer has",
    ),
    "other layers": (
        lambda f: {"model": nn.Linear(4, 3)},
        r"does not fit the model: weight is none in the checkpoint and \[3, 4\]",
    ),
    "other shapes": (
        lambda f: {"model": nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 3))},
        r"does not fit the model: .*0\.weight.*\[8, 4\].*\[9, 4\]",
    ),
    "other groups": (
        lambda f: {"optimizer": two_groups},
        r"with the parameter groups \['4 tensors'\], .*\['1 tensors', '3 tensors'\]",
    ),
    "another optimizer": (
        lambda f: {"optimizer": torch.optim.Adagrad},
        "with the optimizer Adam, this trainer has Adagrad",
    ),
    "a scheduler": (lambda f: {"scheduler": step_lr}, "with the scheduler none, this trainer has StepLR"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_trainer(change: str, saved: Path, tmp_path: Path) -> None:
    changes, says = CHANGES[change]
    trainer = make(tmp_path, **changes(tmp_path))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    with pytest.raises(ValueError, match=says):
        trainer.load_checkpoint(saved)
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())
    assert not trainer.optimizer.state_dict()["state"] or change == "another optimizer"
    assert trainer.fit(points(), points(), epochs=1, batch_size=10).epochs_run == 1, "nothing is resumed"


def test_a_scheduler_that_is_missing(tmp_path: Path) -> None:
    make(tmp_path, scheduler=step_lr).fit(points(), epochs=2, batch_size=10)
    with pytest.raises(ValueError, match="with the scheduler StepLR, this trainer has none"):
        make(tmp_path).load_checkpoint(tmp_path / "last.safetensors")


def test_too_few_epochs_and_then_enough(saved: Path, tmp_path: Path) -> None:
    trainer = make(tmp_path)
    trainer.load_checkpoint(saved)
    for epochs in (1, 2):
        with pytest.raises(ValueError, match=rf"made after epoch 2, and fit was asked for epochs={epochs} in all: ask"):
            trainer.fit(points(), epochs=epochs, batch_size=10)
    assert trainer.fit(points(), epochs=3, batch_size=10).epochs_run == 1, "the checkpoint is still there"


def test_no_file_or_no_checkpoint(tmp_path: Path) -> None:
    trainer = make(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors"):
        trainer.load_checkpoint(tmp_path / "nothing.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors here")
    with pytest.raises(CheckpointError, match=r"text\.safetensors"):
        trainer.load_checkpoint(tmp_path / "text.safetensors")


@pytest.mark.parametrize("wrong", [None, 3, nn.Linear(1, 1)])
def test_no_path(wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"load_checkpoint got .*wanted the path of a file"):
        make(tmp_path).load_checkpoint(wrong)


def test_before_a_fit_there_is_nothing_to_save(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"before fit\(\): there is nothing to save but the model itself"):
        make(tmp_path).checkpoint()
