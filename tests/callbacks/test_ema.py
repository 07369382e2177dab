"""EMA: the bits of AveragedModel, its ramps, its options."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from callbacks.averaging import ROWS, SIZE, Averaging, Plain, assert_equal_states, copied, fit, network, trainer_for
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pyhooks.native import EMA


def averaged_model(decay: float, use_buffers: bool) -> Any:
    return lambda model: AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=use_buffers)


@pytest.mark.parametrize(
    ("engine", "buffers", "every", "accumulate"),
    [
        ("graph", "copy", 1, 1),
        ("python", "average", 1, 1),
        ("graph", "average", 4, 1),
        ("python", "copy", 4, 1),
        ("graph", "average", 1, 4),
        ("graph", "copy", 2, 2),
    ],
)
def test_the_bits_of_averaged_model(engine: str, buffers: Any, every: int, accumulate: int) -> None:
    decay = 0.9
    due = lambda loop: loop.steps % every == 0  # noqa: E731
    plain = Averaging(network(), averaged_model(decay, buffers == "average"), due, accumulate=accumulate)
    plain.fit()
    model = network()
    trainer = trainer_for(model, EMA(decay, every=every, buffers=buffers), engine=engine, accumulate=accumulate)
    fit(trainer)
    assert_equal_states(model.state_dict(), plain.model.state_dict())
    assert_equal_states(trainer.averaged_weights(), plain.average.module.state_dict())
    assert trainer.native_state("EMA")["updates"] == plain.average.n_averaged


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.999])
def test_any_decay(decay: float) -> None:
    plain = Averaging(network(), averaged_model(decay, True), lambda loop: True)
    plain.fit()
    trainer = trainer_for(network(), EMA(decay, buffers="average"))
    fit(trainer)
    assert_equal_states(trainer.averaged_weights(), plain.average.module.state_dict())


class Ramped(Plain):
    """Averages the parameters, from before the first step on, with a decay that depends on the step."""

    def __init__(self, model: nn.Module, decay: Any) -> None:
        super().__init__(model)
        self.decay = decay
        self.average = [p.detach().clone() for p in model.parameters()]

    @torch.no_grad()
    def stepped(self) -> None:
        for average, parameter in zip(self.average, self.model.parameters(), strict=True):
            average.lerp_(parameter, 1 - self.decay(self.steps))


@pytest.mark.parametrize(
    ("options", "decay"),
    [
        ({"tau": 6}, lambda n: 0.9 * (1 - math.exp(-n / 6))),
        ({"warmup": True}, lambda n: min(0.9, (1 + n) / (10 + n))),
    ],
    ids=["tau", "warmup"],
)
def test_ramps(options: dict[str, Any], decay: Any) -> None:
    plain = Ramped(network(), decay)
    plain.fit(20)  # 120 steps: the warmup has reached 0.9 then
    trainer = trainer_for(network(), EMA(0.9, **options))
    fit(trainer, 20)
    found = trainer.averaged_weights()
    for (name, _), average in zip(plain.model.named_parameters(), plain.average, strict=True):
        assert torch.equal(found[name], average), name


def test_the_formula_itself() -> None:
    weights: list[Tensor] = []

    class Keeping(Plain):
        def stepped(self) -> None:
            weights.append(self.model[0].weight.detach().double().clone())

    Keeping(network()).fit(2)
    wanted = weights[0]
    for value in weights[1:]:
        wanted = 0.8 * wanted + (1 - 0.8) * value
    trainer = trainer_for(network(), EMA(0.8))
    fit(trainer, 2)
    torch.testing.assert_close(trainer.averaged_weights()["0.weight"].double(), wanted, atol=1e-6, rtol=0)


class Mixed(nn.Module):
    """Parameters and buffers of several dtypes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.other = nn.Linear(4, 8), nn.Linear(8, 3).double()
        self.norm = nn.BatchNorm1d(8).double()
        self.register_buffer("flag", torch.tensor(True))

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.norm(self.one(x).double()))


