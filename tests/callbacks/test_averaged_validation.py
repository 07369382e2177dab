"""Validation runs with the averages, and the model always gets its own weights back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from callbacks.averaging import ROWS, Averaging, adam, assert_equal_states, copied, fit, network, trainer_for
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from trainer_helpers import points

import pyhooks
from pyhooks import checkpoint
from pyhooks.callbacks import Checkpoint, EarlyStopping
from pyhooks.native import EMA, SWA

VAL = points(20, seed=1)


class Evaluating(Averaging):
    """Keeps the average's validation loss of each epoch, and the weights trained by then."""

    def __init__(self, buffers: str = "copy") -> None:
        function = get_ema_multi_avg_fn(0.8)
        average = lambda m: AveragedModel(m, multi_avg_fn=function, use_buffers=buffers == "average")  # noqa: E731
        super().__init__(network(), average, lambda loop: True)
        self.losses: list[float] = []
        self.weights: list[dict[str, Tensor]] = []

    def epoch_ends(self, epoch: int) -> None:
        self.average.eval()
        with torch.no_grad():
            self.losses.append(F.cross_entropy(self.average(VAL[0]), VAL[1]).item())
        self.weights.append(copied(self.model))


@pytest.mark.parametrize("engine", ["graph", "python"])
@pytest.mark.parametrize("buffers", ["copy", "average"])
def test_validation_is_of_the_averages_and_training_of_the_weights(engine: str, buffers: Any) -> None:
    plain = Evaluating(buffers)
    plain.fit()
    trainer = trainer_for(network(), EMA(0.8, buffers=buffers), engine=engine)
    kept: list[dict[str, Tensor]] = []
    trainer.add_callback("on_val_end", lambda t: kept.append(copied(t.model)))
    trainer.fit(points(ROWS), VAL, epochs=3, batch_size=8)
    assert [row["val/loss"] for row in trainer.history.epochs] == pytest.approx(plain.losses, rel=1e-6)
    for found, wanted in zip(kept, plain.weights, strict=True):
        assert_equal_states(found, wanted)


def test_they_are_there_from_val_start_on() -> None:
    trainer = trainer_for(network(), EMA(0.8))
    seen: list[dict[str, Tensor]] = []
    trainer.add_callback("on_val_start", lambda t: seen.append(copied(t.model)))
    fit(trainer, 1, VAL)
    assert_equal_states(seen[0], trainer.averaged_weights())
    assert not torch.equal(seen[0]["0.weight"], trainer.model[0].weight)  # type: ignore[index]


def test_fitness_is_of_the_averages() -> None:
    plain = Evaluating()
    plain.fit(6)
    trainer = trainer_for(network(), EMA(0.8))
    fit(trainer, 6, VAL)
    assert trainer.best_fitness == pytest.approx(-min(plain.losses), rel=1e-6)
    assert trainer.best_epoch == plain.losses.index(min(plain.losses))


def test_validate_false() -> None:
    with_it, without = trainer_for(network(), EMA(0.8, validate=False)), trainer_for(network())
    for trainer in (with_it, without):
        fit(trainer, 3, VAL)
    assert with_it.history.epochs == without.history.epochs


def test_the_last_of_several_counts() -> None:
    both, last = trainer_for(network(), EMA(0.5), EMA(0.8)), trainer_for(network(), EMA(0.8))
    for trainer in (both, last):
        fit(trainer, 3, VAL)
    assert both.history.epochs == last.history.epochs
    assert_equal_states(both.model.state_dict(), last.model.state_dict())
    assert_equal_states(both.averaged_weights("EMA#2"), last.averaged_weights())


