"""Runs whose hyper-parameters and loss weights follow ``pyhooks.schedules``, beside a plain loop that sets them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR, StepLR
from trainer_helpers import at, net, points

import pyhooks
from pyhooks.callbacks import Checkpoint
from pyhooks.schedules import Shape, absolute, constant, cosine, linear, one_cycle, one_cycle_momentum, warmup

EPOCHS, BATCHES = 4, 5  # of 4 rows


class Weighted(nn.Module):
    """Cross entropy, and the outputs' size, weighed by a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor(0.5))

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets) + self.weight * outputs.square().mean()


def sgd(groups: Any) -> Optimizer:
    return SGD(groups, lr=0.1, momentum=0.9, weight_decay=0.01, fused=True)


def adamw(groups: Any) -> Optimizer:
    return AdamW(groups, lr=0.02, weight_decay=0.1, fused=True)


def parts(make_optimizer: Any) -> tuple[nn.Module, Weighted, Optimizer]:
    model = net()
    return (
        model,
        Weighted(),
        make_optimizer([{"params": [model.weight]}, {"params": [model.bias], "lr": 0.05, "weight_decay": 0.0}]),
    )


def trainer_of(scheduler: Any, make_optimizer: Any = sgd, **options: Any) -> pyhooks.Trainer:
    model, loss, optimizer = parts(make_optimizer)
    made = scheduler(loss, optimizer) if callable(scheduler) else scheduler
    return pyhooks.Trainer(model, loss, optimizer, scheduler=made, progress=False, seed=0, **options)


def fit(trainer: pyhooks.Trainer, epochs: int = EPOCHS, **options: Any) -> pyhooks.Result:
    return trainer.fit(points(20), points(8, seed=1), epochs=epochs, batch_size=4, shuffle=False, **options)


