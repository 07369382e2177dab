"""Times calls from C++ into Python and prints nanoseconds as JSON: what bench_dispatch.py starts.

    python -m benchmarks.python_calls build/dev 9

In a process of its own: pyhooks comes first, so that the module of the build folder uses the core of the installed one,
which is the same.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import pyhooks  # noqa: F401  (before the module: see above)
from benchmarks.figures import in_turns
from benchmarks.peers import bare_list

CALLS = 200_000
BATCHES = 200
BATCH_NS = 200_000  # of C++ work between calls, as a loop's batch would be
CALLBACKS = 10
NATIVE_BATCHES = 2000  # a batch beside a busy thread takes 5 ms where Python is called, 0.2 ms where it is not
NUMBA_COUNTS = (0, 1, 10, 100)


class Trainer:
    """Something a weak reference can be made to."""


def no_op(trainer: Trainer) -> None:
    """The least a Python callback can do."""


class Busy(threading.Thread):
    """Another Python thread at work."""

    def __enter__(self) -> None:
        self.working = True
        self.start()

    def __exit__(self, *_: Any) -> None:
        self.working = False
        self.join()

    def run(self) -> None:
        """Work."""
        n = 0
        while self.working:
            n += 1


def nothing(s: Any) -> None:
    """The least a compiled callback can do."""


def numba_calls(calls: Any) -> dict[str, Callable[[], float]]:
    """What cpp/bench_kinds.cpp times, of a function that numba has compiled; nothing without numba."""
    if importlib.util.find_spec("numba") is None:
        return {}
    from pyhooks.numba_compile import Compiled

    compiled = Compiled(nothing, np.dtype(np.float32), None, boundscheck=True, fastmath=False)
    return {
        f"numba {what} {n}": lambda timed=timed, n=n: timed(compiled.address, n)
        for n in NUMBA_COUNTS
        for what, timed in [("event", calls.c_event), ("training", calls.c_training)]
    }


def p99(values: list[float]) -> float:
    """What 99 of 100 stay below."""
    return statistics.quantiles(values, n=100)[-1]


def main() -> None:
    """Measure and print."""
    sys.path.insert(0, sys.argv[1])
    calls = importlib.import_module("pyhooks_bench_python")
    trainer = Trainer()

    def at_every_batch() -> float:
        return statistics.mean(calls.each(no_op, trainer, BATCHES, BATCH_NS))

    def beside_a_busy_thread() -> float:
        with Busy(daemon=True):
            return at_every_batch()

    def native_p99() -> float:
        with Busy(daemon=True):
            return p99(calls.native_each(CALLBACKS, NATIVE_BATCHES, BATCH_NS))

    def python_p99() -> float:
        peer = bare_list.Trainer([bare_list.no_op] * CALLBACKS)
        with Busy(daemon=True):
            return p99(calls.each(peer.run, "on_train_batch_end", BATCHES, BATCH_NS))

    contestants = {
        "adapter": lambda: calls.adapter(no_op, trainer, CALLS),
        "bare": lambda: calls.bare(no_op, trainer, CALLS),
        "quiet": at_every_batch,
        "busy": beside_a_busy_thread,
        "native p99": native_p99,
        "python p99": python_p99,
        **numba_calls(calls),
    }
    print(json.dumps(in_turns(contestants, int(sys.argv[2]))))


if __name__ == "__main__":
    main()