class Failing(nn.Module):
    """A loss that raises at the second batch of validation."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error, self.batches = error, 0

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if not self.training:
            self.batches += 1
            if self.batches == 2:
                raise self.error
        return F.cross_entropy(outputs, targets)


def failing_trainer(model: nn.Module, error: BaseException, *callbacks: Any) -> pyhooks.Trainer:
    settings: dict[str, Any] = {"engine": "python", "progress": False, "seed": 3}
    return pyhooks.Trainer(model, Failing(error), adam(model), callbacks=[EMA(0.8), *callbacks], **settings)


@pytest.mark.parametrize("error", [ValueError("bad batch"), KeyboardInterrupt()])
def test_what_was_trained_is_back_after_an_exception_in_validation(error: BaseException) -> None:
    plain = Evaluating()
    plain.fit(1)
    trainer = failing_trainer(network(), error)
    seen: list[dict[str, Tensor]] = []
    trainer.add_callback("on_exception", lambda t: seen.append(copied(t.model)))
    with pytest.raises(type(error)):
        fit(trainer, 3, VAL)
    assert_equal_states(seen[0], plain.weights[0])
    assert_equal_states(trainer.model.state_dict(), plain.weights[0])
    assert_equal_states(trainer.averaged_weights(), plain.average.module.state_dict())


def test_best_weights_are_restored_after_ctrl_c_in_validation() -> None:
    plain = Evaluating()
    plain.fit(1)
    trainer = failing_trainer(network(), KeyboardInterrupt(), EarlyStopping(restore_best=True))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(points(ROWS), points(8, seed=1), epochs=3, batch_size=8)  # one batch a validation
    assert_equal_states(trainer.model.state_dict(), plain.weights[0])


@pytest.mark.parametrize("event", ["on_val_start", "on_val_end"])
def test_an_exception_of_another_callback(event: str) -> None:
    plain = Evaluating()
    plain.fit(2)
    trainer = trainer_for(network(), EMA(0.8))

    def raise_in_the_second(trainer: pyhooks.Trainer) -> None:
        if trainer.epoch == 1:
            raise ValueError("mine")

    trainer.add_callback(event, raise_in_the_second)
    with pytest.raises(ValueError, match="mine"):
        fit(trainer, 3, VAL)
    assert_equal_states(trainer.model.state_dict(), plain.weights[1])


def test_removed_during_validation() -> None:
    plain = Evaluating()
    plain.fit()
    trainer = trainer_for(network())
    handle = trainer.add_callback(EMA(0.8))
    trainer.add_callback("on_val_start", lambda t: handle.remove())
    fit(trainer, 3, VAL)
    assert_equal_states(trainer.model.state_dict(), plain.weights[2])
    assert trainer.history.epochs[0]["val/loss"] == pytest.approx(plain.losses[0], rel=1e-6)


@pytest.mark.parametrize("filters", [{"every": 2}, {"after": 1}, {"samples": 60}, {"seconds": 1e9}, {"once": True}])
def test_filtered(filters: dict[str, Any]) -> None:
    plain = Evaluating()
    plain.fit(4)
    trainer = trainer_for(network())
    trainer.add_callback(EMA(0.8), **filters)
    fit(trainer, 4, VAL)
    assert_equal_states(trainer.model.state_dict(), plain.weights[3])


@pytest.mark.parametrize("average", [EMA(0.8, final=True), SWA(start=1, final=True)])
def test_final(average: Any) -> None:
    other = type(average)(**{**average.options, "final": False})
    finished, own = trainer_for(network(), average), trainer_for(network(), other)
    for trainer in (finished, own):
        fit(trainer)
    assert_equal_states(finished.model.state_dict(), own.averaged_weights())
    assert_equal_states(finished.averaged_weights(), own.averaged_weights())


def test_checkpoints_hold_both(tmp_path: Path) -> None:
    plain = Evaluating()
    plain.fit(2)
    trainer = trainer_for(network(), EMA(0.8), Checkpoint(tmp_path))
    fit(trainer, 2, VAL)
    tensors, _ = checkpoint.load(tmp_path / "last.safetensors")
    for name, value in plain.weights[1].items():
        assert torch.equal(tensors[f"model.{name}"], value), name
    for name, value in plain.average.module.state_dict().items():
        assert torch.equal(tensors[f"native.0.average.{name}"], value), name
