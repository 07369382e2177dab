"""One trainer in several threads: they take turns, or are refused while ``fit`` runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import nn
from trainer_helpers import points, trainer_of

import pyhooks

X, Y = points(200)


def in_thread(act: Callable[[], Any]) -> Any:
    """What it returns or raises in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result(timeout=60)


def test_predict_and_evaluate_take_turns(engine: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 64), nn.Dropout(), nn.ReLU(), nn.Linear(64, 3))
    trainer = trainer_of(model, engine=engine)
    outputs, values = trainer.predict(X, batch_size=7), trainer.evaluate((X, Y), batch_size=7)
    start = threading.Barrier(6)

    def work(number: int) -> None:
        start.wait(timeout=60)
        for _ in range(20):
            if number % 2:
                assert torch.equal(trainer.predict(X, batch_size=7), outputs)
            else:
                assert trainer.evaluate((X, Y), batch_size=7) == values

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6), timeout=120))
    assert model.training and all(part.training for part in model.modules())


def test_a_callback_of_the_running_fit_may_predict_and_evaluate(engine: str) -> None:
    trainer = trainer_of(engine=engine)
    found: list[Any] = []
    trainer.add_callback("on_train_epoch_end", lambda t: found.append((t.predict(X), t.evaluate((X, Y)))))
    trainer.fit((X, Y), epochs=2)
    assert [outputs.shape for outputs, _ in found] == [(200, 3)] * 2


USES: dict[str, Callable[[pyhooks.Trainer], Any]] = {
    "evaluate": lambda t: t.evaluate((X, Y)),
    "predict": lambda t: t.predict(X),
    "callback_stats": lambda t: t.callback_stats(),
    "explain": lambda t: t.explain(),
    "trainer.optimizer": lambda t: t.optimizer,
    "load_checkpoint": lambda t: t.load_checkpoint("last.safetensors"),
}


@pytest.mark.parametrize("use", USES)
def test_refused_from_another_thread_while_fit_runs(use: str) -> None:
    trainer = trainer_of()
    errors: list[BaseException] = []

    def elsewhere(t: Any) -> None:
        with pytest.raises(RuntimeError) as caught:
            in_thread(lambda: USES[use](trainer))
        errors.append(caught.value)

    trainer.add_callback("on_train_epoch_end", elsewhere)
    trainer.fit((X, Y), epochs=1)
    assert f"{use} was called from another thread while fit() runs" in str(errors[0])


def test_a_second_fit_in_another_thread_is_refused() -> None:
    trainer = trainer_of()
    says = "training already"

    def elsewhere(t: Any) -> None:
        with pytest.raises(RuntimeError, match=says):
            in_thread(lambda: trainer.fit((X, Y), epochs=1))

    trainer.add_callback("on_train_epoch_end", elsewhere)
    assert trainer.fit((X, Y), epochs=1).epochs_run == 1


def test_fit_waits_for_predict_and_who_waits_meanwhile_is_refused() -> None:
    trainer = trainer_of()
    trainer._lock.acquire()  # as a predict does
    with ThreadPoolExecutor(2) as pool:
        gate = threading.Event()
        trainer.add_callback("on_train_start", lambda _: gate.wait(timeout=60))
        fit = pool.submit(trainer.fit, (X, Y), epochs=1)
        assert not fit.done()
        trainer._lock.release()
        while trainer._running is None:
            pass
        other = pool.submit(trainer.predict, X)
        with pytest.raises(RuntimeError, match="predict was called from another thread"):
            other.result(timeout=60)
        gate.set()
        assert fit.result(timeout=60).epochs_run == 1
    assert in_thread(lambda: trainer.predict(X)).shape == (200, 3), "the lock is free again"
