"""Hooks that come and go, and what the model looks like meanwhile."""

from __future__ import annotations

import copy
import io
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from parity import harness
from parity.harness import build, trainer_for
from taps.tapped import NET, Net
from torch import nn

import pyhooks
from pyhooks.native import ActivationStats, GradNoise, GradScale, GradStats

LONG = NET.but(epochs=6, val_rows=0)


def fit(trainer: pyhooks.Trainer, epochs: int) -> None:
    harness.fit(LONG.but(epochs=epochs), trainer, LONG.train_data())


def twin(engine: str) -> tuple[pyhooks.Trainer, Callable[[], bool]]:
    """A trainer, and whether its model is now as that of another after as many epochs without hooks."""
    parts = build(LONG)
    trainer = trainer_for(LONG, parts, engine)

    def same(*fits: int) -> bool:
        other = build(LONG)
        alone = trainer_for(LONG, other, engine)
        for epochs in fits:
            fit(alone, epochs)
        mine, theirs = parts.model.state_dict(), other.model.state_dict()
        return all(torch.equal(mine[name], theirs[name]) for name in theirs)

    return trainer, same


def test_a_hook_added_and_removed_between_fits(engine: str) -> None:
    trainer, same = twin(engine)
    fit(trainer, 1)
    handle = trainer.add_hook("fc1", ActivationStats("mean"))
    fit(trainer, 1)
    assert handle.calls == 3 and "fc1/output/mean" in trainer.metrics
    assert handle.remove() is True and handle.remove() is False
    fit(trainer, 1)
    assert handle.calls == 3 and "fc1/output/mean" not in trainer.metrics
    assert same(1, 1, 1)
    assert trainer.explain() == f"engine: {engine}\nno callbacks"


def test_a_hook_that_replaced_and_was_removed_before_it_could(engine: str) -> None:
    trainer, same = twin(engine)
    handle = trainer.add_hook("fc1", GradScale(0.5), on="grad")
    handle.remove()
    fit(trainer, 2)
    assert same(2)


def test_hooks_added_and_removed_at_epochs(engine: str) -> None:
    trainer, same = twin(engine)
    handles: list[Any] = []

    def change(trainer: pyhooks.Trainer) -> None:
        if trainer.epoch == 1:
            handles.append(trainer.add_hook("fc1", ActivationStats("mean")))
            handles.append(trainer.add_hook("fc1.weight", GradStats("mean"), on="param_grad"))
        if trainer.epoch == 3:
            assert [handle.remove() for handle in handles] == [True, True]

    trainer.add_callback("on_train_epoch_start", change)
    fit(trainer, 6)
    assert [handle.calls for handle in handles] == [6, 6]
    batch = trainer.history.batch
    for column in ("fc1/output/mean", "fc1.weight/param_grad/mean"):
        assert np.isfinite(batch[column][3:9]).all()
        assert np.isnan(np.delete(batch[column], slice(3, 9))).all()
    assert same(6)


def test_a_layer_put_into_the_model_is_hooked_too(engine: str) -> None:
    parts = build(LONG)
    trainer = trainer_for(LONG, parts, engine)
    handle = trainer.add_hook("drop*", ActivationStats("zeros"))

    def change(trainer: pyhooks.Trainer) -> None:
        if trainer.epoch == 1:
            parts.model.drop = nn.Sequential(nn.Tanh(), nn.Dropout(0.9))

    trainer.add_callback("on_train_epoch_start", change)
    fit(trainer, 2)
    assert handle.tensors == ["drop", "drop.0", "drop.1"]
    assert handle.calls == 3 + 3 * 3


def test_only_recording_starts_anew_with_each_fit(engine: str) -> None:
    trainer, _ = twin(engine)
    handle = trainer.add_hook("fc1", ActivationStats("histogram"))
    fit(trainer, 2)
    first = handle.histogram("fc1")[0].sum()
    fit(trainer, 1)
    assert handle.calls == 3 and handle.histogram("fc1")[0].sum() == first == 22 * 16


def test_the_model_has_no_hooks_while_no_step_is_computed(engine: str) -> None:
    seen: list[int] = []

    def look(trainer: pyhooks.Trainer) -> None:
        seen.append(sum(len(part._forward_hooks) for part in trainer.model.modules()))
        copy.deepcopy(trainer.model)
        torch.save(trainer.model, io.BytesIO())  # pickles it

    trainer, _ = twin(engine)
    trainer.add_hook("*", ActivationStats("mean"))
    for event in ("on_train_epoch_start", "on_train_epoch_end", "on_fit_epoch_end", "on_train_end"):
        trainer.add_callback(event, look)
    fit(trainer, 2)
    look(trainer)
    assert seen == [0] * 8


def test_nor_after_an_exception(engine: str) -> None:
    def broken(outputs: Any, targets: Any) -> Any:
        raise ArithmeticError("in the loss")

    model = Net()
    trainer = pyhooks.Trainer(model, broken, torch.optim.SGD(model.parameters()), engine=engine, progress=False)
    handle = trainer.add_hook("*", ActivationStats("mean"))
    with pytest.raises(ArithmeticError, match="in the loss"):
        trainer.fit(NET.train_data(), epochs=1, batch_size=8)
    assert not any(part._forward_hooks for part in model.modules())
    assert handle.calls == (engine == "python") * 6, "the python engine got as far as the loss"


def test_a_model_in_two_trainers(engine: str) -> None:
    parts = build(LONG)
    handles = []
    for _ in range(2):
        trainer = trainer_for(LONG, parts, engine)
        handles.append(trainer.add_hook("fc1", ActivationStats("mean")))
        fit(trainer, 1)
    assert [handle.calls for handle in handles] == [3, 3]


def test_plans_are_kept_where_hooks_are() -> None:
    trainer, _ = twin("graph")
    trainer.add_hook("fc1", ActivationStats("mean"))
    fit(trainer, 1)
    engine = trainer._engine
    handle = trainer.add_hook("fc1.weight", GradStats("mean"), on="param_grad")  # is in no plan
    fit(trainer, 1)
    handle.remove()
    fit(trainer, 1)
    assert trainer._engine is engine


def test_another_threads_call_of_a_module_is_not_seen() -> None:
    def loss(outputs: Any, targets: Any) -> Any:
        thread = threading.Thread(target=lambda: fc1(torch.zeros(2, 6)))
        thread.start()
        thread.join()
        return nn.functional.cross_entropy(outputs, targets)

    parts = build(LONG)
    fc1 = parts.model.fc1
    trainer = pyhooks.Trainer(parts.model, loss, parts.optimizer, engine="python", progress=False)
    handle = trainer.add_hook("fc1", ActivationStats("mean"))
    fit(trainer, 1)
    assert handle.tensors == ["fc1"] and handle.calls == 3


def test_resuming_from_a_checkpoint(engine: str, tmp_path: Any) -> None:
    def trainer(folder: str) -> pyhooks.Trainer:
        saving = [pyhooks.callbacks.Checkpoint(tmp_path / folder)]
        made = trainer_for(LONG, build(LONG), engine, callbacks=saving)
        made.add_hook("fc*", GradNoise(), on="grad")
        made.add_hook("fc1", ActivationStats("mean"))
        return made

    whole, first, second = trainer("whole"), trainer("parts"), trainer("parts")
    fit(whole, 6)
    fit(first, 2)
    second.load_checkpoint(next(tmp_path.rglob("parts/**/last*")))
    fit(second, 6)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], value), name
    assert second.history.epochs == whole.history.epochs
