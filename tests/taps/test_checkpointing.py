"""Activation checkpointing computes layers a second time: hooks see a tensor once a step all the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from parity.harness import Parts
from taps.tapped import NET, Seen, all_stats, assert_as_plain, assert_columns
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import pyhooks
from pyhooks.native import GradNoise, GradScale


class Checkpointed(nn.Module):
    """A block that is computed again in the backward pass, dropout and all."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.block = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Dropout(0.4), nn.Linear(8, 8))
        self.last = nn.Linear(8, 3)
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        return self.last(checkpoint(self.block, self.first(x), use_reentrant=self.reentrant))


NAMES = ["first", "block.0", "block.3", "last"]


def case(reentrant: bool) -> Any:
    return NET.but(model=lambda: Checkpointed(reentrant))


@pytest.mark.parametrize("reentrant", [False, True])
def test_outputs_are_seen_once(reentrant: bool, engine: str) -> None:
    seen, handles = Seen(), []

    def install(parts: Parts) -> None:
        def forward_hook(name: str) -> Any:
            def hook(module: Any, args: Any, output: Tensor) -> None:
                if module.training and torch._C._current_autograd_node() is None:
                    seen.note(f"{name}/output", output)

            return hook

        for name in NAMES:
            parts.model.get_submodule(name).register_forward_hook(forward_hook(name))

    def add(trainer: pyhooks.Trainer) -> None:
        handles.extend(trainer.add_hook(name, all_stats("output")) for name in NAMES)

    assert_columns(assert_as_plain(case(reentrant), engine, add, install), seen)
    assert [handle.calls for handle in handles] == [9] * 4
    assert [handle.tensors for handle in handles] == [[name] for name in NAMES]


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradients_are_seen_once(reentrant: bool, engine: str) -> None:
    seen, handles = Seen(), []

    def install(parts: Parts) -> None:
        for name in NAMES:
            seen.grads(parts.model, name)

    def add(trainer: pyhooks.Trainer) -> None:
        handles.extend(trainer.add_hook(name, all_stats("grad"), on="grad") for name in NAMES)

    assert_columns(assert_as_plain(case(reentrant), engine, add, install), seen)
    assert [handle.calls for handle in handles] == [9] * 4


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradients_are_replaced_once(reentrant: bool, engine: str) -> None:
    def install(parts: Parts) -> None:
        def forward_hook(module: Any, args: Any, output: Tensor) -> None:
            if module.training and output.requires_grad:
                output.register_hook(lambda grad: grad * 0.3)

        parts.model.block[0].register_forward_hook(forward_hook)

    add = lambda trainer: trainer.add_hook("block.0", GradScale(0.3), on="grad")  # noqa: E731
    assert_as_plain(case(reentrant), engine, add, install)


def test_noise_amid_the_rewinding_of_random_numbers(engine: str) -> None:
    def install(parts: Parts) -> None:
        def forward_hook(module: Any, args: Any, output: Tensor) -> None:
            if module.training and torch._C._current_autograd_node() is None:
                output.register_hook(lambda grad: torch.add(grad, torch.randn_like(grad), alpha=0.2))

        parts.model.block[3].register_forward_hook(forward_hook)

    add = lambda trainer: trainer.add_hook("block.3", GradNoise(0.2, 0.0), on="grad")  # noqa: E731
    assert_as_plain(case(reentrant=False), engine, add, install)
