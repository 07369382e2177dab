"""The cheapest a trainer in Python can do: a bare loop over the functions of an event, as Ultralytics' trainer has it.

The loop is ours, so that it is there without Ultralytics and all it needs; Ultralytics' own takes as long.

    python -m benchmarks.peers.bare_list [different]        with "different", no two of the functions are the same
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable

from benchmarks.peers.worker import BATCHES, Mark, serve


class Trainer:
    """Functions by event, each called with the trainer."""

    def __init__(self, functions: list[Callable[[Trainer], None]]) -> None:
        self.callbacks = {"on_train_batch_end": functions}

    def run(self, event: str) -> None:
        """Call all that listen."""
        for callback in self.callbacks.get(event, []):
            callback(self)


def no_op(trainer: Trainer) -> None:
    pass


def another() -> Callable[[Trainer], None]:
    def no_op(trainer: Trainer) -> None:
        pass

    return no_op


def trainer_with(n: int) -> Trainer:
    return Trainer([another() for _ in range(n)] if sys.argv[1:] == ["different"] else [no_op] * n)


def train(n: int, mark: Mark) -> None:
    trainer = trainer_with(n)
    for _ in range(BATCHES):
        mark()
        trainer.run("on_train_batch_end")


def event(n: int) -> Callable[[], object]:
    trainer = trainer_with(n)
    return lambda: trainer.run("on_train_batch_end")


if __name__ == "__main__":
    serve(platform.python_version(), train, event)
