"""pyhooks.when: what training with a trigger comes to, compared with plain loops."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from trainer_helpers import assert_same, net, points, state_of, trainer_of

import pyhooks
from pyhooks import Firing, TriggerError, when
from pyhooks.callbacks import Checkpoint
from pyhooks.native import LossMeter

ROWS, BATCH, EPOCHS = 40, 4, 3


def plain(skips: Any, lr: float = 0.1, scale: Any = lambda losses: 1.0) -> tuple[list[float], list[Tensor], list[int]]:
    """A plain loop: losses, the parameters at its end, and the batches whose step was left out."""
    model = net()
    x, y = points(ROWS)
    data = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, fused=True)
    losses: list[float] = []
    skipped: list[int] = []
    for _ in range(EPOCHS):
        for bx, by in loader:
            loss = F.cross_entropy(model(bx), by)
            optimizer.zero_grad()
            loss.backward()
            optimizer.param_groups[0]["lr"] *= scale([*losses, loss.item()])
            if skips(losses, loss.item()):
                skipped.append(len(losses))
            else:
                optimizer.step()
            losses.append(loss.item())
    return losses, [p.detach() for p in model.parameters()], skipped


def trained(*callbacks: Any, **options: Any) -> pyhooks.Trainer:
    trainer = trainer_of(callbacks=list(callbacks), **options)
    trainer.fit(points(ROWS), epochs=EPOCHS, batch_size=BATCH)
    return trainer


def assert_as(trainer: pyhooks.Trainer, losses: list[float], parameters: list[Tensor]) -> None:
    assert trainer.history.batch["loss"].tolist() == losses
    for ours, theirs in zip(trainer.model.parameters(), parameters, strict=True):
        assert torch.equal(ours, theirs)


def mean_of(losses: list[float], n: int) -> float:
    last = losses[-n:]
    return math.fsum(last) / len(last) if last else math.nan


@pytest.mark.parametrize("engine", ["graph", "python"])
def test_skipped_steps_are_those_of_a_plain_loop(engine: str) -> None:
    losses, parameters, skipped = plain(lambda before, now: now > 1.05 * mean_of(before, 5))
    assert 3 < len(skipped) < 25, "the case is worth the test"
    trainer = trained(when("loss > 1.05 * mean(loss, 5)", do=["skip_step", "log(spike)"]), engine=engine)
    assert_as(trainer, losses, parameters)
    assert [i for i, spike in enumerate(trainer.history.batch["spike"]) if spike] == skipped
    assert trainer.global_step == len(losses) - len(skipped)


def test_a_trigger_that_never_acts_changes_nothing() -> None:
    losses, parameters, _ = plain(lambda before, now: False)
    trainer = trained(when("loss < 0 or std(loss, 4) < 0 or grad_norm < 0", do="skip_step"))
    assert_as(trainer, losses, parameters)


def test_scaled_rates_are_those_of_a_plain_loop() -> None:
    losses, parameters, _ = plain(lambda before, now: False, scale=lambda all_: 0.5 if len(all_) == 8 else 1.0)
    trainer = trained(when("batch == 7 and epoch == 0", do="scale_lr(0.5)"))
    assert_as(trainer, losses, parameters)
    assert trainer.optimizer.param_groups[0]["lr"] == 0.05


def test_a_stop_says_the_expression_and_the_values() -> None:
    trainer = trained(when("step >= 4", do="stop"))
    assert len(trainer.history.batch["loss"]) == 5
    assert trainer.stop_reason is not None and "step >= 4" in trainer.stop_reason and "step=4" in trainer.stop_reason


def test_a_function_is_called_at_the_epochs_end_with_its_firings() -> None:
    calls: list[list[Firing]] = []
    at: list[int] = []
    trainer = trainer_of()

    def noted(firings: list[Firing]) -> None:
        calls.append(firings)
        at.append(trainer.epoch)

    trainer.add_callback(when("batch >= 8 and epoch != 1", do=noted))
    trainer.fit(points(ROWS), epochs=EPOCHS, batch_size=BATCH)
    assert at == [0, 2], "not called where there are none"
    assert [(f.epoch, f.batch, f.step) for firings in calls for f in firings] == [
        (0, 8, 8),
        (0, 9, 9),
        (2, 8, 28),
        (2, 9, 29),
    ]
    assert calls[0][0].values == {"batch": 8, "epoch": 0}


def test_logged_values_are_seen_in_their_own_batch() -> None:
    trainer = trained(LossMeter(name="smooth", decay=0.5), when("smooth < loss", do="log(above)"))
    columns = trainer.history.batch
    assert columns["above"].tolist() == [float(a < b) for a, b in zip(columns["smooth"], columns["loss"], strict=True)]


def test_grad_norm_is_that_of_the_gradients_before_clipping() -> None:
    trainer = trained(pyhooks.native.GradNorm(name="norm"), when("grad_norm > 1", do="log(big)"), clip_norm=0.1)
    columns = trainer.history.batch
    assert columns["big"].tolist() == [float(norm > 1) for norm in columns["norm"]]
    assert 0 < columns["big"].sum() < len(columns["big"])


def test_snapshots_and_checkpoints(tmp_path: Path) -> None:
    trainer = trained(when("epoch == 1 and batch == 3", do=["snapshot", "save"]), save_dir=tmp_path)
    (snapshot,) = trainer.snapshots
    assert (snapshot["epoch"], snapshot["batch"], snapshot["global_step"]) == (1, 3, 13)
    assert [p.name for p in (tmp_path / "weights").iterdir()] == ["epoch1_step20.safetensors"]
    again = trainer_of(callbacks=[when("epoch == 1 and batch == 3", do=["snapshot", "save"])])
    again.load_checkpoint(tmp_path / "weights" / "epoch1_step20.safetensors")
    again.fit(points(ROWS), epochs=EPOCHS, batch_size=BATCH)
    assert_same(state_of(again), state_of(trainer))


def test_a_resumed_run_fires_as_one_that_never_stopped(tmp_path: Path) -> None:
    def trigger() -> Any:
        return when("loss > ema(loss, 10) and loss > min(loss, 6)", do=["skip_step", "log(fired)"])

    whole = trained(trigger())
    first = trainer_of(callbacks=[trigger(), Checkpoint(tmp_path / "a")])
    first.fit(points(ROWS), epochs=1, batch_size=BATCH)
    second = trainer_of(callbacks=[trigger(), Checkpoint(tmp_path / "b")])
    second.load_checkpoint(tmp_path / "a" / "last.safetensors")
    second.fit(points(ROWS), epochs=EPOCHS, batch_size=BATCH)
    assert second.history.batch["fired"].tolist() == whole.history.batch["fired"][10:].tolist()
    assert_same(state_of(second), state_of(whole))


def test_filters_thin_the_actions_not_the_windows() -> None:
    once = trained(when("loss > 1.05 * mean(loss, 5)", do="log(spike)"), when("step > 3", do="stop"))
    trainer = trainer_of()
    trainer.add_callback(when("loss > 1.05 * mean(loss, 5)", do="log(spike)"), after=2)
    trainer.add_callback(when("step > 3", do="stop"))
    trainer.fit(points(ROWS), epochs=EPOCHS, batch_size=BATCH)
    assert trainer.history.batch["spike"][2:].tolist() == once.history.batch["spike"][2:].tolist()
    assert trainer.history.batch["spike"][:2].tolist() == [0, 0]


def test_once_is_the_first_batch_at_which_it_holds() -> None:
    trainer = trainer_of()
    trainer.add_callback(when("batch >= 3", do="log(mark)"), once=True)
    trainer.fit(points(ROWS), epochs=1, batch_size=BATCH)
    assert trainer.history.batch["mark"][3] == 1 and (trainer.history.batch["mark"][4:] == 1).sum() == 0


def test_an_unknown_name_is_refused_before_the_first_batch() -> None:
    trainer = trainer_of(callbacks=[LossMeter(name="smooth"), when("smoth > 1", do="stop")])
    with pytest.raises(TriggerError, match=r"(?s)smoth.*smooth"):
        trainer.fit(points(ROWS), epochs=1, batch_size=BATCH)
    assert trainer.global_step == 0


def test_skipping_by_a_logged_value_is_refused() -> None:
    with pytest.raises(TriggerError, match="skip_step is too late at on_train_batch_end"):
        trainer_of(callbacks=[LossMeter(name="smooth"), when("smooth > 1", do="skip_step")])


@pytest.mark.parametrize(
    ("expression", "do", "caret"),
    [("loss >> 3", "stop", 6), ("ema(loss) > 3", "stop", 8), ("loss >", "stop", 6), ("loss > 3", "halt", 0)],
)
def test_errors_point_at_the_character(expression: str, do: str, caret: int) -> None:
    with pytest.raises(TriggerError) as caught:
        when(expression, do=do)
    *_, text, marker = str(caught.value).splitlines()
    assert text.strip() == (do if do == "halt" else expression)
    assert marker.index("^") - (len(text) - len(text.lstrip())) == caret


def test_explain_shows_the_expression() -> None:
    trainer = trainer_of(callbacks=[when("loss > 3", do="stop")])
    assert "loss > 3" in trainer.explain()
