"""The keyword arguments of add_callback: between, seconds, samples, priority, on_error, budget, id."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from trainer_helpers import Recorder, points, trainer_of

import pyhooks
from pyhooks.rules import Rules, share


def test_between_names_the_first_and_the_last() -> None:
    trainer = trainer_of()
    seen: list[int] = []
    trainer.add_callback("on_train_epoch_end", lambda t: seen.append(t.epoch), between=(2, 4))
    trainer.fit(points(), epochs=6, batch_size=20)
    assert seen == [1, 2, 3]


def test_samples_counts_training_rows() -> None:
    trainer = trainer_of()
    seen: list[int] = []
    trainer.add_callback("on_train_epoch_end", lambda t: seen.append(t.epoch), samples=50)
    trainer.fit(points(20), epochs=8, batch_size=10)
    assert seen == [2, 5], "after 60 and 120 rows"


def test_seconds_calls_at_once_and_then_waits() -> None:
    trainer = trainer_of()
    seen: list[int] = []
    trainer.add_callback("on_train_epoch_end", lambda t: seen.append(t.epoch), seconds=3600)
    trainer.fit(points(), epochs=4, batch_size=20)
    assert seen == [0]


def test_priority_orders_within_a_phase() -> None:
    trainer = trainer_of()
    seen: list[str] = []
    for name, priority in (("b", 0), ("c", -1), ("a", 1)):
        trainer.add_callback("on_train_epoch_end", lambda t, name=name: seen.append(name), priority=priority)
    voter = Recorder(lambda event, t: seen.append("vote") if event == "on_train_epoch_end" else None)
    type(voter).phase, old = "vote", type(voter).phase
    try:
        trainer.add_callback(voter, priority=-100)
    finally:
        type(voter).phase = old
    trainer.fit(points(), epochs=1, batch_size=20)
    assert seen == ["vote", "a", "b", "c"]


@pytest.mark.parametrize(("policy", "calls"), [("warn", [0, 1, 2]), ("disable", [0])])
def test_an_error_is_reported_and_training_goes_on(policy: str, calls: list[int]) -> None:
    trainer = trainer_of()
    seen: list[int] = []

    def shaky(trainer: Any) -> None:
        seen.append(trainer.epoch)
        raise KeyError("missing")

    trainer.add_callback("on_train_epoch_end", shaky, on_error=policy)
    with pytest.warns(
        UserWarning, match=r"shaky raised KeyError: 'missing' \(in epoch 0, in callback .*shaky at "
    ) as w:
        assert trainer.fit(points(), epochs=3, batch_size=20).epochs_run == 3
    assert seen == calls and len(w) == 1
    assert str(w[0].message).endswith("it is not called any more" if policy == "disable" else "training goes on")
    if policy == "warn":
        assert trainer.callback_stats()[0]["failures"] == 3


def test_ctrl_c_passes_every_policy() -> None:
    trainer = trainer_of()

    def interrupted(trainer: Any) -> None:
        raise KeyboardInterrupt

    trainer.add_callback("on_train_epoch_end", interrupted, on_error="warn")
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(points(), epochs=3, batch_size=20)


def test_a_native_error_names_callback_event_epoch_and_batch() -> None:
    trainer = trainer_of()
    trainer.add_callback(pyhooks.native.GradClip(max_norm=1.0), id="clip")
    trainer.add_callback(pyhooks.native.LossMeter(name="a"))
    with pytest.raises(ValueError, match="there is a callback 'clip' already; give this one another id"):
        trainer.add_callback(pyhooks.native.LossMeter(name="b"), id="clip")


def test_wrong_rules_say_what_is_wanted() -> None:
    trainer = trainer_of()
    for rules, error, text in [
        ({"between": (4, 2)}, ValueError, "between is 2; it must be at least 4"),
        ({"between": 4}, TypeError, r"between is 4; wanted the first and the last occurrence, as \(10, 20\)"),
        ({"between": (1, 2), "after": 1}, ValueError, "leave after and before out"),
        ({"seconds": 0}, ValueError, "seconds is 0; it must be above 0"),
        ({"seconds": "5"}, TypeError, "seconds is '5'; wanted a number of seconds above 0"),
        ({"samples": 0}, ValueError, "samples is 0; it must be at least 1"),
        ({"priority": 0.5}, TypeError, "priority is 0.5, .*; wanted an integer"),
        ({"on_error": "ignore"}, ValueError, "on_error is 'ignore'; wanted one of 'raise', 'warn', 'disable'"),
        ({"budget": "1%"}, ValueError, "is Python, .*: budget is for native callbacks"),
        ({"id": ""}, TypeError, "id is ''; wanted a name"),
    ]:
        with pytest.raises(error, match=text):
            trainer.add_callback("on_train_epoch_end", print, **rules)
    assert trainer.callback_stats() == []


@pytest.mark.parametrize(("given", "wanted"), [("1%", 0.01), (" 0.5 %", 0.005), (0.25, 0.25)])
def test_budgets(given: Any, wanted: float) -> None:
    assert share(given) == wanted


@pytest.mark.parametrize("given", ["1", "none%", 0, 1, "100%", -0.1, float("nan")])
def test_budgets_that_make_no_sense(given: Any) -> None:
    with pytest.raises(ValueError, match="wanted a share of the training time"):
        share(given)
    with pytest.raises(TypeError):
        share(True)


def test_explain_shows_the_rules() -> None:
    trainer = trainer_of()
    trainer.add_callback(pyhooks.native.NaNGuard(), priority=2, on_error="disable", budget="1%", seconds=2)
    assert "vote     NaNGuard (native, seconds=2, priority=2, on_error=disable, budget=0.01)" in trainer.explain()


def test_a_generous_budget_changes_nothing() -> None:
    trainer = trainer_of()
    trainer.add_callback(pyhooks.native.LossMeter(), budget="99%")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.fit(points(), epochs=3, batch_size=4)
    (stats,) = trainer.callback_stats()
    assert stats["calls"] == 3 * 5 + 1 and stats["thinned"] == 0


def test_a_tight_budget_thins_and_says_so() -> None:
    trainer = trainer_of()
    trainer.add_callback(pyhooks.native.LossMeter(), budget=1e-12)
    with pytest.warns(UserWarning, match="LossMeter takes .* us a call, more than its budget of 1e-12 of"):
        trainer.fit(points(), epochs=3, batch_size=4)
    (stats,) = trainer.callback_stats()
    assert stats["thinned"] == 14 and stats["calls"] == 2, "the first batch is free, and on_train_start is no batch"


def test_rules_have_a_docstring_example() -> None:
    assert Rules(between=(3, 5)).filter["before"] == 6
