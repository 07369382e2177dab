"""An optimizer whose step somebody has changed is stepped as they want it, not natively."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_post_hook

import pyhooks
from pyhooks.optim import fused_kind

DATA = torch.ones(8, 4), torch.zeros(8, 1)


def make() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Linear(4, 1)
    return net, torch.optim.SGD(net.parameters(), lr=0.1, fused=True)


def scaled(optimizer: torch.optim.Optimizer) -> None:
    original = optimizer.step

    def step(closure: Any = None) -> Any:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad.mul_(0.5)
        return original(closure)

    optimizer.step = step  # type: ignore[method-assign]


def plain(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(net(DATA[0]), DATA[1]).backward()
        optimizer.step()


def test_a_replaced_step_is_called() -> None:
    net, optimizer = make()
    scaled(optimizer)
    with pytest.warns(UserWarning, match="SGD has no native kernel here"):
        pyhooks.Trainer(net, F.mse_loss, optimizer, progress=False).fit(DATA, epochs=3, batch_size=8, shuffle=False)
    wanted, wanted_optimizer = make()
    scaled(wanted_optimizer)
    plain(wanted, wanted_optimizer, steps=3)
    assert torch.equal(net.weight, wanted.weight)


def test_a_global_hook_is_called() -> None:
    calls = []
    handle = register_optimizer_step_post_hook(lambda *_: calls.append(1))
    try:
        net, optimizer = make()
        with pytest.warns(UserWarning, match="SGD has no native kernel here"):
            pyhooks.Trainer(net, F.mse_loss, optimizer, progress=False).fit(DATA, epochs=3, batch_size=8)
    finally:
        handle.remove()
    assert len(calls) == 3


def test_a_schedulers_wrapper_is_no_change() -> None:
    _, optimizer = make()
    torch.optim.lr_scheduler.StepLR(optimizer, 1)
    assert fused_kind(optimizer) == "sgd"
