"""train() and eval(): during training, during validation, and afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from trainer_helpers import Recorder, points, trainer_of

import pyhooks


class Watched(nn.Sequential):
    """Notes in which mode it and its batch norm run; only where Python runs it."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
        self.seen: list[tuple[bool, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((self.training, self[1].training))
        return super().forward(x)


def flags(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


@pytest.mark.parametrize("training", [True, False])
def test_flags_are_restored(training: bool, engine: str) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).train(training)
    if training:
        model[1].eval()
    before = flags(model)
    trainer = trainer_of(model, engine=engine)
    trainer.fit(points(), points(), epochs=2, batch_size=10)
    assert flags(model) == before
    trainer.evaluate(points())
    trainer.predict(points()[0])
    assert flags(model) == before


def test_flags_are_restored_after_an_exception(engine: str) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    model[1].eval()
    trainer = trainer_of(model, engine=engine)
    trainer.add_callback("on_val_end", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.fit(points(), points(), epochs=2, batch_size=10)
    assert flags(model) == [True, True, False, True]


def test_a_model_in_eval_mode_is_trained_in_train_mode() -> None:
    model = Watched().eval()
    trainer_of(model, engine="python").fit(points(), points(), epochs=1, batch_size=20)
    assert model.seen == [(True, True), (False, False)]


def test_a_frozen_batch_norm_stays_frozen(engine: str) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    model[1].eval()
    trainer = trainer_of(model, engine=engine)
    trainer.fit(points(), points(), epochs=3, batch_size=10)
    assert int(model[1].num_batches_tracked) == 0 and torch.equal(model[1].running_mean, torch.zeros(4))
    model[1].train()
    trainer.fit(points(), points(), epochs=3, batch_size=10)
    assert int(model[1].num_batches_tracked) == 6


def test_callbacks_see_the_model_in_training_mode(engine: str) -> None:
    seen: list[tuple[str, bool]] = []
    recorder = Recorder(lambda event, trainer: seen.append((event, trainer.model.training)))
    trainer_of(engine=engine, callbacks=[recorder]).fit(points(), points(), epochs=2, batch_size=10)
    assert {training for _, training in seen} == {True}


def test_a_callback_that_leaves_the_model_in_eval_mode_does_no_harm(engine: str) -> None:
    def look(trainer: pyhooks.Trainer) -> None:
        trainer.model.eval()
        with torch.no_grad():
            trainer.model(points()[0])

    def model() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 3))

    models = []
    for event in ("on_train_epoch_start", "on_train_epoch_end", "on_fit_epoch_end", None):
        trainer = trainer_of(model(), engine=engine)
        if event:
            trainer.add_callback(event, look)
        trainer.fit(points(), points(), epochs=3, batch_size=10)
        models.append(trainer.model.state_dict())
    for state in models[:-1]:
        assert all(torch.equal(state[name], value) for name, value in models[-1].items())


def test_evaluation_in_a_callback_changes_nothing(engine: str) -> None:
    def model() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 3))

    weights = []
    for evaluating in (True, False):
        trainer = trainer_of(model(), engine=engine)
        if evaluating:
            for event in ("on_train_epoch_start", "on_train_epoch_end", "on_fit_epoch_end"):
                trainer.add_callback(event, lambda t: t.evaluate(points(7, 1)))
                trainer.add_callback(event, lambda t: t.predict(points(7, 1)[0]))
        trainer.fit(points(), points(), epochs=3, batch_size=10)
        weights.append(trainer.model.state_dict())
    assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items())