@pytest.mark.parametrize("buffers", ["copy", "average"])
def test_several_dtypes(buffers: Any) -> None:
    plain = Averaging(Mixed(), averaged_model(0.9, buffers == "average"), lambda loop: True)
    plain.fit()
    trainer = trainer_for(Mixed(), EMA(0.9, buffers=buffers))
    fit(trainer)
    assert_equal_states(trainer.averaged_weights(), plain.average.module.state_dict())


@pytest.mark.parametrize("engine", ["graph", "python"])
def test_a_layer_frozen_later_is_averaged_still(engine: str) -> None:
    class Freezing(Averaging):
        def epoch_starts(self, epoch: int) -> None:
            self.model[0].requires_grad_(epoch < 1)

    plain = Freezing(network(), averaged_model(0.9, False), lambda loop: True)
    plain.fit()
    trainer = trainer_for(network(), EMA(0.9), engine=engine)
    trainer.add_callback("on_train_epoch_start", lambda t: t.model[0].requires_grad_(t.epoch < 1))
    fit(trainer)
    assert_equal_states(trainer.averaged_weights(), plain.average.module.state_dict())


def test_a_layer_trained_from_later_on_starts_as_a_copy() -> None:
    class Unfreezing(Plain):
        average: Tensor | None = None

        def epoch_starts(self, epoch: int) -> None:
            self.model[0].requires_grad_(epoch >= 1)

        @torch.no_grad()
        def stepped(self) -> None:
            weight = self.model[0].weight
            if self.average is not None:
                self.average.lerp_(weight, 1 - 0.9)
            elif weight.requires_grad:
                self.average = weight.clone()

    plain = Unfreezing(network())
    plain.fit()
    trainer = trainer_for(network(), EMA(0.9))
    trainer.model[0].requires_grad_(False)
    trainer.add_callback("on_train_epoch_start", lambda t: t.model[0].requires_grad_(t.epoch >= 1))
    fit(trainer)
    assert plain.average is not None and torch.equal(trainer.averaged_weights()["0.weight"], plain.average)


def test_a_second_fit_starts_anew() -> None:
    once, twice = (trainer_for(network(), EMA(0.9)) for _ in range(2))
    fit(twice, 2)
    once.model.load_state_dict(copied(twice.model))
    once.optimizer.load_state_dict(copy.deepcopy(twice.optimizer.state_dict()))
    fit(twice, 2)
    fit(once, 2)
    assert_equal_states(twice.averaged_weights(), once.averaged_weights())


def test_two_of_them() -> None:
    both = trainer_for(network(), EMA(0.9), EMA(0.5, validate=False))
    both.add_callback(EMA(0.2, validate=False), id="short")
    fit(both)
    for key, decay in {"EMA": 0.9, "EMA#2": 0.5, "short": 0.2}.items():
        alone = trainer_for(network(), EMA(decay))
        fit(alone)
        assert_equal_states(both.averaged_weights(key), alone.averaged_weights())


def test_added_while_training() -> None:
    epoch = -(-ROWS // SIZE)
    plain = Averaging(network(), averaged_model(0.9, False), lambda loop: loop.steps > epoch)
    plain.fit()
    trainer = trainer_for(network())
    trainer.add_callback("on_train_epoch_start", lambda t: t.add_callback(EMA(0.9)) if t.epoch == 1 else None)
    fit(trainer)
    assert_equal_states(trainer.averaged_weights(), plain.average.module.state_dict())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"decay": 1.0}, r"EMA: decay is 1\.0+; it must be in \[0, 1\)"),
        ({"decay": -0.1}, r"decay is -0\.1"),
        ({"decay": math.nan}, "decay is nan"),
        ({"tau": 0}, r"EMA: tau is 0\.0+; it must be above 0"),
        ({"tau": 3, "warmup": True}, "EMA was given warmup and tau; it wants one ramp or none"),
        ({"every": 0}, "EMA: every is 0; it must be at least 1"),
        ({"buffers": "none"}, "EMA: buffers is 'none'; it must be one of 'copy', 'average'"),
        ({"warmup": 1}, "'warmup' was given an int; it takes a bool"),
        ({"every": 1.5}, "'every' was given a float; it takes an int"),
    ],
)
def test_wrong_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        EMA(**options)
