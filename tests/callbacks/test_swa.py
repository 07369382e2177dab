"""SWA: the bits of AveragedModel, when it starts, its learning rate, its options."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from callbacks.averaging import ROWS, Averaging, adam, assert_equal_states, copied, fit, network, trainer_for
from torch import Tensor
from torch.optim.lr_scheduler import StepLR
from torch.optim.swa_utils import SWALR, AveragedModel, update_bn
from torch.utils.data import DataLoader, TensorDataset
from trainer_helpers import points

import pyhooks
from pyhooks.native import SWA

EPOCHS = 6


def averaged_model(use_buffers: bool) -> Any:
    return lambda model: AveragedModel(model, use_buffers=use_buffers)


@pytest.mark.parametrize("buffers", ["copy", "average"])
@pytest.mark.parametrize(
    ("options", "due"),
    [
        ({"start": 2}, lambda loop: loop.epoch >= 2),
        ({"start": 0.5}, lambda loop: loop.epoch >= 3),
        ({"start": 0}, lambda loop: True),
        ({"start": 1, "every": 2}, lambda loop: loop.epoch in (2, 4)),
    ],
    ids=["epoch", "share", "from the first", "every"],
)
def test_the_bits_of_averaged_model(options: dict[str, Any], due: Any, buffers: Any) -> None:
    plain = Averaging(network(), averaged_model(buffers == "average"), due, per="epoch")
    plain.fit(EPOCHS)
    trainer = trainer_for(network(), SWA(**options, buffers=buffers))
    fit(trainer, EPOCHS)
    assert_equal_states(trainer.model.state_dict(), plain.model.state_dict())
    assert_equal_states(trainer.averaged_weights(), plain.average.module.state_dict())
    assert trainer.native_state("SWA")["averaged"] == plain.average.n_averaged


@pytest.mark.parametrize("engine", ["graph", "python"])
@pytest.mark.parametrize("every", [1, 4])
def test_per_step(engine: str, every: int) -> None:
    steps = math.ceil(ROWS / 8)
    due = lambda loop: loop.steps > steps and (loop.steps - steps) % every == 0  # noqa: E731
    plain = Averaging(network(), averaged_model(True), due)
    plain.fit()
    trainer = trainer_for(network(), SWA(start=1, every=every, per="step", buffers="average"), engine=engine)
    fit(trainer)
    assert_equal_states(trainer.averaged_weights(), plain.average.module.state_dict())


def test_there_is_no_average_before_the_start() -> None:
    trainer = trainer_for(network(), SWA(start=2, validate=True, final=True))
    fit(trainer, 2)
    with pytest.raises(ValueError, match="this trainer has no averaged weights"):
        trainer.averaged_weights()
    untouched = trainer_for(network())
    fit(untouched, 2)
    assert_equal_states(trainer.model.state_dict(), untouched.model.state_dict())


def test_validate() -> None:
    trainer = trainer_for(network(), SWA(start=1, validate=True))
    seen: list[dict[str, Tensor]] = []
    trainer.add_callback("on_val_start", lambda t: seen.append(copied(t.model)))
    kept: list[dict[str, Tensor]] = []
    trainer.add_callback("on_train_epoch_end", lambda t: kept.append(copied(t.model)))
    fit(trainer, 3, points(20, seed=1))
    assert_equal_states(seen[0], kept[0])
    assert_equal_states(seen[2], trainer.averaged_weights())
    assert not torch.equal(seen[2]["0.weight"], kept[2]["0.weight"])


def rates(trainer: Any, epochs: int) -> list[float]:
    fit(trainer, epochs)
    per_epoch = math.ceil(ROWS / 8)
    rows = trainer.history.batch["lr"].reshape(epochs, per_epoch)
    assert (rows == rows[:, :1]).all()
    return [float(rate) for rate in rows[:, 0]]


def swalr(start: int, epochs: int, **options: Any) -> list[float]:
    """The rates of torch's recipe: the usual one, then SWALR stepped after each epoch."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
    found = [0.05] * start
    schedule = SWALR(optimizer, **options)
    for _ in range(start, epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("anneal", ["cos", "linear"])
@pytest.mark.parametrize("anneal_epochs", [0, 1, 4])
def test_the_rates_of_swalr(anneal: Any, anneal_epochs: int) -> None:
    trainer = trainer_for(network(), SWA(start=2, lr=0.01, anneal=anneal, anneal_epochs=anneal_epochs))
    wanted = swalr(2, 8, swa_lr=0.01, anneal_strategy=anneal, anneal_epochs=anneal_epochs)
    assert rates(trainer, 8) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("per", "steps"), [("epoch", 1), ("batch", 6)])
def test_a_schedule_does_not_get_in_the_way(per: str, steps: int) -> None:
    model = network()
    optimizer = adam(model)
    scheduler: Any = StepLR(optimizer, steps, gamma=0.5)
    trainer = pyhooks.Trainer(
        model,
        F.cross_entropy,
        optimizer,
        scheduler=(scheduler, per),
        callbacks=[SWA(start=2, lr=0.01, anneal_epochs=0)],
        progress=False,
    )
    assert rates(trainer, 4) == pytest.approx([0.05, 0.025, 0.01, 0.01])


def test_update_bn_after_a_fit() -> None:
    plain = Averaging(network(), averaged_model(False), lambda loop: loop.epoch >= 1, per="epoch")
    plain.fit()
    trainer = trainer_for(network(), SWA(start=1, final=True))
    fit(trainer)
    loader = DataLoader(TensorDataset(*points(ROWS)), 11)
    for model in (plain.average, trainer.model):
        torch.manual_seed(0)
        update_bn(loader, model)
    assert_equal_states(trainer.model.state_dict(), plain.average.module.state_dict())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"start": -1}, r"SWA: start is -1\.0+; it must be an epoch \(0, 1, 2, \.\.\.\) or a share of the run"),
        ({"start": 1.5}, r"start is 1\.5"),
        ({"start": math.inf}, "start is inf"),
        ({"every": 0}, "SWA: every is 0; it must be at least 1"),
        ({"per": "batch"}, "SWA: per is 'batch'; it must be one of 'epoch', 'step'"),
        ({"lr": 0}, r"SWA: lr is 0\.0+; it must be above 0"),
        ({"anneal_epochs": -1}, "SWA: anneal_epochs is -1; it must be at least 0"),
        ({"anneal": "cosine"}, "SWA: anneal is 'cosine'; it must be one of 'cos', 'linear'"),
        ({"buffers": None}, "'buffers' was given None; it takes a str"),
        ({"buffers": "mean"}, "SWA: buffers is 'mean'; it must be one of 'copy', 'average'"),
    ],
)
def test_wrong_options(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SWA(**options)
