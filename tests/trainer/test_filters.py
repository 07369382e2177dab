"""every, once, after, before: against a model of them in Python."""

from __future__ import annotations

import random
from typing import Any

import pytest
from trainer_helpers import Recorder, points, trainer_of

import pyhooks

EPOCHS = 12


def expected(
    every: int = 1, once: bool = False, after: int = 0, before: int | None = None, epochs: int = EPOCHS
) -> list[int]:
    """The epochs (from 0) whose event, the n-th with n from 1, calls the callback."""
    occurrences = range(1, epochs + 1)
    passing = [n - 1 for n in occurrences if n > after and (before is None or n < before) and n % every == 0]
    return passing[:1] if once else passing


def some_filters() -> list[dict[str, Any]]:
    rng = random.Random(0)
    chosen: list[dict[str, Any]] = [{}, {"once": True}, {"every": 3}, {"after": 4}, {"before": 4}]
    while len(chosen) < 30:
        filters: dict[str, Any] = {
            "every": rng.randint(1, 5),
            "once": rng.random() < 0.3,
            "after": rng.randint(0, 6),
            "before": rng.choice([None, *range(1, 15)]),
        }
        if expected(**filters, epochs=100):  # else it is refused
            chosen.append(filters)
    return chosen


def test_as_the_model_says() -> None:
    trainer = trainer_of()
    calls: list[list[int]] = []
    for filters in some_filters():
        mine: list[int] = []
        calls.append(mine)
        trainer.add_callback("on_train_epoch_end", lambda t, mine=mine: mine.append(t.epoch), **filters)
    trainer.fit(points(), epochs=EPOCHS, batch_size=20)
    for filters, mine in zip(some_filters(), calls, strict=True):
        assert mine == expected(**filters), filters


def test_counting_starts_again_with_each_fit_but_once_is_once() -> None:
    trainer = trainer_of()
    third: list[int] = []
    single: list[int] = []
    trainer.add_callback("on_train_epoch_end", lambda t: third.append(t.epoch), every=3)
    trainer.add_callback("on_train_epoch_end", lambda t: single.append(t.epoch), once=True, after=1)
    for _ in range(2):
        trainer.fit(points(), epochs=5, batch_size=20)
    assert third == [2, 2] and single == [1]


def test_of_an_object_they_hold_for_epochs_not_for_the_run() -> None:
    recorder = Recorder()
    trainer = trainer_of()
    trainer.add_callback(recorder, every=2)
    trainer.fit(points(), epochs=5, batch_size=20)
    assert [epoch for name, epoch in recorder.seen if name == "on_train_epoch_end"] == [1, 3]
    for event in ("on_pretrain_routine_start", "on_pretrain_routine_end", "on_train_start", "on_train_end", "teardown"):
        assert recorder.names.count(event) == 1, f"{event} sets a callback up or ends it, whatever the filter"


def test_a_function_on_a_run_event_is_filtered_too() -> None:
    calls: list[str] = []
    trainer = trainer_of()
    trainer.add_callback("on_train_start", lambda _: calls.append("once"), once=True)
    trainer.add_callback("on_train_start", lambda _: calls.append("never"), after=1)
    for _ in range(2):
        trainer.fit(points(), epochs=1, batch_size=20)
    assert calls == ["once"]


def test_an_object_once() -> None:
    recorder = Recorder()
    trainer = trainer_of()
    handle = trainer.add_callback(recorder, once=True)
    trainer.fit(points(), epochs=3, batch_size=20)
    assert [name for name in recorder.names if name.startswith("on_train_epoch")] == ["on_train_epoch_start"]
    assert not handle.remove()


def test_of_native_callbacks() -> None:
    trainer = trainer_of()
    trainer.add_callback(pyhooks.native.LossMeter(decay=0.0), every=4)
    trainer.fit(points(24), epochs=3, batch_size=8)  # 9 batches
    column = trainer.history.batch["loss_ema"]
    assert [i for i, value in enumerate(column) if value == value] == [3, 7]
    assert column[3] == trainer.history.batch["loss"][3]


def test_a_native_callback_that_is_filtered_starts_anew_with_each_fit() -> None:
    trainer = trainer_of()
    trainer.add_callback(pyhooks.native.LossMeter(decay=0.9), every=2)
    for _ in range(2):
        trainer.fit(points(24), epochs=1, batch_size=8)
        assert trainer.history.batch["loss_ema"][1] == pytest.approx(trainer.history.batch["loss"][1])


@pytest.mark.parametrize(
    ("filters", "error", "says"),
    [
        ({"every": 0}, ValueError, "every is 0; it must be at least 1"),
        ({"every": 1.5}, TypeError, "every is 1.5, a float; wanted an integer"),
        ({"every": True}, TypeError, "every is True"),
        ({"after": -1}, ValueError, "after is -1; it must be at least 0"),
        ({"before": 0}, ValueError, "before is 0; it must be at least 1"),
        ({"before": "3"}, TypeError, "before is '3', a str"),
        ({"after": 3, "before": 4}, ValueError, "never"),
        ({"every": 5, "before": 5}, ValueError, "never"),
        ({"once": "yes"}, TypeError, "once is 'yes'"),
    ],
)
def test_wrong_ones(filters: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        trainer_of().add_callback("on_train_end", print, **filters)
