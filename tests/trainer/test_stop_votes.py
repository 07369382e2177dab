"""Votes to stop: by whom, at which event, and what still happens."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from trainer_helpers import SETUP, Recorder, at, ending, epoch, points, trainer_of

import pyhooks

EPOCH_END = ["on_train_epoch_end", "on_val_start", "on_val_end", "on_fit_epoch_end"]
LAST = ending(1, "on_early_stop", "on_train_end", "teardown")


def set_stop(trainer: pyhooks.Trainer) -> None:
    trainer.stop = True


def request(trainer: pyhooks.Trainer) -> None:
    trainer.request_stop("enough")


@pytest.mark.parametrize("vote", [set_stop, request])
@pytest.mark.parametrize("event", EPOCH_END)
def test_at_an_epochs_event_the_epoch_is_finished(event: str, vote: Callable[..., None], engine: str) -> None:
    recorder = Recorder()
    trainer = trainer_of(engine=engine)
    at(trainer, event, 1, vote)
    trainer.add_callback(recorder)
    result = trainer.fit(points(), points(9, 1), epochs=5, batch_size=8)
    assert recorder.seen == SETUP + epoch(0) + epoch(1) + LAST
    assert trainer.stop and result.epochs_run == 2 and len(result.history.epochs) == 2
    wanted = "trainer.stop was set" if vote is set_stop else "enough"
    assert result.stop_reason is not None
    assert wanted in result.stop_reason and "[epoch 1]" in result.stop_reason
    assert result.stop_reason == trainer.stop_reason


def test_at_an_epochs_start_the_epoch_does_not_happen() -> None:
    recorder = Recorder()
    trainer = trainer_of(callbacks=[recorder])
    at(trainer, "on_train_epoch_start", 1, request)
    result = trainer.fit(points(), points(9, 1), epochs=5, batch_size=8)
    assert recorder.seen == SETUP + epoch(0) + [("on_train_epoch_start", 1), *LAST]
    assert result.epochs_run == 1
    assert result.metrics == result.history.epochs[-1], "of the last epoch that happened"


@pytest.mark.parametrize("event", [name for name, _ in SETUP])
def test_before_the_first_epoch_nothing_is_trained(event: str) -> None:
    recorder = Recorder()
    trainer = trainer_of(callbacks=[recorder])
    trainer.add_callback(event, request)
    before = trainer.model.weight.clone()
    result = trainer.fit(points(), epochs=5, batch_size=8)
    assert recorder.seen == SETUP + ending(0, "on_early_stop", "on_train_end", "teardown")
    assert result.epochs_run == 0 and result.metrics == {} and torch.equal(trainer.model.weight, before)


@pytest.mark.parametrize("event", ["on_train_end", "teardown"])
def test_after_the_last_epoch_it_changes_nothing(event: str) -> None:
    recorder = Recorder()
    trainer = trainer_of(callbacks=[recorder])
    trainer.add_callback(event, request)
    trainer.fit(points(), epochs=1, batch_size=8)
    assert recorder.seen == SETUP + epoch(0, val=False) + ending(0, "on_train_end", "teardown")


def test_a_native_vote_ends_the_epochs_batches() -> None:
    x, y = points(40)
    x[17] = float("nan")  # batch 2 of 5
    recorder = Recorder()
    trainer = trainer_of(callbacks=[pyhooks.native.NaNGuard(), recorder])
    result = trainer.fit((x, y), points(9, 1), epochs=3, batch_size=8, shuffle=False)
    assert recorder.seen == SETUP + epoch(0) + ending(0, "on_early_stop", "on_train_end", "teardown")
    assert len(result.history.batch["loss"]) == 3
    assert result.stop_reason is not None
    for part in ("NaNGuard", "nan", "batch 2", "epoch 0"):
        assert part in result.stop_reason
    assert [stats["stops"] for stats in trainer.callback_stats() if stats["label"] == "NaNGuard"] == [1]


def test_a_vote_silences_nobody_and_all_votes_are_told() -> None:
    late = Recorder()
    trainer = trainer_of()
    for name in ("first", "second"):
        at(trainer, "on_train_epoch_end", 1, lambda t, name=name: t.request_stop(name))
    trainer.add_callback(late)
    result = trainer.fit(points(), epochs=5, batch_size=8)
    assert late.names.count("on_train_epoch_end") == 2
    assert result.stop_reason is not None
    assert result.stop_reason.index("first") < result.stop_reason.index("second")


def test_the_callback_that_voted_is_named() -> None:
    class Impatient(pyhooks.Callback):
        def on_train_epoch_end(self, trainer: pyhooks.Trainer) -> None:
            trainer.request_stop("enough")

    def impatient(trainer: pyhooks.Trainer) -> None:
        trainer.request_stop("enough")

    trainer = trainer_of(callbacks=[Impatient()])
    assert "Impatient: enough [epoch 0]" in (trainer.fit(points(), epochs=5, batch_size=8).stop_reason or "")
    trainer = trainer_of()
    trainer.add_callback("on_val_end", impatient)
    assert "impatient: enough" in (trainer.fit(points(), points(), epochs=5, batch_size=8).stop_reason or "")


def test_a_vote_from_another_thread_ends_the_epoch_early() -> None:
    def vote_soon(trainer: pyhooks.Trainer) -> None:
        threading.Timer(0.05, trainer.request_stop, ["the phone rang"]).start()

    trainer = trainer_of()
    trainer.add_callback("on_train_start", vote_soon)
    result = trainer.fit(points(400_000), epochs=50, batch_size=2)
    assert result.epochs_run == 1 and len(result.history.batch["loss"]) < 200_000
    assert "the phone rang" in (result.stop_reason or "")


def test_a_second_fit_starts_without_votes() -> None:
    trainer = trainer_of()
    trainer.add_callback("on_train_epoch_end", request, once=True)
    assert trainer.fit(points(), epochs=3, batch_size=8).epochs_run == 1
    result = trainer.fit(points(), epochs=3, batch_size=8)
    assert result.epochs_run == 3 and result.stop_reason is None and not trainer.stop


def test_a_stop_cannot_be_taken_back() -> None:
    trainer = trainer_of()
    with pytest.raises(ValueError, match="cannot be taken back"):
        trainer.stop = False


@pytest.mark.parametrize("fitted", [False, True])
def test_without_a_run_there_is_nothing_to_stop(fitted: bool) -> None:
    trainer = trainer_of()
    if fitted:
        trainer.fit(points(), epochs=1, batch_size=8)
    with pytest.raises(RuntimeError, match="no training to stop"):
        trainer.stop = True
    assert not trainer.stop
