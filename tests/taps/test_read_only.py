"""Hooks that only look leave training as it is, bit for bit."""

from __future__ import annotations

import pytest
import torch
from parity.cases import MODELS, PARTS
from parity.harness import Case
from taps.tapped import NET, Net, all_stats, assert_as_plain
from torch import nn

import pyhooks

CASES = {
    **{name: MODELS[name] for name in ("mlp", "resnet", "lstm", "gpt")},
    **{name: PARTS[name] for name in ("frozen_in_optimizer", "unused_parameter", "loss_with_parameters", "tied")},
    "net": NET,
    "accumulating": NET.but(accumulate=2, rows=34),
    "clipped": NET.but(clip_norm=0.5),
}


def look_everywhere(trainer: pyhooks.Trainer) -> None:
    for on in ("output", "grad", "param_grad"):
        trainer.add_hook("*", all_stats(on), on=on)


@pytest.mark.filterwarnings("ignore:the tensor hook GradStats")  # some parts are frozen
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_training_is_as_without_them(case: Case, engine: str) -> None:
    trainer = assert_as_plain(case, engine, look_everywhere)
    assert sum(stats["calls"] for stats in trainer.callback_stats()) > 50


def test_a_plan_that_is_not_verified_is_the_same(engine: str) -> None:
    assert_as_plain(NET, engine, look_everywhere, verify=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_dtypes(dtype: torch.dtype, engine: str) -> None:
    def data(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = NET.data(rows)
        return x.to(dtype), y

    assert_as_plain(Case(lambda: Net().to(dtype), data, rows=22), engine, look_everywhere)


class Autocast(nn.Module):
    """A forward pass in mixed precision."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.net(x).float()


def test_mixed_precision(engine: str) -> None:
    assert_as_plain(NET.but(model=Autocast), engine, look_everywhere)
