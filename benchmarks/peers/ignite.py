"""Ignite: handlers of an engine whose step does nothing."""

from __future__ import annotations

from collections.abc import Callable

import ignite
from ignite.engine import Engine, Events

from benchmarks.peers.worker import BATCHES, Mark, serve


def no_op(engine: Engine) -> None:
    pass


def engine_with(n: int, step: Callable[[], None]) -> Engine:
    engine = Engine(lambda engine, batch: step())
    for _ in range(n):
        engine.add_event_handler(Events.ITERATION_COMPLETED, no_op)
    return engine


def train(n: int, mark: Mark) -> None:
    engine_with(n, mark).run(range(BATCHES), max_epochs=1)


def event(n: int) -> Callable[[], object]:
    engine = engine_with(n, lambda: None)
    engine.run(range(1), max_epochs=1)
    return lambda: engine.fire_event(Events.ITERATION_COMPLETED)


if __name__ == "__main__":
    serve(ignite.__version__, train, event)
