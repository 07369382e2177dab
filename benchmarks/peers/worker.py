"""The frame of the peers' programs: answers what bench_peers.py asks, until there are no more questions.

A program names its peer and gives two functions. It then reads lines such as "event 10" or "training 10", and answers
each with nanoseconds, 10 being the number of no-op callbacks. Its first line, unasked, is the peer's version.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable

BATCHES = 240
WARM_UP = 40  # the first batches of a training, not counted
CHUNKS = 51  # events are timed in chunks, shorter than what the system's scheduler gives at once
CHUNK_NS = 200_000

Mark = Callable[[], None]
#: ``train(n, mark)`` trains `BATCHES` batches with n no-op callbacks, and calls ``mark`` in each batch's step.
Train = Callable[[int, Mark], None]
#: ``event(n)`` returns a function that fires one event, to which n no-op callbacks listen.
Event = Callable[[int], Callable[[], object]]


def batch_ns(train: Train, n: int) -> float:
    """From one batch's step to the next one's, the median."""
    stamps: list[int] = []
    train(n, lambda: stamps.append(time.perf_counter_ns()))
    if len(stamps) != BATCHES:
        raise RuntimeError(f"the peer trained {len(stamps)} batches; {BATCHES} were wanted")
    counted = stamps[WARM_UP:]
    return statistics.median(b - a for a, b in itertools.pairwise(counted))


def event_ns(event: Event, n: int) -> float:
    """One event, the median over chunks."""
    fire = event(n)
    for _ in range(WARM_UP):
        fire()
    number = max(1, round(CHUNK_NS / chunk_ns(fire, 10)))
    return statistics.median(chunk_ns(fire, number) for _ in range(CHUNKS))


def chunk_ns(fire: Callable[[], object], number: int) -> float:
    """Nanoseconds a call."""
    start = time.perf_counter_ns()
    for _ in range(number):
        fire()
    return (time.perf_counter_ns() - start) / number


def serve(version: str, train: Train, event: Event) -> None:
    """Answer. What the peer itself prints goes to the error output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(version, file=answers, flush=True)
    for line in sys.stdin:
        what, n = line.split()
        ns = batch_ns(train, int(n)) if what == "training" else event_ns(event, int(n))
        print(ns, file=answers, flush=True)
