"""What looks as if it worked and would not: another model, copies, async callbacks."""

from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from trainer_helpers import net, trainer_of

import pyhooks


def test_another_model() -> None:
    model = net()
    trainer = trainer_of(model)
    with pytest.raises(AttributeError, match=r"trainer\.model cannot be set.* make a new Trainer for another model"):
        trainer.model = net(1)
    assert trainer.model is model


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_copies(make: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"cannot be copied or pickled.*copy the model and the optimizer and make"):
        make(trainer_of())


async def coroutine(trainer: Any) -> None: ...


async def stream(trainer: Any) -> AsyncIterator[int]:
    yield 1


def generator(trainer: Any) -> Iterator[int]:
    yield 1


class Called:
    async def __call__(self, trainer: Any) -> None: ...


class Late(pyhooks.Callback):
    async def on_train_end(self, trainer: Any) -> None: ...  # type: ignore[override]


@pytest.mark.parametrize(
    ("callback", "says"),
    [
        (coroutine, "coroutine is async: nobody would await it; define it with a plain def"),
        (stream, "stream is async"),
        (generator, "generator is a generator: nobody would iterate over it"),
        (Called(), "Called is async"),
        (functools.partial(coroutine), "is async"),
    ],
)
def test_functions_that_a_call_does_not_run(callback: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        trainer_of().add_callback("on_train_end", callback)


def test_an_async_method() -> None:
    with pytest.raises(TypeError, match=r"Late\.on_train_end is async"):
        trainer_of(callbacks=[Late()])
