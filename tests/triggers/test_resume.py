"""A run that goes on from a checkpoint fires as one that never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from trainer_helpers import trainer_of
from triggers.plain import SIZE, data, sgd

import pyhooks
from pyhooks import when
from pyhooks.callbacks import Checkpoint

TRIGGERS = {
    "ema(loss, 5) < 1.2 * loss": "log(a)",
    "loss > mean(loss, 7) + 0.5 * std(loss, 12) or every(7)": "log(b)",
    "loss < min(loss, 4) or loss > max(loss, 9)": "log(c)",
    "loss > 1.3 * ema(loss, 20) and step > 2": "skip_step",
    "loss_ema > max(loss_ema, 5)": "log(d)",
}


def trainer_in(folder: Path, **options: Any) -> pyhooks.Trainer:
    callbacks = [when(text, do) for text, do in TRIGGERS.items()]
    return trainer_of(
        callbacks=[*callbacks, pyhooks.native.LossMeter(), Checkpoint(folder)], make_optimizer=sgd, **options
    )


def test_it_fires_where_it_would_have(tmp_path: Path) -> None:
    whole = trainer_in(tmp_path / "whole")
    whole.fit(data(), epochs=5, batch_size=SIZE)
    first = trainer_in(tmp_path)
    first.fit(data(), epochs=2, batch_size=SIZE)
    second = trainer_in(tmp_path)
    second.load_checkpoint(tmp_path / "last.safetensors")
    second.fit(data(), epochs=5, batch_size=SIZE)
    for name in ("a", "b", "c", "d", "loss"):
        columns = [trainer.history.batch[name].tolist() for trainer in (whole, first, second)]
        assert columns[0] == columns[1] + columns[2], name
        assert name == "loss" or 0 < sum(columns[2]) < len(columns[2]), f"{name} must fire and not fire"
    assert whole.global_step == second.global_step < 50
    assert torch.equal(whole.model.weight, second.model.weight)


def test_the_state_goes_by_the_expression(tmp_path: Path) -> None:
    trainer_of(callbacks=[when("loss > ema(loss, 3)", do="log(a)"), Checkpoint(tmp_path)]).fit(
        data(), epochs=1, batch_size=SIZE
    )
    other = trainer_of(callbacks=[when("loss > ema(loss, 4)", do="log(a)"), Checkpoint(tmp_path)])
    with pytest.raises(ValueError, match=r"keeps the state of .*when\('loss > ema\(loss, 3\)'"):
        other.load_checkpoint(tmp_path / "last.safetensors")


def test_a_resumed_run_of_a_trigger_without_windows_counts_on(tmp_path: Path) -> None:
    def counting() -> pyhooks.Trainer:
        return trainer_of(callbacks=[when("every(7)", do="log(seventh)"), Checkpoint(tmp_path)])

    counting().fit(data(), epochs=1, batch_size=SIZE)
    resumed = counting()
    resumed.load_checkpoint(tmp_path / "last.safetensors")
    resumed.fit(data(), epochs=2, batch_size=SIZE)
    assert resumed.history.batch["seventh"].nonzero()[0].tolist() == [3]
