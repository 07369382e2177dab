"""What ``explain`` and ``callback_stats`` tell."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from trainer_helpers import points, trainer_of

import pyhooks
from pyhooks.callbacks import EarlyStopping


def named(trainer: pyhooks.Trainer) -> None:
    """A function with a name."""


def test_who_is_called_when(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = trainer_of(callbacks=[pyhooks.native.NaNGuard(), EarlyStopping("train/loss")])
    trainer.add_callback("on_fit_epoch_end", named, every=10, after=2, before=99)
    trainer.add_callback("on_train_end", named, once=True)
    text = trainer.explain()
    assert capsys.readouterr().out == text + "\n"
    lines = text.splitlines()
    assert lines[0] == "engine: auto"
    at = lines.index("on_train_batch_end (batch)")
    assert lines[at + 1].split() == ["vote", "NaNGuard", "(native)"]
    at = lines.index("on_fit_epoch_end (epoch)")
    assert lines[at + 1].split() == ["vote", "EarlyStopping", "(Python)"]
    assert lines[at + 2].split() == ["observe", "named", "(Python,", "every=10,", "after=2,", "before=99)"]
    at = lines.index("on_train_end (run)")
    assert lines[at + 2].split() == ["observe", "named", "(Python,", "once)"]
    events = [line.split()[0] for line in lines[1:] if not line.startswith(" ")]
    assert events == [name for name in pyhooks.events.KINDS if name in events], "in the order of a run"


def test_without_callbacks() -> None:
    assert trainer_of().explain() == "engine: auto\nno callbacks"


def test_why_python_runs_the_model() -> None:
    class Branches(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if x.sum() > 0 else -super().forward(x)

    trainer = trainer_of(Branches(4, 3))
    with pytest.warns(UserWarning, match="python"):
        trainer.fit(points(), epochs=1, batch_size=8)
    text = trainer.explain()
    assert text.startswith("engine: python\n  ") and "if x.sum() > 0" in text


def test_a_run_tells_which_engine_it_used(engine: str) -> None:
    trainer = trainer_of(engine=engine)
    trainer.fit(points(), epochs=1, batch_size=8)
    assert trainer.explain().startswith(f"engine: {engine}\n")


def test_what_callbacks_cost() -> None:
    trainer = trainer_of(callbacks=[pyhooks.native.LossMeter()])
    trainer.add_callback("on_train_epoch_end", named)
    trainer.add_callback("on_val_end", named, every=2)
    assert [stats["calls"] for stats in trainer.callback_stats()] == [0, 0, 0]
    trainer.fit(points(24), points(8), epochs=4, batch_size=8)
    meter, each, second = trainer.callback_stats()
    assert (meter["label"], meter["native"]) == ("LossMeter", True)
    assert meter["calls"] == 4 * 3 + 1, "its batches and on_train_start"
    assert (each["label"], each["native"], each["calls"]) == ("named", False, 4)
    assert second["calls"] == 2
    for stats in (meter, each, second):
        counts = {"calls", "stops", "failures", "thinned"}
        assert set(stats) == {"label", "native", "total_ns", "mean_ns", "max_ns", "share"} | counts
        assert 0 < stats["mean_ns"] <= stats["max_ns"] and 0 < stats["share"] < 1
        assert stats["stops"] == stats["failures"] == stats["thinned"] == 0
        assert stats["total_ns"] == pytest.approx(stats["mean_ns"] * stats["calls"])
    trainer.fit(points(24), epochs=1, batch_size=8)
    assert [stats["calls"] for stats in trainer.callback_stats()] == [4, 1, 0], "each fit counts anew"


def test_a_handle_shows_its_label() -> None:
    trainer = trainer_of()
    assert repr(trainer.add_callback("on_train_end", named)) == "Handle('named')"
    assert repr(trainer.add_callback(pyhooks.native.NativeCallback("nan_guard"))) == "Handle('nan_guard')"
    assert repr(trainer.add_callback("on_train_end", torch.nn.Identity())) == "Handle('Identity')"
