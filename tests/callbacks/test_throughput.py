"""Throughput in a trainer; its arithmetic is tested in tests/cpp/test_watchers.cpp, with a clock of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from trainer_helpers import points, trainer_of

import pyhooks
from pyhooks.native import Throughput

Tokens = tuple[Tensor, Tensor]


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(9, 4, padding_idx=0)
        self.linear = nn.Linear(4, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.linear(self.embedding(ids).mean(1))


def sentences(rows: int = 24) -> Tokens:
    """5 ids a row, of which the row's number mod 5 are padding."""
    ids = torch.arange(rows * 5).reshape(rows, 5) % 8 + 1
    for row in range(rows):
        ids[row, : row % 5] = 0
    return ids, torch.arange(rows) % 3


def run(guard: Throughput, epochs: int = 2, **options: Any) -> pyhooks.Result:
    model = Words()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = pyhooks.Trainer(model, F.cross_entropy, optimizer, callbacks=[guard], progress=False, **options)
    return trainer.fit(sentences(), epochs=epochs, batch_size=8, shuffle=False)


@pytest.mark.parametrize(("pad", "per_row"), [(None, [5.0, 5.0, 5.0]), (0, [27 / 8, 23 / 8, 24 / 8])])
def test_tokens_and_samples_are_in_proportion(pad: int | None, per_row: list[float]) -> None:
    result = run(Throughput(window=1, tokens=0, pad=pad))
    batch = result.history.batch
    np.testing.assert_allclose(batch["throughput/tokens"] / batch["throughput/samples"], per_row * 2, rtol=1e-9)
    metrics = result.metrics
    ratio = metrics["throughput/tokens"] / metrics["throughput/samples"]
    assert ratio == pytest.approx(sum(per_row) / 3, rel=1e-9)
    assert metrics["throughput/samples"] / metrics["throughput/steps"] == pytest.approx(8, rel=1e-9)


def test_steps_are_the_optimizers() -> None:
    batch = run(Throughput(window=3), accumulate=3).history.batch
    assert (batch["throughput/samples"][2::3] / batch["throughput/steps"][2::3]).tolist() == pytest.approx([24, 24])


def test_what_it_logs() -> None:
    result = run(Throughput())
    columns = [name for name in result.history.batch if name.startswith("throughput/")]
    assert columns == ["throughput/steps", "throughput/samples", "throughput/eta"]
    assert set(columns) <= set(result.metrics)
    assert (result.history.batch["throughput/eta"] >= 0).all()
    assert not np.isnan(result.history.batch["throughput/samples"]).any()


def test_no_seconds_left_where_nobody_knows_how_much_is_to_come() -> None:
    x, y = points(24)

    def batches() -> Any:
        for i in range(0, 24, 8):
            yield x[i : i + 8], y[i : i + 8]

    class Stream:
        def __iter__(self) -> Any:
            return batches()

    trainer = trainer_of(callbacks=[Throughput()])
    result = trainer.fit(Stream(), epochs=2)
    assert "throughput/eta" not in result.history.batch and "throughput/samples" in result.metrics


def test_a_batch_without_such_a_tensor() -> None:
    says = r"Throughput: tokens is 2, but a batch has 2 tensors \(inputs, then targets\), counted from 0"
    with pytest.raises(IndexError, match=says):
        run(Throughput(tokens=2))


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match="Throughput: window is 0; it must be at least 1"):
        Throughput(window=0)
    with pytest.raises(ValueError, match="Throughput: tokens is -1; it must be at least 0"):
        Throughput(tokens=-1)
    with pytest.raises(ValueError, match="pad is a token not to count; say with tokens which tensor holds them"):
        Throughput(pad=0)
