"""NaNGuard: bad batches never reach the weights, and what happens then."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from callbacks.plain import (
    Data,
    Plain,
    Roots,
    State,
    adam,
    assert_same_state,
    assert_same_weights,
    fit,
    guarded,
    network,
    sgd,
)
from torch import Tensor, nn
from trainer_helpers import assert_same, points, state_of

import pyhooks
from pyhooks.callbacks import Checkpoint
from pyhooks.native import LRMonitor, NaNGuard

BAD_ROWS = (5, 17, 30)


def spoilt(*rows: int, of: int = 40) -> Data:
    """Rows of data, some of them NaN."""
    x, y = points(of)
    x[list(rows)] = math.nan
    return x, y


# --- skip -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["graph", "python"])
@pytest.mark.parametrize("make", [adam, sgd])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_skip_is_a_plain_loop_without_these_batches(engine: str, make: Any, accumulate: int) -> None:
    model = network()
    plain = Plain(model, make(model))
    plain.fit(spoilt(*BAD_ROWS), 3, accumulate)
    trainer = guarded(network(), NaNGuard("skip"), make=make, engine=engine, accumulate=accumulate)
    result = fit(trainer, spoilt(*BAD_ROWS))
    assert len(plain.left_out) >= 5
    assert_same_weights(trainer.model, plain.model)
    assert_same_state(trainer.optimizer, plain.optimizer)
    np.testing.assert_array_equal(result.history.batch["loss"], plain.losses)
    assert result.stop_reason is None


def test_skip_counts_what_it_left_out() -> None:
    result = fit(guarded(network(), NaNGuard("skip")), spoilt(9, 30), epochs=2, shuffle=False)
    assert result.history.batch["nan_guard/skipped"].tolist() == [0, 1, 1, 2, 2, 2, 3, 3, 4, 4]
    assert [epoch["nan_guard/skipped"] for epoch in result.history.epochs] == [2, 4]
    assert math.isfinite(result.metrics["train/loss"])


def test_skip_finds_a_bad_gradient_behind_a_good_loss() -> None:
    x, y = points(40)
    x[17] = 0
    for watch, finite in (("both", True), ("grads", True), ("loss", False)):
        model = Roots()
        result = fit(guarded(model, NaNGuard("skip", watch=watch)), (x, y), epochs=1, shuffle=False)
        assert all(bool(p.isfinite().all()) for p in model.parameters()) == finite, watch
        assert (result.metrics["nan_guard/skipped"] == 1) == finite


def test_a_bad_batch_drops_its_group_once() -> None:
    """After it the group's sum stays NaN, which is not the next batch's fault."""
    trainer = guarded(Roots(), NaNGuard("skip"), accumulate=4, seed=None)
    x, y = points(64)
    x[0] = 0  # batch 0 of the first of two groups
    result = fit(trainer, (x, y), epochs=1, shuffle=False)
    assert result.metrics["nan_guard/skipped"] == 1 and trainer.global_step == 1


# --- stop and raise -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["stop", "raise"])
def test_training_ends_with_the_weights_before_the_bad_batch(action: str) -> None:
    model = network()
    plain = Plain(model, adam(model), shuffle=False)
    x, y = spoilt(17)
    plain.fit((x[:24], y[:24]), 1)
    trainer = guarded(network(), NaNGuard(action))
    if action == "raise":
        with pytest.raises(pyhooks.CallbackError):
            fit(trainer, spoilt(17), shuffle=False)
    else:
        result = fit(trainer, spoilt(17), val=points(9, 1), shuffle=False)
        assert result.epochs_run == 1 and math.isfinite(result.metrics["val/loss"])
        assert result.stop_reason == ("NaNGuard: the loss is nan at batch 2 of epoch 0 (step 2) [epoch 0, batch 2]")
    assert plain.left_out == [2] and len(trainer.history.batch["loss"]) == 3
    assert_same_weights(trainer.model, plain.model)
    fit(trainer, points(), epochs=1)  # and goes on as if nothing had been
    assert all(bool(p.isfinite().all()) for p in trainer.model.parameters())


def test_raise_names_the_parameter() -> None:
    x, y = points(40)
    x[17] = 0
    with pytest.raises(pyhooks.CallbackError) as caught:
        fit(guarded(Roots(), NaNGuard("raise")), (x, y), shuffle=False)
    assert str(caught.value) == (
        "the gradient of scale is not finite at batch 2 of epoch 0 (step 2) "
        "(in epoch 0, batch 2, in callback NaNGuard at on_backward_end)"
    )


def test_raise_with_a_policy_that_goes_on_has_left_the_step_out() -> None:
    trainer = guarded(network())
    trainer.add_callback(NaNGuard("raise"), on_error="warn")
    with pytest.warns(UserWarning, match="the loss is nan at batch 2"):
        fit(trainer, spoilt(17), epochs=1, shuffle=False)
    assert trainer.global_step == 4
    assert all(bool(p.isfinite().all()) for p in trainer.model.parameters())


def test_a_sparse_gradient_is_looked_at() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(10, 4, sparse=True), nn.Flatten(), nn.Linear(8, 3))
    x, y = torch.arange(80).reshape(40, 2) % 10, points(40)[1]

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets) + 0 * torch.sqrt(0 * outputs.sum())  # the gradient is NaN everywhere

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    guard = NaNGuard("raise", watch="grads")
    trainer = pyhooks.Trainer(model, loss, optimizer, callbacks=[guard], engine="python", progress=False)
    with (
        pytest.warns(UserWarning, match="no native kernel"),
        pytest.raises(pyhooks.CallbackError, match=r"the gradient of 0\.weight is not finite"),
    ):
        fit(trainer, (x, y))


# --- rewind ---------------------------------------------------------------------------------------------------------


class Rewinding(Plain):
    """Goes back as NaNGuard does."""

    every = 3
    copy: State | None = None
    good_batches = 0
    rewinds = 0

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, good=self.judge, **options)

    def judge(self, loss: float, model: nn.Module) -> bool:
        if not math.isfinite(loss):
            return False
        self.good_batches += 1
        if self.copy is None or self.good_batches == self.every:
            self.copy = State(self.model, self.optimizer)
            self.good_batches = 0
        return True

    def leave_out(self) -> None:
        self.good_batches = 0
        if self.copy is not None:
            self.copy.restore(self.model, self.optimizer)
            self.rewinds += 1


@pytest.mark.parametrize("make", [adam, sgd])
@pytest.mark.parametrize("rows", [(0,), (17,), (5, 30), (5, 17, 30)])
def test_rewind_is_a_plain_loop_that_goes_back(make: Any, rows: tuple[int, ...]) -> None:
    model = network()
    plain = Rewinding(model, make(model))
    plain.fit(spoilt(*rows), 4)
    trainer = guarded(network(), NaNGuard("rewind", snapshot_every=3, max_tries=50), make=make)
    result = fit(trainer, spoilt(*rows), epochs=4)
    assert plain.rewinds >= 3
    assert_same_weights(trainer.model, plain.model)
    np.testing.assert_array_equal(result.history.batch["loss"], plain.losses)
    for state, wanted in zip(trainer.optimizer.state.values(), plain.optimizer.state.values(), strict=True):
        for key, value in wanted.items():
            assert torch.equal(state[key], value), key
    assert result.metrics["nan_guard/skipped"] == len(plain.left_out)
    assert result.metrics["nan_guard/rewinds"] == plain.rewinds


def test_rewind_gives_up_after_so_many_tries() -> None:
    model = network()
    trainer = guarded(model, NaNGuard("rewind", snapshot_every=2))
    wanted = State(model, trainer.optimizer)
    x, y = points(80)
    x[8:] = math.nan  # the copy of batch 0 is the only one
    result = fit(trainer, (x, y), shuffle=False)
    assert result.stop_reason == (
        "NaNGuard: the loss is nan at batch 4 of epoch 0 (step 1), after 3 others since the last good copy "
        "(max_tries) [epoch 0, batch 4]"
    )
    assert result.history.batch["nan_guard/rewinds"].tolist() == [0, 1, 2, 3, 4]
    for name, value in wanted.model.items():
        if "running" not in name and "num_batches" not in name:  # these have seen batch 0
            assert torch.equal(model.state_dict()[name], value), name
    assert all(bool(torch.count_nonzero(t) == 0) for state in trainer.optimizer.state.values() for t in state.values())


def test_rewind_without_a_good_batch_has_nothing_to_go_back_to() -> None:
    model = network()
    wanted = {name: value.clone() for name, value in model.state_dict().items()}
    result = fit(guarded(model, NaNGuard("rewind", max_tries=2)), spoilt(*range(40)))
    assert result.stop_reason is not None and "after 2 others" in result.stop_reason
    assert result.metrics["nan_guard/skipped"] == 3 and result.metrics["nan_guard/rewinds"] == 0
    for name, value in wanted.items():
        assert torch.equal(model.state_dict()[name], value), name


def test_rewind_lowers_the_rate() -> None:
    trainer = guarded(network(), NaNGuard("rewind", lr_factor=0.5), LRMonitor(), make=sgd)
    result = fit(trainer, spoilt(9, 30), epochs=1, shuffle=False)
    assert result.history.batch["lr_monitor/pg0"].tolist() == [0.1, 0.05, 0.05, 0.025, 0.025]


def test_rewind_after_layers_were_frozen_waits_for_a_new_copy() -> None:
    """A copy of other parameters is not written into these."""
    model = network()
    trainer = guarded(model, NaNGuard("rewind", snapshot_every=100))
    trainer.add_callback("on_train_epoch_end", lambda t: model[0].requires_grad_(False), once=True)
    result = fit(trainer, spoilt(0, of=24), epochs=3, shuffle=False)
    assert result.history.batch["nan_guard/skipped"].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert result.history.batch["nan_guard/rewinds"].tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert all(bool(p.isfinite().all()) for p in model.parameters())


# --- state ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"action": "skip"}, {"action": "rewind", "snapshot_every": 7, "max_tries": 9}])
@pytest.mark.parametrize("make", [adam, sgd])
def test_a_resumed_run_is_one_that_never_stopped(tmp_path: Path, options: dict[str, Any], make: Any) -> None:
    def trainer(folder: str, seed: int = 0) -> pyhooks.Trainer:
        callbacks = [Checkpoint(tmp_path / folder), NaNGuard(**options), NaNGuard("skip", name="second")]
        return guarded(network(seed), *callbacks, make=make)

    whole = trainer("whole")
    fit(whole, spoilt(*BAD_ROWS), epochs=6)
    fit(trainer("part"), spoilt(*BAD_ROWS), epochs=2)
    resumed = trainer("part", seed=9)
    resumed.load_checkpoint(tmp_path / "part" / "last.safetensors")
    fit(resumed, spoilt(*BAD_ROWS), epochs=6)
    assert_same(state_of(resumed), state_of(whole))
    columns = [name for name in whole.history.batch if "/" in name]
    assert {"nan_guard/skipped", "second/skipped"} <= set(columns)
    for name in columns:
        np.testing.assert_array_equal(resumed.history.batch[name], whole.history.batch[name][10:])
    assert whole.metrics["nan_guard/skipped"] >= 10


def test_a_lowered_rate_of_a_schedule_per_batch_stays_lowered(tmp_path: Path) -> None:
    def trainer(folder: str) -> pyhooks.Trainer:
        model = network()
        optimizer = sgd(model)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.9**step)
        callbacks = [Checkpoint(tmp_path / folder), NaNGuard("rewind", lr_factor=0.5), LRMonitor()]
        given = {"scheduler": (schedule, "batch"), "callbacks": callbacks, "seed": 0, "progress": False}
        return pyhooks.Trainer(model, F.cross_entropy, optimizer, **given)

    whole = trainer("whole")
    fit(whole, spoilt(9), epochs=3)
    fit(trainer("part"), spoilt(9), epochs=1)
    resumed = trainer("part")
    resumed.load_checkpoint(tmp_path / "part" / "last.safetensors")
    fit(resumed, spoilt(9), epochs=3)
    assert_same(state_of(resumed), state_of(whole))
    rates = whole.history.batch["lr_monitor/pg0"]
    np.testing.assert_array_equal(resumed.history.batch["lr_monitor/pg0"], rates[5:])
    assert rates[-1] == pytest.approx(0.1 * 0.9**11 * 0.5**3)  # 15 batches, 3 of them left out, one to come


def test_a_copy_from_a_checkpoint_is_gone_back_to(tmp_path: Path) -> None:
    """The run is resumed right before a bad batch: what it goes back to is older than the checkpoint."""
    good, bad = points(40), spoilt(*range(8))

    def trainer(folder: str, model: nn.Module) -> pyhooks.Trainer:
        return guarded(model, Checkpoint(tmp_path / folder), NaNGuard("rewind", snapshot_every=4))

    model = network()
    fit(trainer("a", model), good, epochs=1, shuffle=False)
    other = trainer("b", network(7))
    other.load_checkpoint(tmp_path / "a" / "last.safetensors")
    fit(other, (bad[0][:8], bad[1][:8]), epochs=2, shuffle=False)
    plain_model = network()
    plain = Rewinding(plain_model, adam(plain_model), shuffle=False)
    plain.every = 4
    plain.fit(good, 1)
    assert plain.copy is not None
    plain.copy.restore(plain_model, plain.optimizer)
    assert_same_weights(other.model, plain_model)
    assert other.metrics["nan_guard/rewinds"] == 1


def test_a_second_fit_starts_afresh() -> None:
    trainer = guarded(network(), NaNGuard("rewind"))
    for _ in range(2):
        result = fit(trainer, spoilt(9), epochs=1, shuffle=False)
        assert result.history.batch["nan_guard/skipped"].tolist() == [0, 1, 1, 1, 1]


# --- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"action": "halt"}, r"NaNGuard: action is 'halt'; it must be one of 'stop', 'skip', 'raise', 'rewind'"),
        ({"watch": "weights"}, r"NaNGuard: watch is 'weights'; it must be one of 'loss', 'grads', 'both'"),
        ({"snapshot_every": 0}, "NaNGuard: snapshot_every is 0; it must be at least 1"),
        ({"max_tries": 0}, "NaNGuard: max_tries is 0; it must be at least 1"),
        ({"action": "rewind", "lr_factor": 0.0}, r"NaNGuard: lr_factor is 0\.0+; it must be above 0"),
        ({"lr_factor": 0.5}, "NaNGuard: lr_factor is for action='rewind'"),
        ({"max_tries": 1.5}, "'max_tries' was given a float; it takes an int"),
    ],
)
def test_wrong_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        NaNGuard(**options)


def test_at_the_batchs_end_alone_it_stops() -> None:
    trainer = guarded(network())
    trainer.add_callback("on_train_batch_end", NaNGuard("skip"))
    result = fit(trainer, spoilt(17), shuffle=False)
    assert result.stop_reason is not None and "the loss is nan at batch 2" in result.stop_reason
