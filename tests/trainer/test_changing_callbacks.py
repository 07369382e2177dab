"""Callbacks that add and remove callbacks, and handles."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from trainer_helpers import Recorder, at, points, trainer_of

import pyhooks


def count(trainer: pyhooks.Trainer, event: str, into: list[int], **filters: Any) -> Any:
    return trainer.add_callback(event, lambda t: into.append(t.epoch), **filters)


def test_a_handle_removes_once() -> None:
    calls: list[int] = []
    trainer = trainer_of()
    handle = count(trainer, "on_train_epoch_end", calls)
    trainer.fit(points(), epochs=2, batch_size=8)
    assert handle.remove() is True and handle.remove() is False
    trainer.fit(points(), epochs=2, batch_size=8)
    assert calls == [0, 1]
    assert trainer.callback_stats() == []


def test_a_callback_removes_itself() -> None:
    calls: list[int] = []

    def only_twice(trainer: pyhooks.Trainer) -> None:
        calls.append(trainer.epoch)
        if len(calls) == 2:
            assert handle.remove()

    trainer = trainer_of()
    handle = trainer.add_callback("on_train_epoch_end", only_twice)
    trainer.fit(points(), epochs=5, batch_size=8)
    assert calls == [0, 1]


def test_one_that_is_removed_by_an_earlier_one_is_not_called_any_more() -> None:
    calls: list[int] = []
    trainer = trainer_of()
    at(trainer, "on_train_epoch_end", 1, lambda _: handle.remove())
    handle = count(trainer, "on_train_epoch_end", calls)
    trainer.fit(points(), epochs=4, batch_size=8)
    assert calls == [0]


def test_one_that_is_added_is_called_from_the_next_event_on() -> None:
    same: list[int] = []
    later: list[int] = []
    trainer = trainer_of()

    def add(trainer: pyhooks.Trainer) -> None:
        count(trainer, "on_train_epoch_end", same)
        count(trainer, "on_val_start", later)

    at(trainer, "on_train_epoch_end", 1, add)
    trainer.fit(points(), points(), epochs=3, batch_size=8)
    assert same == [2] and later == [1, 2]


def test_a_native_one_is_added_and_removed_between_epochs() -> None:
    handles: list[Any] = []
    trainer = trainer_of()
    at(
        trainer,
        "on_train_epoch_end",
        0,
        lambda t: handles.append(t.add_callback(pyhooks.native.LossMeter(decay=0.0))),
    )
    at(trainer, "on_train_epoch_end", 1, lambda _: handles[0].remove())
    trainer.fit(points(24), epochs=3, batch_size=8)
    column = trainer.history.batch["loss_ema"]
    assert [value == value for value in column] == [False] * 3 + [True] * 3 + [False] * 3


def test_the_same_object_twice_is_called_twice() -> None:
    recorder = Recorder()
    trainer = trainer_of(callbacks=[recorder])
    handle = trainer.add_callback(recorder)
    trainer.fit(points(), epochs=1, batch_size=8)
    assert recorder.names.count("on_train_start") == 2
    handle.remove()
    trainer.fit(points(), epochs=1, batch_size=8)
    assert recorder.names.count("on_train_start") == 3


def test_one_object_in_two_trainers() -> None:
    guard = pyhooks.native.LossMeter()
    first, second = trainer_of(callbacks=[guard]), trainer_of(callbacks=[guard])
    for trainer in (first, second):
        trainer.fit(points(), epochs=1, batch_size=8)
    assert (first.history.batch["loss_ema"] == second.history.batch["loss_ema"]).all()


def test_an_object_restricted_to_one_event() -> None:
    recorder = Recorder()
    trainer = trainer_of()
    trainer.add_callback("on_val_end", recorder)
    trainer.fit(points(), points(), epochs=2, batch_size=8)
    assert [name for name in recorder.names if name in ("on_val_start", "on_val_end", "on_fit_epoch_end")] == [
        "on_val_end",
        "on_val_end",
    ]


@pytest.mark.parametrize("kind", ["tensors", "batches"])
def test_a_trainer_goes_when_nobody_holds_it(kind: str, engine: str) -> None:
    class Holder(pyhooks.Callback):
        def on_train_start(self, trainer: pyhooks.Trainer) -> None:
            self.trainer = trainer

    def run(engine: str, data: Any) -> tuple[weakref.ref[Any], pyhooks.Result]:
        trainer = trainer_of(engine=engine, callbacks=[Holder()])
        trainer.add_callback("on_train_end", lambda _: trainer.metrics)  # closes over the trainer itself
        return weakref.ref(trainer.model), trainer.fit(data, epochs=1, batch_size=8)

    model, result = run(engine, points() if kind == "tensors" else [points(8)])
    gc.collect()
    assert model() is None
    assert len(result.history.batch["loss"]) > 0
