"""Sparse gradients: stepped by torch.optim itself, with the bits of the plain loop."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pyhooks


def make(kind: type[torch.optim.Optimizer]) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.EmbeddingBag(20, 8, sparse=True), nn.Linear(8, 3))
    return net, kind(net.parameters(), lr=0.1)  # type: ignore[call-arg]


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adagrad])
def test_embedding_bag(kind: type[torch.optim.Optimizer]) -> None:
    x, y = torch.randint(0, 20, (24, 5)), torch.randint(0, 3, (24,))
    net, optimizer = make(kind)
    with pytest.warns(UserWarning, match=r"each step calls its step\(\) in Python"):
        pyhooks.Trainer(net, F.cross_entropy, optimizer, progress=False).fit(
            (x, y), epochs=3, batch_size=8, shuffle=False
        )
    plain, stepped = make(kind)
    for _ in range(3):
        for i in range(0, 24, 8):
            stepped.zero_grad()
            F.cross_entropy(plain(x[i : i + 8]), y[i : i + 8]).backward()
            stepped.step()
    for a, b in zip(net.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)
