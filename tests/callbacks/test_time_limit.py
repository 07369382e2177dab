"""TimeLimit in a trainer; its arithmetic is tested in tests/cpp/test_watchers.cpp, with a clock of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from trainer_helpers import SETUP, Recorder, ending, epoch, points, trainer_of

from pyhooks import checkpoint
from pyhooks.callbacks import Checkpoint
from pyhooks.native import TimeLimit

TINY = 1e-9


def test_it_stops_before_the_first_epoch_when_no_time_is_left() -> None:
    recorder = Recorder()
    trainer = trainer_of(callbacks=[TimeLimit(TINY), recorder])
    result = trainer.fit(points(), epochs=3, batch_size=8)
    assert result.epochs_run == 0
    assert recorder.seen == [
        *SETUP,
        ("on_train_epoch_start", 0),
        *ending(0, "on_early_stop", "on_train_end", "teardown"),
    ]
    assert result.stop_reason is not None
    assert re.fullmatch(
        r"TimeLimit: training has taken \d+\.\d s of the 0\.0 s it may take \[epoch 0\]", result.stop_reason
    )


def test_it_stops_within_an_epoch_which_is_then_ended() -> None:
    recorder = Recorder()
    trainer = trainer_of(callbacks=[recorder])
    trainer.add_callback("on_train_batch_end", TimeLimit(TINY), after=3)
    result = trainer.fit(points(32), points(9, 1), epochs=3, batch_size=8)
    assert len(result.history.batch["loss"]) == 4
    assert recorder.seen == SETUP + epoch(0) + ending(0, "on_early_stop", "on_train_end", "teardown")
    assert result.stop_reason is not None and result.stop_reason.endswith("it may take [epoch 0, batch 3]")


def test_enough_time() -> None:
    result = trainer_of(callbacks=[TimeLimit("24:00:00", total=True, whole_epochs=True)]).fit(
        points(), epochs=2, batch_size=8
    )
    assert result.stop_reason is None and result.epochs_run == 2


def test_the_time_of_earlier_runs_is_kept(tmp_path: Path) -> None:
    """A whole day was spent before, as the checkpoint says."""
    trainer = trainer_of(callbacks=[Checkpoint(tmp_path), TimeLimit("24:00:00", total=True)])
    trainer.fit(points(), epochs=1, batch_size=8)
    tensors, meta = trainer.checkpoint()
    (state,) = [entry["state"] for entry in meta["native"] if entry["key"] == "TimeLimit"]
    assert 0 < state["spent"] < 3600
    state["spent"] += 24 * 3600.0
    path = tmp_path / "later.safetensors"
    checkpoint.save(path, tensors, meta)
    for total, epochs_run in ((True, 0), (False, 2)):
        resumed = trainer_of(callbacks=[Checkpoint(tmp_path), TimeLimit("24:00:00", total=total)])
        resumed.load_checkpoint(path)
        result = resumed.fit(points(), epochs=3, batch_size=8)
        assert result.epochs_run == epochs_run
        assert (result.stop_reason is not None) == total


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(90, 90), (0.5, 0.5), ("00:00:07", 7), ("01:02:03", 3723), ("100:00:00", 360000), ("2-03:00:00", 183600)],
)
def test_times(given: Any, seconds: float) -> None:
    assert TimeLimit(given).options["seconds"] == seconds


@pytest.mark.parametrize("given", ["30", "10:00", "00:60:00", "00:00:61", "1:2:3:4", "-1:00:00", "soon", ""])
def test_strings_that_are_no_time(given: str) -> None:
    says = rf'TimeLimit: {re.escape(repr(given))} is no time; wanted seconds, "HH:MM:SS" or "D-HH:MM:SS"'
    with pytest.raises(ValueError, match=says):
        TimeLimit(given)


@pytest.mark.parametrize("given", [0, -1.0, "00:00:00"])
def test_times_that_are_over_at_once(given: Any) -> None:
    with pytest.raises(ValueError, match=r"TimeLimit: seconds is -?[01]\.0+; it must be above 0"):
        TimeLimit(given)
