"""LossSpike: which batches it finds, and that it leaves them out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from callbacks.plain import Data, Plain, adam, assert_same_state, assert_same_weights, fit, guarded, network, sgd
from torch import Tensor, nn
from trainer_helpers import assert_same, points, state_of

import pyhooks
from pyhooks.callbacks import Checkpoint
from pyhooks.native import LossSpike


def data(*outliers: int, of: int = 80, size: float = 30.0) -> Data:
    """Rows whose targets are small, but for some."""
    x, _ = points(of)
    y = x[:, :3].clone()
    y[list(outliers)] += size
    return x, y


def trainer_of(model: nn.Module, *callbacks: Any, **options: Any) -> pyhooks.Trainer:
    return guarded(model, *callbacks, loss=F.mse_loss, **options)


class Judge:
    """The documented formula, in Python; keeps the limits."""

    def __init__(
        self, factor: float | None = None, zscore: float | None = None, after: int = 4, decay: float = 0.9
    ) -> None:
        self.factor, self.zscore, self.after, self.decay = factor, zscore, after, decay
        self.weight = self.mean = self.variance = 0.0
        self.count = 0
        self.limits: list[float] = []

    def limit(self) -> float:
        limits = [math.inf]
        if self.count >= self.after:
            if self.factor is not None and self.mean > 0:
                limits.append(self.factor * self.mean)
            if self.zscore is not None:
                limits.append(self.mean + self.zscore * math.sqrt(self.variance))
        return min(limits)

    def __call__(self, loss: float, model: nn.Module) -> bool:
        limit = self.limit()
        self.limits.append(limit if math.isfinite(limit) else math.nan)
        if not math.isfinite(loss) or loss > limit:
            return False
        self.weight = self.decay * self.weight + (1 - self.decay)
        share = (1 - self.decay) / self.weight
        difference = loss - self.mean
        self.mean += share * difference
        self.variance = (1 - share) * (self.variance + share * difference**2)
        self.count += 1
        return True


RULES = [{"factor": 3.0}, {"zscore": 4.0}, {"factor": 20.0, "zscore": 4.0}]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("make", [adam, sgd])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_skip_is_a_plain_loop_without_these_batches(rule: dict[str, float], make: Any, accumulate: int) -> None:
    model, given = network(), data(11, 37)
    judge = Judge(**rule)
    plain = Plain(model, make(model), judge, F.mse_loss)
    plain.fit(given, 4, accumulate)
    guard = LossSpike(**rule, after=4, decay=0.9)
    trainer = trainer_of(network(), guard, make=make, accumulate=accumulate)
    result = fit(trainer, given, epochs=4)
    assert len(plain.left_out) >= 4
    assert_same_weights(trainer.model, plain.model)
    assert_same_state(trainer.optimizer, plain.optimizer)
    np.testing.assert_array_equal(result.history.batch["loss"], plain.losses)
    np.testing.assert_allclose(result.history.batch["loss_spike/limit"], judge.limits, rtol=1e-12)
    spikes = result.history.batch["loss_spike/spikes"]
    assert np.flatnonzero(np.diff(spikes, prepend=0)).tolist() == plain.left_out
    assert result.metrics["loss_spike/spikes"] == len(plain.left_out)


def test_a_loss_that_is_not_finite_is_a_spike_from_the_first_batch_on() -> None:
    x, y = data()
    y[3] = math.inf
    result = fit(trainer_of(network(), LossSpike()), (x, y), epochs=1, shuffle=False)
    assert result.history.batch["loss_spike/spikes"].tolist() == [1] * 10
    assert result.stop_reason is None and math.isfinite(result.metrics["train/loss"])


def test_losses_below_zero_have_no_factor() -> None:
    """Three times a negative mean lies below it."""

    def shifted(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs, targets) - 100

    trainer = guarded(network(), LossSpike(after=2), loss=shifted)
    assert fit(trainer, data(11, 37)).metrics["loss_spike/spikes"] == 0


def test_stop_ends_with_the_weights_before_the_spike() -> None:
    given = data(45)
    x, y = given[0][:48], given[1][:48]
    model = network()
    plain = Plain(model, adam(model), Judge(factor=3.0), F.mse_loss, shuffle=False)
    plain.fit((x, y), 1)
    trainer = trainer_of(network(), LossSpike(action="stop", after=4, decay=0.9))
    result = fit(trainer, given, shuffle=False)
    assert plain.left_out == [5] and len(result.history.batch["loss"]) == 6
    assert_same_weights(trainer.model, plain.model)
    loss, limit = result.history.batch["loss"][-1], result.history.batch["loss_spike/limit"][-1]
    assert result.stop_reason == (
        f"LossSpike: the loss is {loss:.6f} at batch 5 of epoch 0 (step 5), a spike above {limit:.6f} "
        "[epoch 0, batch 5]"
    )


def test_snapshot_keeps_what_the_spike_came_from_and_changes_nothing() -> None:
    given = data(45, 50, 75)  # batches 5 and 6 in a row, and 9
    trainers = [trainer_of(network(), LossSpike(action="snapshot", after=4)), trainer_of(network())]
    for trainer in trainers:
        fit(trainer, given, epochs=1, shuffle=False)
    watched, free = trainers
    assert_same_weights(watched.model, free.model)
    assert [snapshot["batch"] for snapshot in watched.snapshots] == [5, 9]
    assert all("a spike above" in snapshot["reason"] for snapshot in watched.snapshots)
    assert watched.metrics["loss_spike/spikes"] == 3
    model = network()
    plain = Plain(model, adam(model), loss=F.mse_loss, shuffle=False)
    plain.fit((given[0][:40], given[1][:40]), 1)
    for param, kept in zip(model.parameters(), watched.snapshots[0]["params"], strict=True):
        assert torch.equal(param, kept)


def test_so_many_in_a_row_are_a_new_level() -> None:
    x, y = data(*range(40, 80))
    guard = LossSpike(after=4, max_in_row=3)
    result = fit(trainer_of(network(), guard), (x, y), shuffle=False)
    assert result.stop_reason is not None
    assert "at batch 7 of epoch 0 (step 5)" in result.stop_reason
    assert "the last of 3 in a row (max_in_row)" in result.stop_reason
    guard = LossSpike(action="snapshot", after=4, max_in_row=3)
    trainer = trainer_of(network(), guard)
    result = fit(trainer, (x, y), epochs=1, shuffle=False)
    assert result.stop_reason is None and result.metrics["loss_spike/spikes"] == 3
    assert np.isnan(result.history.batch["loss_spike/limit"]).tolist() == [True] * 4 + [False] * 4 + [True] * 2


def test_a_resumed_run_is_one_that_never_stopped(tmp_path: Path) -> None:
    def trainer(folder: str, seed: int = 0) -> pyhooks.Trainer:
        guards = [LossSpike(after=4, decay=0.9), LossSpike(zscore=50.0, after=6, name="second")]
        return trainer_of(network(seed), Checkpoint(tmp_path / folder), *guards)

    given = data(11, 37)
    whole = trainer("whole")
    fit(whole, given, epochs=6)
    fit(trainer("part"), given, epochs=2)
    resumed = trainer("part", seed=9)
    resumed.load_checkpoint(tmp_path / "part" / "last.safetensors")
    fit(resumed, given, epochs=6)
    assert_same(state_of(resumed), state_of(whole))
    for name in ("loss_spike/spikes", "loss_spike/limit", "second/spikes", "second/limit"):
        np.testing.assert_array_equal(resumed.history.batch[name], whole.history.batch[name][20:])
    assert whole.metrics["loss_spike/spikes"] > resumed.history.epochs[1]["loss_spike/spikes"] > 0


def test_a_second_fit_starts_afresh() -> None:
    trainer = trainer_of(network(), LossSpike(after=4))
    first, second = (fit(trainer, data(45), epochs=1, shuffle=False) for _ in range(2))
    for result in (first, second):
        assert np.isnan(result.history.batch["loss_spike/limit"]).tolist() == [True] * 4 + [False] * 6
    assert second.history.batch["loss_spike/spikes"].tolist() == [0] * 5 + [1] * 5


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"factor": 1.0}, r"LossSpike: factor is 1\.0+; it must be above 1"),
        ({"factor": -2.0}, r"LossSpike: factor is -2\.0+; it must be above 0"),
        ({"zscore": math.nan}, "LossSpike: zscore is nan; it must be above 0"),
        ({"after": 0}, "LossSpike: after is 0; it must be at least 1"),
        ({"decay": 1.0}, r"LossSpike: decay is 1\.0+; it must be in \[0, 1\)"),
        ({"action": "raise"}, r"LossSpike: action is 'raise'; it must be one of 'skip', 'stop', 'snapshot'"),
        ({"max_in_row": 0}, "LossSpike: max_in_row is 0; it must be at least 1"),
    ],
)
def test_wrong_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        LossSpike(**options)
