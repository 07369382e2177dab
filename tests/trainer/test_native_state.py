"""Native callbacks' state in checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trainer_helpers import assert_same, points, state_of, trainer_of

import pyhooks
from pyhooks.callbacks import Checkpoint
from pyhooks.native import LossMeter


def with_meters(**options: Any) -> pyhooks.Trainer:
    trainer = trainer_of(**options)
    trainer.add_callback(LossMeter(decay=0.9, name="slow"))
    trainer.add_callback(LossMeter(decay=0.5, name="fast"))
    trainer.add_callback(LossMeter(decay=0.7, name="named"), id="third")
    return trainer


def test_a_resumed_run_goes_on_with_each_ones_state(tmp_path: Path) -> None:
    whole = with_meters()
    whole.fit(points(), epochs=4, batch_size=8)
    first = with_meters(callbacks=[Checkpoint(tmp_path)])
    first.fit(points(), epochs=2, batch_size=8)
    second = with_meters(callbacks=[Checkpoint(tmp_path / "b")])
    second.load_checkpoint(tmp_path / "last.safetensors")
    second.fit(points(), epochs=4, batch_size=8)
    assert_same(state_of(second), state_of(whole))
    for name in ("slow", "fast", "named"):
        np.testing.assert_array_equal(second.history.batch[name], whole.history.batch[name][6:])


def test_the_checkpoint_keeps_them_by_key(tmp_path: Path) -> None:
    trainer = with_meters()
    trainer.fit(points(), epochs=1, batch_size=8)
    _, meta = trainer.checkpoint()
    assert [entry["key"] for entry in meta["native"]] == ["LossMeter", "LossMeter#2", "third"]
    assert set(meta["native"][0]["state"]) == {"sum", "weight"}


def test_a_missing_callback_is_named(tmp_path: Path) -> None:
    trainer = with_meters(callbacks=[Checkpoint(tmp_path)])
    trainer.fit(points(), epochs=1, batch_size=8)
    other = trainer_of(callbacks=[Checkpoint(tmp_path / "b"), LossMeter()])
    with pytest.raises(
        ValueError, match=r"state of the native callback 'LossMeter#2', this trainer has LossMeter: add"
    ):
        other.load_checkpoint(tmp_path / "last.safetensors")


def test_a_second_fit_starts_afresh() -> None:
    trainer = with_meters()
    trainer.fit(points(), epochs=2, batch_size=8)
    trainer.fit(points(), epochs=1, batch_size=8)
    assert trainer.history.batch["slow"][0] == pytest.approx(trainer.history.batch["loss"][0])
