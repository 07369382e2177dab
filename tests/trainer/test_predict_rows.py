"""What ``predict`` cannot join row by row: refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from trainer_helpers import points, trainer_of

import pyhooks

X, _ = points(20)


@dataclasses.dataclass
class Out:
    logits: Tensor
    state: Tensor


class Recurrent(nn.Module):
    """An LSTM whose h has layers first."""

    def __init__(self, shape: str) -> None:
        super().__init__()
        self.rnn, self.shape = nn.LSTM(4, 3, batch_first=True), shape

    def forward(self, x: Tensor) -> Any:
        out, (h, c) = self.rnn(x[:, None])
        if self.shape == "dict":
            return {"out": out, "h": h}
        if self.shape == "dataclass":
            return Out(out, h)
        return h if self.shape == "tensor" else (out, (h, c))


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ("tensor", "output"),
        ("tuple", r"output\[1\]\[0\]"),
        ("dict", r"output\['h'\]"),
        ("dataclass", r"output\.state"),
    ],
)
def test_outputs_without_rows_first(shape: str, name: str, engine: str) -> None:
    model = Recurrent(shape)
    trainer = trainer_of(model, engine=engine)
    says = rf"the model's {name} has shape \[1, 8, 3\] for a batch of 8 rows.*predict with a model that returns rows"
    with pytest.raises(ValueError, match=says):
        trainer.predict(X, batch_size=8)
    assert model.training and model.rnn.training


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (3.0, r"predict: x is a single number \(0-d\), it has no rows; wanted inputs .*at least one"),
        ((X, torch.tensor(1.0)), r"predict: x\[1\] is a single number \(0-d\)"),
        ((), "predict: x is a tuple that holds no tensor; wanted inputs"),
        ({}, "predict: x is a dict that holds no tensor; wanted inputs"),
        (X[:0], "predict: x is empty: it has 0 rows"),
        ((X, X[:3]), r"same number of rows, at least one, but x\[0\] has 20, x\[1\] has 3"),
    ],
)
def test_inputs_without_rows(x: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        trainer_of().predict(x)


class Wide(nn.Module):
    """Returns a dict for wide inputs, a tensor for others."""

    def forward(self, x: torch.Tensor) -> Any:
        return {"wide": x * 2} if x.shape[1] > 2 else x * 2 + nn.functional.relu(self.bias)

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))


@pytest.mark.parametrize("engine", ["graph", "python"])
def test_outputs_of_another_structure_do_not_stay(engine: str) -> None:
    net = Wide()
    trainer = pyhooks.Trainer(net, F.mse_loss, torch.optim.SGD(net.parameters(), lr=0.1), engine=engine, progress=False)
    for _ in range(2):
        assert isinstance(trainer.predict(torch.ones(4, 2)), torch.Tensor)
        assert list(trainer.predict(torch.ones(4, 3))) == ["wide"]
