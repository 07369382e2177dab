"""Keras on torch: callbacks of a `fit` whose step does nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np

from benchmarks.peers.worker import BATCHES, Mark, serve


class NoOp(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        pass


class Model(keras.Model):
    """Marks each step, and computes nothing."""

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.built = True

    def train_step(self, data: Any) -> dict[str, Any]:
        self.mark()
        return {}


def train(n: int, mark: Mark) -> None:
    model = Model(mark)
    model.compile(jit_compile=False)
    rows = np.zeros((BATCHES, 1), np.float32)
    model.fit(rows, batch_size=1, verbose=0, shuffle=False, callbacks=[NoOp() for _ in range(n)])


def event(n: int) -> Callable[[], object]:
    callbacks = keras.callbacks.CallbackList([NoOp() for _ in range(n)], model=Model(lambda: None))
    callbacks.on_train_begin()
    logs = {"loss": 0.0}
    return lambda: callbacks.on_train_batch_end(0, logs)


if __name__ == "__main__":
    serve(keras.__version__, train, event)
