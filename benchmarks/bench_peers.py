"""What do callbacks at every batch cost here, and in other trainers?

No-op callbacks: native ones here; in the peers Python ones, through the peer's own API for the end of a batch. Two
things are timed: one event, fired as the trainer fires it, and a batch of a whole training by the peer's own trainer
(here by the C++ loop), of a model as small as the peer allows.

Each peer runs in a process of its own (peers/), all take turns with pyhooks. $PYHOOKS_PEERS is a Python that has them;
`make bench-peers` makes one.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from collections import defaultdict
from typing import Any

import pytest

from benchmarks.environment import ROOT
from benchmarks.figures import Samples, Target, clock, replayed, report
from benchmarks.programs import output_of, program

ROUNDS = 7
COUNTS = (0, 1, 10, 100)
QUESTIONS = [f"{what} {n}" for n in COUNTS for what in ("event", "training")]
PYTHON = os.environ.get("PYHOOKS_PEERS", sys.executable)
# The peers with a program in peers/, the cheapest first.
MODULES = {"Ignite": "ignite", "Transformers": "transformers", "Keras": "keras", "Lightning": "lightning"}


class Peer:
    """A program that answers questions until it is closed."""

    def __init__(self, *arguments: str) -> None:
        command = [PYTHON, "-m", f"benchmarks.peers.{arguments[0]}", *arguments[1:]]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)
        self.version = self._answer()

    def ns(self, question: str) -> float:
        """Ask, as "event 10"."""
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        answer = self.process.stdout.readline().strip()
        if not answer:
            pytest.fail(f"{self.process.args} ended with {self.process.wait()}", pytrace=False)
        return answer

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.communicate()


@functools.cache
def installed() -> list[str]:
    """The peers that $PYHOOKS_PEERS can import."""
    code = "import importlib.util, sys; print(*filter(importlib.util.find_spec, sys.argv[1:]))"
    command = [PYTHON, "-c", code, *MODULES.values()]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return [name for name, module in MODULES.items() if module in found]


@functools.cache
def measured() -> dict[str, dict[str, list[float]]]:
    """Nanoseconds: by question, by contestant, one a round."""
    samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with contextlib.ExitStack() as stack:
        peers = {"bare list": Peer("bare_list"), "different": Peer("bare_list", "different")}
        peers |= {name: Peer(MODULES[name]) for name in installed()}
        for peer in peers.values():
            stack.enter_context(peer)
        for _ in range(ROUNDS):
            native = output_of(program("pyhooks_bench_kinds"), 1)
            for question in QUESTIONS:
                samples[question]["pyhooks"] += native[f"native class {question}"]
                samples[question]["ten classes"] += native[f"ten native classes {question}"]
                for name, peer in peers.items():
                    samples[question][name].append(peer.ns(question))
    return samples


def one_class(question: str, *peers: str) -> Samples:
    """Of pyhooks and these peers."""
    return {name: measured()[question][name] for name in ("pyhooks", *peers)}


def each_further(what: str, *peers: str) -> Samples:
    """What one more callback costs, from 1 to 100 of them."""
    few, many = one_class(f"{what} 1", *peers), one_class(f"{what} 100", *peers)
    return {name: [(b - a) / 99 for a, b in zip(few[name], many[name], strict=True)] for name in few}


def show(benchmark: Any, name: str, samples: Samples, target: Target | None = None) -> None:
    """Report nanoseconds."""
    clock.replay(benchmark, [1e-9 * value for value in samples["pyhooks"]])
    report(benchmark, name, "ns", samples, target)


@replayed
@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.parametrize(("what", "name"), [("event", "an event"), ("training", "a batch of a whole training")])
def test_callbacks(benchmark: Any, what: str, name: str, n: int) -> None:
    show(benchmark, f"{name}, {n} callbacks", one_class(f"{what} {n}", "bare list", *installed()))


@replayed
@pytest.mark.parametrize(("what", "name"), [("event", "an event"), ("training", "a whole training")])
def test_each_further_callback(benchmark: Any, what: str, name: str) -> None:
    show(benchmark, f"{name}, each further callback", each_further(what, "bare list", *installed()))


@replayed
@pytest.mark.parametrize(
    ("peer", "target"),
    [
        ("bare list", Target(1 / 15)),
        ("Ignite", None),
        ("Transformers", None),
        ("Keras", None),
        ("Lightning", Target(1 / 500)),
    ],
)
def test_beside(benchmark: Any, peer: str, target: Target | None) -> None:
    if peer not in ("bare list", *installed()):
        pytest.skip(f"{peer} is not installed for {PYTHON}: `make bench-peers` does it")
    show(benchmark, f"an event, 10 callbacks, beside {peer}", one_class("event 10", peer), target)


@replayed
def test_different_callbacks(benchmark: Any) -> None:
    """No two classes of ten native callbacks, no two functions of ten in the list, are the same."""
    samples = {"pyhooks": measured()["event 10"]["ten classes"], "bare list": measured()["event 10"]["different"]}
    show(benchmark, "an event, 10 different callbacks", samples)