def plain(shapes: Mapping[str, Shape], make_optimizer: Any, per: str = "batch") -> tuple[nn.Module, dict[str, Any]]:
    """The loop a user would write: the values are set before each step."""
    model, loss, optimizer = parts(make_optimizer)
    bases = [dict(group) for group in optimizer.param_groups]
    seen: dict[str, Any] = {"lr": [], "loss": [], "val/loss": []}

    def values(name: str, base: float, step: int) -> float:
        if per == "batch":
            return float(shapes[name].values(EPOCHS, BATCHES, base)[step])
        return float(shapes[name].values(EPOCHS, 1, base)[step // BATCHES])

    def set_all(step: int) -> None:
        for group, base in zip(optimizer.param_groups, bases, strict=True):
            for name in shapes:
                if name == "momentum" and "betas" in group:
                    group["betas"] = (values(name, base["betas"][0], step), base["betas"][1])
                elif name == "loss.weight":
                    loss.weight.fill_(values(name, 0.5, step))
                elif base[name] or name == "lr":
                    group[name] = values(name, base[name], step)

    x, y = points(20)
    for step in range(EPOCHS * BATCHES):
        set_all(step)
        rows = slice(step % BATCHES * 4, step % BATCHES * 4 + 4)
        value = loss(model(x[rows]), y[rows])
        seen["lr"].append(optimizer.param_groups[0]["lr"])
        seen["loss"].append(value.item())
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % BATCHES == 0:
            xv, yv = points(8, seed=1)
            with torch.no_grad():
                sums = [loss(model(xv[i : i + 4]), yv[i : i + 4]).item() * 4 for i in (0, 4)]
            seen["val/loss"].append(sum(sums) / 8)
    seen["optimizer"] = optimizer.state_dict()["state"]
    return model, seen


COMBINATIONS: dict[str, Mapping[str, Shape]] = {
    "lr": {"lr": warmup(0.2) + cosine(to=0.01)},
    "one cycle": {"lr": one_cycle(), "momentum": one_cycle_momentum()},
    "decay": {"weight_decay": linear(to=absolute(0.3))},
    "a loss weight": {"loss.weight": warmup(epochs=2, start=0) + constant()},
    "everything": {
        "lr": warmup(steps=3) + linear(),
        "momentum": warmup(epochs=1, start=absolute(0.5)) + constant(),
        "weight_decay": cosine(to=3.0),
        "loss.weight": constant(0.5) + constant(at=absolute(0.1)),
    },
}


@pytest.mark.parametrize("make_optimizer", [sgd, adamw])
@pytest.mark.parametrize("per", ["batch", "epoch"])
@pytest.mark.parametrize("name", COMBINATIONS)
def test_as_a_plain_loop(name: str, per: str, make_optimizer: Any, engine: str) -> None:
    shapes = COMBINATIONS[name]
    if per == "epoch":
        shapes = {key: warmup(0.5, start=0.2) + cosine() for key in shapes}
    model, wanted = plain(shapes, make_optimizer, per)
    trainer = trainer_of((dict(shapes), per) if per == "epoch" else dict(shapes), make_optimizer, engine=engine)
    fit(trainer)
    assert trainer.history.batch["lr"].tolist() == wanted["lr"]
    assert trainer.history.batch["loss"].tolist() == wanted["loss"]
    assert [epoch["val/loss"] for epoch in trainer.history.epochs] == wanted["val/loss"]
    assert torch.equal(trainer.model.weight, model.weight) and torch.equal(trainer.model.bias, model.bias)
    for mine, theirs in zip(
        trainer.optimizer.state_dict()["state"].values(), wanted["optimizer"].values(), strict=True
    ):
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


def test_a_shape_alone_moves_the_rate_and_the_groups_end_at_the_last_value() -> None:
    trainer = trainer_of(linear(to=0.1))
    fit(trainer)
    np.testing.assert_array_equal(trainer.history.batch["lr"], linear(to=0.1).values(EPOCHS, BATCHES, 0.1))
    assert [group["lr"] for group in trainer.optimizer.param_groups] == [0.1 * 0.1, 0.05 * 0.1]
    assert repr(trainer.scheduler) == "linear(to=0.1)"


def test_a_buffer_may_be_named_by_itself() -> None:
    trainer = trainer_of(lambda loss, _: {loss.weight: linear(to=0)})
    fit(trainer)
    last = linear(to=0).values(EPOCHS, BATCHES, 0.5)[-1]
    assert trainer._provider.blank_step().buffers()["loss.weight"].item() == np.float32(last)


def test_a_python_optimizer_is_moved_too() -> None:
    trainer = trainer_of({"lr": linear()}, lambda groups: torch.optim.RMSprop(groups, lr=0.01))
    with pytest.warns(UserWarning, match="RMSprop has no native kernel"):
        fit(trainer)
    np.testing.assert_array_equal(trainer.history.batch["lr"], linear().values(EPOCHS, BATCHES, 0.01))


def test_a_torch_scheduler_moves_the_rate_and_shapes_the_rest() -> None:
    def both(per: Any) -> Any:
        return lambda _, o: {"lr": (ExponentialLR(o, 0.9), per), "weight_decay": linear(to=2)}

    per_batch, per_epoch = trainer_of(both("batch")), trainer_of(both("epoch"))
    for trainer in (per_batch, per_epoch):
        fit(trainer)
        assert trainer.optimizer.param_groups[0]["weight_decay"] == 0.02
    rates, rate = [], 0.1
    for _ in range(EPOCHS * BATCHES):
        rates.append(rate)
        rate *= 0.9
    assert per_batch.history.batch["lr"].tolist() == rates
    assert per_epoch.history.batch["lr"].tolist() == [rates[step // BATCHES] for step in range(EPOCHS * BATCHES)]
    assert not torch.equal(per_epoch.model.weight, fitted(lambda _, o: ExponentialLR(o, 0.9)).model.weight)


def fitted(scheduler: Any) -> pyhooks.Trainer:
    trainer = trainer_of(scheduler)
    fit(trainer)
    return trainer


def test_what_is_not_scheduled_is_left_to_callbacks() -> None:
    halve = pyhooks.when("step == 7", do="scale_lr(0.5)")
    trainer = trainer_of({"weight_decay": linear()}, callbacks=[halve])
    fit(trainer)
    assert trainer.history.batch["lr"].tolist() == [0.1] * 7 + [0.05] * 13
    assert trainer.optimizer.param_groups[0]["lr"] == 0.05
    moved = trainer_of(constant(), callbacks=[halve])
    fit(moved)
    assert moved.history.batch["lr"].tolist() == [0.1] * 7 + [0.05] * 13


def test_a_second_run_begins_anew_and_a_rate_set_in_between_counts() -> None:
    trainer = trainer_of({"lr": linear(to=0.5), "loss.weight": linear()})
    fit(trainer)
    first = trainer.history.batch["lr"].tolist()
    fit(trainer)
    assert trainer.history.batch["lr"].tolist() == first
    for group in trainer.optimizer.param_groups:
        group["lr"] = 0.2
    fit(trainer)
    np.testing.assert_array_equal(trainer.history.batch["lr"], linear(to=0.5).values(EPOCHS, BATCHES, 0.2))
    assert trainer._timetable is not None and trainer._timetable.state_dict()["bases"]["loss.weight"] == [0.5]


@pytest.mark.parametrize("per", ["batch", "epoch"])
def test_a_resumed_run_goes_on_bit_for_bit(per: Any, tmp_path: Path) -> None:
    shapes = dict(COMBINATIONS["everything"])
    if per == "epoch":
        shapes = {"lr": cosine(), "momentum": linear(to=0.5), "loss.weight": linear()}

    def make(**options: Any) -> pyhooks.Trainer:
        return trainer_of((shapes, per), **options)

    whole = make()
    fit(whole)
    stopped = make(callbacks=[Checkpoint(tmp_path)])
    at(stopped, "on_train_epoch_start", 2, lambda t: t.request_stop("enough"))
    fit(stopped)
    resumed = make(callbacks=[Checkpoint(tmp_path)])
    resumed.load_checkpoint(tmp_path / "last.safetensors")
    fit(resumed)
    assert resumed.history.batch["lr"].tolist() == whole.history.batch["lr"].tolist()[2 * BATCHES :]
    assert torch.equal(resumed.model.weight, whole.model.weight)
    assert resumed.history.epochs == whole.history.epochs


def test_data_without_a_length_can_be_scheduled_by_epochs() -> None:
    class Stream:
        def __iter__(self) -> Any:
            x, y = points(20)
            return iter([(x[i : i + 4], y[i : i + 4]) for i in range(0, 20, 4)])

    trainer = trainer_of((linear(), "epoch"))
    trainer.fit(Stream(), epochs=2)
    assert trainer.history.batch["lr"].tolist() == [0.1] * 5 + [0.05] * 5
    with pytest.raises(ValueError, match=r"the schedule linear\(\) moves every step .* \(schedule, \"epoch\"\)"):
        trainer_of(linear()).fit(Stream(), epochs=2)


def test_a_checkpoint_of_another_schedule_is_refused(tmp_path: Path) -> None:
    fit(trainer_of(linear(), callbacks=[Checkpoint(tmp_path)]))
    other = trainer_of({"momentum": linear()}, callbacks=[Checkpoint(tmp_path)])
    with pytest.raises(ValueError, match="with the scheduler shapes of lr, this trainer has shapes of momentum"):
        other.load_checkpoint(tmp_path / "last.safetensors")


@pytest.mark.parametrize(
    ("scheduler", "error", "says"),
    [
        ({"momentun": linear()}, ValueError, r"names 'momentun', which is no hyper-parameter \(lr, momentum, beta1, "),
        ({"beta2": linear()}, ValueError, "moves 'beta2', which SGD does not have"),
        ({"lr": 0.1}, TypeError, "scheduler has a float for 'lr'; wanted one of pyhooks.schedules"),
        ({}, TypeError, "scheduler is a dict"),
        ({"momentum": lambda: 0}, TypeError, "for 'momentum'"),
        ((linear(), "step"), ValueError, 'per "epoch" or per "batch", got \'step\''),
        ({torch.zeros(()): linear()}, ValueError, "a key that is no buffer of the model or the loss"),
        (lambda _, o: {"lr": StepLR(sgd([nn.Parameter(torch.zeros(1))]), 1)}, ValueError, "made for another optimizer"),
        (
            lambda _, o: {"lr": (OneCycleLR(o, 0.1, total_steps=9), "batch"), "momentum": linear()},
            ValueError,
            "OneCycleLR moves momentum, and so does 'momentum' of scheduler: make it with cycle_momentum=False",
        ),
    ],
)
def test_mistakes(scheduler: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        trainer_of(scheduler)


def test_a_buffer_of_many_numbers_is_refused() -> None:
    class Many(Weighted):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.zeros(3))

    model, loss = net(), Many()
    with pytest.raises(ValueError, match=r"'loss.weight' is torch.float32 of shape \[3\]; wanted one floating-point"):
        pyhooks.Trainer(model, loss, sgd(model.parameters()), scheduler={"loss.weight": linear()}, progress=False)
