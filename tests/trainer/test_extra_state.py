"""Checkpoints of modules with ``get_extra_state``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trainer_helpers import points, trainer_of

from pyhooks.callbacks import Checkpoint


class Extra(nn.Module):
    """A linear layer that keeps something that is no buffer."""

    def __init__(self, extra: Any) -> None:
        super().__init__()
        self.layer, self.extra = nn.Linear(4, 3), extra

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)

    def get_extra_state(self) -> Any:
        return self.extra

    def set_extra_state(self, state: Any) -> None:
        self.extra = state


KEPT = {"version": 3, "names": ["a", "b"], "pair": (1, 2.5), "by number": {1: "one"}, "none": None}


@pytest.mark.parametrize("extra", [KEPT, "words", None, [1, [2]]])
def test_kept_and_restored(extra: Any, tmp_path: Path) -> None:
    trainer_of(Extra(extra), callbacks=[Checkpoint(tmp_path)]).fit(points(40), epochs=1)
    model = Extra("before")
    trainer_of(model, callbacks=[Checkpoint(tmp_path)]).load_checkpoint(tmp_path / "last.safetensors")
    assert model.extra == extra


def test_tensors_in_it(tmp_path: Path) -> None:
    extra = {"scale": torch.tensor([1.0, 2.0]), "deep": {"x": torch.ones(1), "n": 1}}
    trainer_of(nn.Sequential(Extra(extra)), callbacks=[Checkpoint(tmp_path)]).fit(points(40), epochs=1)
    model = nn.Sequential(Extra("before"))
    trainer_of(model, callbacks=[Checkpoint(tmp_path)]).load_checkpoint(tmp_path / "last.safetensors")
    found: Any = model[0].extra
    assert torch.equal(found["scale"], extra["scale"]) and torch.equal(found["deep"]["x"], torch.ones(1))
    assert found["deep"]["n"] == 1


@pytest.mark.parametrize("extra", [b"bytes", {"module": nn.ReLU()}, [torch.ones(2)]])
def test_what_json_cannot_hold_is_refused(extra: Any, tmp_path: Path) -> None:
    trainer = trainer_of(nn.Sequential(Extra(extra)), callbacks=[Checkpoint(tmp_path)])
    says = r"cannot keep model\.0\._extra_state of state_dict\(\) .*pyhooks writes no pickles"
    with pytest.raises(TypeError, match=says):
        trainer.fit(points(40), epochs=1)


def test_a_model_without_it_does_not_fit(tmp_path: Path) -> None:
    trainer_of(Extra("words"), callbacks=[Checkpoint(tmp_path)]).fit(points(40), epochs=1)

    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x)

    trainer = trainer_of(Bare(), callbacks=[Checkpoint(tmp_path)])
    with pytest.raises(ValueError, match="_extra_state is extra state in the checkpoint and none here"):
        trainer.load_checkpoint(tmp_path / "last.safetensors")
