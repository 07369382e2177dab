"""Ctrl-C and other signals, sent for real."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from trainer_helpers import SETUP, Recorder, at, ending, epoch, points, trainer_of

import pyhooks
from pyhooks.callbacks import EarlyStopping

INTERRUPTED = ("on_interrupt", "on_exception", "teardown")
LONG = 200_000  # rows: an epoch of batches of 2 takes seconds


def press(number: int = signal.SIGINT, after: float = 0.1) -> None:
    threading.Timer(after, os.kill, [os.getpid(), number]).start()


@pytest.fixture
def handler() -> Iterator[Any]:
    """Sets a signal's handler for the length of a test."""
    before: dict[int, Any] = {}

    def set_handler(number: int, function: Any) -> None:
        before[number] = signal.signal(number, function)

    yield set_handler
    for number, function in before.items():
        signal.signal(number, function)


def adam(parameters: list[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters)


def test_during_a_long_epoch(engine: str) -> None:
    recorder = Recorder()
    trainer = trainer_of(engine=engine, callbacks=[recorder], make_optimizer=adam)
    trainer.add_callback("on_train_epoch_start", lambda _: press())
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt) as caught:
        trainer.fit(points(LONG), points(9), epochs=2, batch_size=2)
    assert time.monotonic() - started < 10, "the epoch was not waited for"
    assert recorder.seen == [*SETUP, ("on_train_epoch_start", 0), *ending(0, *INTERRUPTED)]
    assert trainer.exception is caught.value and type(caught.value) is KeyboardInterrupt
    made = len(trainer.history.batch["loss"])
    assert 0 < made < LONG / 2 and trainer.history.epochs == []
    steps = {int(state["step"]) for state in trainer.optimizer.state_dict()["state"].values()}
    assert steps == {trainer.global_step} and trainer.global_step in (
        made,
        made - 1,
    )  # the engine's own batch may break
    assert all(parameter.isfinite().all() for parameter in trainer.model.parameters())


def test_everything_goes_on_after_it() -> None:
    trainer = trainer_of(make_optimizer=adam)
    handle = trainer.add_callback("on_train_epoch_start", lambda _: press())
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(points(LONG), epochs=2, batch_size=2)
    handle.remove()
    steps = trainer.global_step
    result = trainer.fit(points(20), points(9, 1), epochs=2, batch_size=8)
    assert result.epochs_run == 2 and trainer.exception is None
    state = trainer.optimizer.state_dict()["state"]
    assert {int(one["step"]) for one in state.values()} == {steps + 6}


class PressesAt:
    """Batches; Ctrl-C comes while one of them is being read."""

    def __init__(self, number: int, batches: int = 1000) -> None:
        self.number, self.batches = number, batches

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Any]:
        for i in range(self.batches):
            if i == self.number:
                os.kill(os.getpid(), signal.SIGINT)
            yield points(8, i)


def test_within_one_batch() -> None:
    # The batches are read ahead in a thread, so no Python runs in the main thread to see the signal.
    trainer = trainer_of(engine="graph", verify=1)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(PressesAt(20), epochs=1)
    assert len(trainer.history.batch["loss"]) <= 21, "batches 0 to 19, and the one that was in hand"


@pytest.mark.parametrize("event", ["on_pretrain_routine_start", "on_train_epoch_start", "on_val_end", "on_train_end"])
def test_inside_a_python_callback(event: str) -> None:
    def work(_: pyhooks.Trainer) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    recorder = Recorder()
    trainer = trainer_of()
    trainer.add_callback(event, work)
    trainer.add_callback(recorder)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(points(), points(), epochs=1, batch_size=8)
    assert time.monotonic() - started < 4
    assert recorder.names[-3:] == list(INTERRUPTED) and event not in recorder.names


def test_raised_by_hand_it_is_the_same() -> None:
    error, recorder = KeyboardInterrupt("by hand"), Recorder()

    def raises(_: pyhooks.Trainer) -> None:
        raise error

    trainer = trainer_of(callbacks=[recorder])
    at(trainer, "on_fit_epoch_end", 1, raises)
    with pytest.raises(KeyboardInterrupt) as caught:
        trainer.fit(points(), epochs=3, batch_size=8)
    assert caught.value is error
    assert recorder.seen == SETUP + epoch(0, val=False) + epoch(1, val=False) + ending(1, *INTERRUPTED)


def test_during_validation() -> None:
    recorder = Recorder()
    trainer = trainer_of(callbacks=[recorder])
    trainer.add_callback("on_val_start", lambda _: press())
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(points(), points(LONG * 2), epochs=1, batch_size=1)
    assert recorder.names[-5:] == ["on_train_epoch_end", "on_val_start", *INTERRUPTED]


def test_the_best_weights_come_back() -> None:
    stopper = EarlyStopping("train/loss", restore_best=True)
    kept: list[Tensor] = []
    trainer = trainer_of(callbacks=[stopper])
    at(trainer, "on_fit_epoch_end", 0, lambda t: kept.append(t.model.weight.detach().clone()))
    at(trainer, "on_train_epoch_start", 1, lambda _: press())
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(points(LONG // 10), epochs=10_000, batch_size=2)
    if stopper.best_epoch == 0:
        assert torch.equal(trainer.model.weight, kept[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_a_handler_that_does_not_raise_lets_training_go_on(number: int, handler: Any) -> None:
    came: list[int] = []
    handler(number, lambda *_: came.append(trainer.peek().batch))
    trainer = trainer_of()
    trainer.add_callback("on_train_epoch_start", lambda _: press(number, 0.02))
    result = trainer.fit(points(LONG // 4), epochs=1, batch_size=2)
    assert result.epochs_run == 1 and len(trainer.history.batch["loss"]) == LONG / 8
    assert len(came) == 1 and 0 < came[0] < LONG / 8, "it ran while the batches did"


def test_a_handler_that_raises_something_else(handler: Any) -> None:
    class Enough(Exception):
        pass

    def raises(*_: Any) -> None:
        raise Enough

    handler(signal.SIGUSR1, raises)
    recorder = Recorder()
    trainer = trainer_of(callbacks=[recorder])
    trainer.add_callback("on_train_epoch_start", lambda _: press(signal.SIGUSR1))
    with pytest.raises(Enough):
        trainer.fit(points(LONG), epochs=1, batch_size=2)
    assert recorder.names[-2:] == ["on_exception", "teardown"] and "on_interrupt" not in recorder.names


def test_handlers_are_as_before() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)}
    trainer_of().fit(points(), epochs=1, batch_size=8)
    assert {number: signal.getsignal(number) for number in before} == before
    with pytest.raises(KeyboardInterrupt):  # and the handler in place is the one Python sees
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


def test_in_another_thread_a_fit_trains_undisturbed() -> None:
    results: list[pyhooks.Result] = []
    trainer = trainer_of()
    thread = threading.Thread(target=lambda: results.append(trainer.fit(points(), epochs=2, batch_size=8)))
    thread.start()
    thread.join()
    assert results[0].epochs_run == 2
