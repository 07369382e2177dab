"""Other Python threads go on while batches run."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from trainer_helpers import assert_same, points, state_of, trainer_of


class Counter(threading.Thread):
    """Counts while told to."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.count = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            self.count += 1


def test_a_python_thread_makes_progress_during_a_native_epoch() -> None:
    trainer = trainer_of(engine="graph", verify=0)
    counter = Counter()
    counts: list[int] = []
    trainer.add_callback("on_train_epoch_start", lambda _: counts.append(counter.count))
    trainer.add_callback("on_train_epoch_end", lambda _: counts.append(counter.count))
    counter.start()
    trainer.fit(points(20_000), epochs=2, batch_size=2)
    counter.done.set()
    counter.join()
    assert counts[1] - counts[0] > 1000 and counts[3] - counts[2] > 1000


def test_another_thread_can_watch() -> None:
    trainer = trainer_of()
    seen: list[Any] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.append(trainer.peek())

    thread = threading.Thread(target=watch)
    trainer.add_callback("on_train_start", lambda _: thread.start())
    trainer.fit(points(20_000), points(20_000), epochs=2, batch_size=4)
    done.set()
    thread.join()
    steps = [peek.global_step for peek in seen]
    assert steps == sorted(steps) and len(set(steps)) > 10
    assert {peek.training for peek in seen} == {True, False, None} and {peek.epoch for peek in seen} == {0, 1}
    assert all(0 <= peek.batch <= peek.batches for peek in seen if peek.training is not None)


# Captures watch the generators of the whole process; numbers drawn by another thread meanwhile make them refuse.
@pytest.mark.filterwarnings("ignore:pyhooks runs this model's training steps with engine='python'")
def test_trainers_in_several_threads() -> None:
    alone = trainer_of()
    alone.fit(points(2000), epochs=3, shuffle=False)
    trainers = [trainer_of(seed=None) for _ in range(3)]
    threads = [
        threading.Thread(target=one.fit, args=(points(2000),), kwargs={"epochs": 3, "shuffle": False})
        for one in trainers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in trainers:
        assert_same(state_of(one), state_of(alone))
