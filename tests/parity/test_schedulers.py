"""Every learning-rate scheduler of torch, per epoch and per batch, against the plain loop, bit for bit."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from parity.cases import DROPOUT
from parity.compare import assert_equal_records, assert_parity
from parity.harness import build, fit, trainer_for
from parity.plain import Record
from torch.optim import SGD, AdamW, Optimizer
from torch.optim import lr_scheduler as sched
from torch.optim.swa_utils import SWALR

pytestmark = pytest.mark.filterwarnings("error")

Make = Callable[[Optimizer], sched.LRScheduler]
STEPS = 9  # 3 epochs of 3 batches

MAKERS: dict[str, Make] = {
    "LambdaLR": lambda o: sched.LambdaLR(o, lambda n: 1 / (1 + n)),
    "MultiplicativeLR": lambda o: sched.MultiplicativeLR(o, lambda n: 0.8 + 0.01 * n),
    "StepLR": lambda o: sched.StepLR(o, 2, gamma=0.3),
    "MultiStepLR": lambda o: sched.MultiStepLR(o, [1, 2, 5], gamma=0.3),
    "ConstantLR": lambda o: sched.ConstantLR(o, factor=0.25, total_iters=2),
    "LinearLR": lambda o: sched.LinearLR(o, 0.1, total_iters=5),
    "ExponentialLR": lambda o: sched.ExponentialLR(o, 0.83),
    "PolynomialLR": lambda o: sched.PolynomialLR(o, total_iters=7, power=2),
    "CosineAnnealingLR": lambda o: sched.CosineAnnealingLR(o, 4, eta_min=1e-3),
    "CosineAnnealingWarmRestarts": lambda o: sched.CosineAnnealingWarmRestarts(o, 2, T_mult=2),
    "CyclicLR": lambda o: sched.CyclicLR(o, 0.01, 0.1, step_size_up=2),
    "CyclicLR without momentum": lambda o: sched.CyclicLR(o, 0.01, 0.1, 2, mode="exp_range", cycle_momentum=False),
    "OneCycleLR": lambda o: sched.OneCycleLR(o, 0.1, total_steps=STEPS),
    "OneCycleLR three_phase": lambda o: sched.OneCycleLR(o, 0.1, total_steps=STEPS, three_phase=True),
    "OneCycleLR without momentum": lambda o: sched.OneCycleLR(o, 0.1, total_steps=STEPS, cycle_momentum=False),
    "SequentialLR": lambda o: sched.SequentialLR(
        o, [sched.LinearLR(o, 0.1, total_iters=2), sched.CosineAnnealingLR(o, 5)], [2]
    ),
    "ChainedScheduler": lambda o: sched.ChainedScheduler([sched.ConstantLR(o, 0.1, 2), sched.ExponentialLR(o, 0.9)]),
    "ReduceLROnPlateau": lambda o: sched.ReduceLROnPlateau(o, factor=0.5, patience=0, threshold=0.5),
    "SWALR": lambda o: SWALR(o, swa_lr=0.01, anneal_epochs=4),
}
OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "sgd": lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-3, fused=True),
    "adamw": lambda p: AdamW(p, lr=0.02, fused=True),
}


def test_every_scheduler_of_torch_is_here() -> None:
    classes = {
        name
        for name, value in vars(sched).items()
        if inspect.isclass(value) and issubclass(value, sched.LRScheduler) and not name.startswith("_")
    }
    assert classes - {"LRScheduler"} | {"SWALR"} == {name.split()[0] for name in MAKERS}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("per", ["epoch", "batch"])
@pytest.mark.parametrize("name", MAKERS)
def test_scheduler(name: str, per: str, optimizer: str) -> None:
    if name == "ReduceLROnPlateau" and per == "batch":
        return  # refused: tests/trainer/test_bad_arguments.py
    case = DROPOUT.but(optimizer=OPTIMIZERS[optimizer], scheduler=MAKERS[name], per=per)
    trainer = assert_parity(case, "graph")
    rates = trainer.history.batch["lr"]
    if name != "ReduceLROnPlateau":  # whose losses are still getting better
        assert len(set(rates)) > 1, "nothing was scheduled"


def test_plateau_watches_the_metric_it_is_told() -> None:
    def make(optimizer: Optimizer) -> sched.LRScheduler:
        return sched.ReduceLROnPlateau(
            optimizer, mode="max", factor=0.5, patience=0, threshold=0.05, threshold_mode="abs"
        )

    case = DROPOUT.but(scheduler=make, epochs=5)
    parts = build(case)
    trainer = trainer_for(case, parts, "graph", scheduler=(parts.scheduler, "fitness"), fitness="-train/loss")
    fit(case, trainer, case.train_data(), case.val_data())

    theirs = build(case.but(scheduler=None))
    watched = make(theirs.optimizer)
    rates = []
    for epoch in trainer.history.epochs:
        rates += [theirs.optimizer.param_groups[0]["lr"]] * 3
        watched.step(-epoch["train/loss"])
    assert len(set(rates)) > 1
    assert trainer.history.batch["lr"].tolist() == rates


@pytest.mark.parametrize(
    ("mode", "monitor", "says"),
    [
        ("min", "val/acuracy", r"watches 'val/acuracy', which this run will not produce; it will produce train/loss"),
        ("min", "val/accuracy", r"mode=\"min\" and watches 'val/accuracy', of which higher is better: .*mode=\"max\""),
        ("max", "train/loss", r"mode=\"max\" and watches 'train/loss', of which lower is better"),
    ],
)
def test_a_plateau_that_cannot_be_meant_is_refused_before_training(mode: Any, monitor: str, says: str) -> None:
    case = DROPOUT.but(scheduler=lambda o: sched.ReduceLROnPlateau(o, mode=mode))
    parts = build(case)
    before = [p.clone() for p in parts.model.parameters()]
    metrics = {"accuracy": lambda y, t: (y.argmax(1) == t).float().mean()}
    trainer = trainer_for(case, parts, "graph", scheduler=(parts.scheduler, monitor), metrics=metrics)
    with pytest.raises(ValueError, match=says):
        fit(case, trainer, case.train_data(), case.val_data())
    assert all(torch.equal(a, b) for a, b in zip(before, parts.model.parameters(), strict=True))


def test_the_comparison_can_fail() -> None:
    case = DROPOUT.but(scheduler=MAKERS["StepLR"])
    trainer = assert_parity(case, "graph")
    with pytest.raises(AssertionError, match="rate of batch"):
        losses = trainer.history.batch["loss"].tolist()
        assert_equal_records(trainer, Record(losses, [0.02] * 9, trainer.history.epochs))
