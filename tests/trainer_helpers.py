"""What the tests of the trainer share: small models and data, and callbacks that take notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import pyhooks
from pyhooks import events

PYTHON_EVENTS = [name for name, kind in events.KINDS.items() if kind != "batch"]
BATCH_EVENTS = [name for name, kind in events.KINDS.items() if kind == "batch"]

Note = tuple[str, int]


def points(rows: int = 20, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows of 4 numbers in 3 classes."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 4, generator=g), torch.randint(3, (rows,), generator=g)


def arrays(rows: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x, y = points(rows, seed)
    return x.numpy(), y.numpy()


def net(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(4, 3)


def trainer_of(model: nn.Module | None = None, loss: Any = F.cross_entropy, **options: Any) -> pyhooks.Trainer:
    """A trainer with SGD (or ``make_optimizer(parameters)``) and no progress bar."""
    model = net() if model is None else model
    make: Callable[..., torch.optim.Optimizer] = options.pop("make_optimizer", lambda p: torch.optim.SGD(p, lr=0.1))
    options.setdefault("seed", 0)
    return pyhooks.Trainer(model, loss, make(list(model.parameters())), progress=False, **options)


def _noting(name: str) -> Callable[[Any, Any], None]:
    def method(self: Any, trainer: Any) -> None:
        self.seen.append((name, trainer.epoch))
        if self.react is not None:
            self.react(name, trainer)

    return method


class Recorder(pyhooks.Callback):
    """Notes (event, epoch) at every event, and then calls ``react(event, trainer)``."""

    def __init__(self, react: Callable[[str, Any], None] | None = None) -> None:
        self.react = react
        self.seen: list[Note] = []

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.seen]


for _event in PYTHON_EVENTS:
    setattr(Recorder, _event, _noting(_event))


SETUP: list[Note] = [("on_pretrain_routine_start", 0), ("on_pretrain_routine_end", 0), ("on_train_start", 0)]


def epoch(number: int, *, val: bool = True, saves: int = 0) -> list[Note]:
    """The events of a whole epoch."""
    names = ["on_train_epoch_start", "on_train_epoch_end"]
    names += ["on_val_start", "on_val_end"] * val
    names += ["on_model_save", "on_checkpoint_durable"] * saves + ["on_fit_epoch_end"]
    return [(name, number) for name in names]


def upto(notes: Sequence[Note], last: Note) -> list[Note]:
    """The notes up to and with ``last``."""
    return list(notes[: list(notes).index(last) + 1])


def ending(number: int, *names: str) -> list[Note]:
    return [(name, number) for name in names]


def at(trainer: pyhooks.Trainer, event: str, number: int, act: Callable[[Any], Any]) -> None:
    """Make ``act(trainer)`` happen at an event of one epoch."""
    trainer.add_callback(event, lambda t: act(t) if t.epoch == number else None)


def state_of(trainer: pyhooks.Trainer) -> dict[str, Any]:
    """All numbers a run has made: the model's and the optimizer's tensors, and the epochs' metrics."""
    tensors = {f"model.{name}": value for name, value in trainer.model.state_dict().items()}
    for i, state in trainer.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{name}": value for name, value in state.items()}
    return {**tensors, "history": trainer.history.epochs}


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if isinstance(value, Tensor):
            assert torch.equal(found[name], value), name
        else:
            assert found[name] == value, name
