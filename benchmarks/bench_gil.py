"""Does training leave the interpreter free?

A thread that does nothing but count, in pure Python, runs on one core while an epoch runs on the other. How much of the
speed it has alone does it keep, and what does it do to the training? Time in which the thread could have run but got no
core (other processes had them) is left out: that is the machine's doing. Waiting for the GIL is not left out.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cases
from benchmarks.figures import Target, clock, in_turns, replayed, report
from benchmarks.loops import Eager, Loop, Pyhooks

ROUNDS = 9
PYHOOKS_STEPS, EAGER_STEPS = 10_000, 50  # an epoch takes some tenths of a second, eager's too: it waits for the GIL


class Counter(threading.Thread):
    """Counts as fast as Python can."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.count = 0
        self.stopping = False

    def run(self) -> None:
        """Count until told to stop."""
        while not self.stopping:
            self.count += 1

    def seconds_without_core(self) -> float:
        """How long the thread has waited for a core, in all; see "run_delay" in the kernel's sched-stats.rst."""
        return int(Path(f"/proc/self/task/{self.native_id}/schedstat").read_text().split()[1]) / 1e9

    def speed_during(self, work: Callable[[], Any]) -> float:
        """Millions a second, while something else runs in the calling thread."""
        count, start, without = self.count, time.perf_counter(), self.seconds_without_core()
        work()
        seconds = time.perf_counter() - start - (self.seconds_without_core() - without)
        return (self.count - count) / seconds / 1e6


@pytest.fixture
def counter() -> Iterator[Counter]:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    thread = Counter()
    thread.start()
    yield thread
    thread.stopping = True
    thread.join()


@pytest.fixture(scope="module")
def loops() -> dict[str, Loop]:
    pyhooks = Pyhooks(dataclasses.replace(cases.MLP, steps=PYHOOKS_STEPS))
    eager = Eager(dataclasses.replace(cases.MLP, steps=EAGER_STEPS))
    for loop in (pyhooks, eager):
        loop.epoch()  # captures, warms up
    return {"pyhooks": pyhooks, "eager": eager}


def test_counting_thread(benchmark: Any, loops: dict[str, Loop], counter: Counter) -> None:
    speeds = {
        "pyhooks": lambda: counter.speed_during(loops["pyhooks"].epoch),
        "alone": lambda: counter.speed_during(lambda: time.sleep(0.3)),
        "eager": lambda: counter.speed_during(loops["eager"].epoch),
    }
    samples = benchmark.pedantic(in_turns, args=(speeds, ROUNDS))
    report(benchmark, "a counting Python thread, M/s, during training", "", samples, Target(0.9, at_least=True))


@replayed
def test_training_beside_it(benchmark: Any, loops: dict[str, Loop], counter: Counter) -> None:
    """The other side: what the thread does to the training."""
    samples = in_turns({name: loop.us_a_step for name, loop in loops.items()}, ROUNDS)
    clock.replay(benchmark, [1e-6 * value for value in samples["pyhooks"]])
    report(benchmark, "a step of the MLP, us, beside the counting thread", "", samples)
