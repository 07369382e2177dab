"""The trainer's arguments: each is refused with what came, what was wanted and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from trainer_helpers import net, points, trainer_of

import pyhooks

PARAMETERS = list(net().parameters())


def sgd() -> torch.optim.Optimizer:
    return torch.optim.SGD(net().parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((lambda x: x, F.mse_loss, sgd()), r"model is a function; wanted a torch\.nn\.Module"),
        ((nn.Linear, F.mse_loss, sgd()), r"model is the class Linear; wanted a torch\.nn\.Module"),
        ((None, F.mse_loss, sgd()), r"model is None; wanted a torch\.nn\.Module"),
        ((net(), None, sgd()), r"loss is None; wanted a function \(outputs, targets\)"),
        ((net(), "mse", sgd()), "loss is a str; wanted a function"),
        ((net(), nn.MSELoss, sgd()), r"loss is the class MSELoss;.*make an object of it, MSELoss\(\)"),
        ((net(), F.mse_loss, torch.optim.SGD), r"optimizer is the class SGD; .* as torch\.optim\.Adam"),
        ((net(), F.mse_loss, "adam"), "optimizer is a str; wanted a torch.optim object"),
        ((net(), F.mse_loss, None), "optimizer is None; wanted a torch.optim object"),
    ],
)
def test_model_loss_optimizer(arguments: tuple[Any, Any, Any], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        pyhooks.Trainer(*arguments)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"engine": "grahp"}, ValueError, r"engine is 'grahp'; wanted one of 'auto', 'graph', 'python'"),
        ({"engine": None}, ValueError, "engine is None; wanted one of"),
        ({"engine": ["graph"]}, ValueError, r"engine is \['graph'\]; wanted one of"),
        ({"seed": -1}, ValueError, "seed is -1; wanted an integer from 0"),
        ({"seed": 1.0}, TypeError, "seed is 1.0, a float; wanted an integer from 0"),
        ({"seed": "1"}, TypeError, "seed is '1', a str"),
        ({"seed": True}, TypeError, "seed is True, a bool"),
        ({"seed": 2**63}, ValueError, "seed is"),
        ({"accumulate": 0}, ValueError, "accumulate is 0; it must be at least 1"),
        ({"accumulate": 1.5}, TypeError, "accumulate is 1.5, a float; wanted an integer"),
        ({"verify": -1}, ValueError, "verify is -1; it must be at least 0"),
        ({"verify": True}, TypeError, "verify is True"),
        ({"clip_norm": 0}, ValueError, "clip_norm is 0; it must be above 0"),
        ({"clip_norm": float("nan")}, ValueError, "clip_norm is nan"),
        ({"clip_norm": "1"}, TypeError, "clip_norm is '1', a str; wanted a number above 0, or None"),
        ({"clip_value": -1.0}, ValueError, "clip_value is -1.0"),
        ({"fitness": 3}, TypeError, 'fitness is 3; wanted the name of a metric, as "val/accuracy"'),
        ({"fitness": ""}, ValueError, "fitness is ''"),
        ({"fitness": "-"}, ValueError, "fitness is '-'"),
        ({"metrics": [pyhooks.metrics.accuracy]}, TypeError, "metrics is a list; wanted a dict of name to metric"),
        ({"metrics": {"loss": pyhooks.metrics.mae}}, ValueError, "a metric is named 'loss'"),
        ({"metrics": {"": pyhooks.metrics.mae}}, ValueError, "a metric is named ''"),
        ({"metrics": {3: pyhooks.metrics.mae}}, TypeError, "a metric is named 3"),
        ({"metrics": {"mae": 3}}, TypeError, "metric 'mae' is int, wanted a pyhooks.metrics.Metric or a function"),
        ({"metrics": {"top": pyhooks.metrics.top_k}}, TypeError, r"metric 'top' is a function .* top_k\(5\)"),
        ({"metrics": {"m": pyhooks.metrics.Metric}}, TypeError, r"metric 'm' is the class Metric, wanted an object"),
        ({"save_dir": 3}, TypeError, "save_dir is 3, an int; wanted a folder's path"),
        ({"progress": "yes"}, TypeError, "progress is 'yes', a str; wanted True or False"),
        ({"scheduler": "cosine"}, TypeError, "scheduler is a str; wanted a torch.optim.lr_scheduler object"),
    ],
)
def test_options(options: dict[str, Any], error: type[Exception], says: str) -> None:
    given = {"progress": False, **options}
    model = net()
    with pytest.raises(error, match=says):
        pyhooks.Trainer(model, F.cross_entropy, torch.optim.SGD(model.parameters(), lr=0.1), **given)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda o: torch.optim.lr_scheduler.StepLR(sgd(), 1), ValueError, "made for another optimizer"),
        (lambda o: torch.optim.lr_scheduler.StepLR, TypeError, "scheduler is the class StepLR"),
        (lambda o: (torch.optim.lr_scheduler.StepLR(o, 1), "step"), ValueError, 'per "epoch" or per "batch"'),
        (lambda o: ("batch", torch.optim.lr_scheduler.StepLR(o, 1)), TypeError, "scheduler is a str"),
        (lambda o: [torch.optim.lr_scheduler.StepLR(o, 1)], TypeError, "scheduler is a list"),
        (
            lambda o: (torch.optim.lr_scheduler.ReduceLROnPlateau(o), "batch"),
            ValueError,
            'watches a metric, and there is one an epoch; pass it without "batch"',
        ),
    ],
)
def test_schedulers(make: Any, error: type[Exception], says: str) -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(error, match=says):
        pyhooks.Trainer(model, F.cross_entropy, optimizer, scheduler=make(optimizer), progress=False)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"epochs": 0}, ValueError, "epochs is 0; it must be at least 1"),
        ({"epochs": 2.0}, TypeError, "epochs is 2.0, a float; wanted an integer of at least 1"),
        ({"epochs": "3"}, TypeError, "epochs is '3', a str"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"batch_size": None}, TypeError, "batch_size is None"),
        ({"shuffle": "yes"}, TypeError, "shuffle is 'yes', a str; wanted True or False"),
        ({"drop_last": 1}, TypeError, "drop_last is 1, an int; wanted True or False"),
    ],
)
def test_fit(options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        trainer_of().fit(points(), **{"epochs": 1, "batch_size": 8, **options})


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_evaluate_and_predict(method: str) -> None:
    trainer = trainer_of()
    data = points() if method == "evaluate" else points()[0]
    for wrong, error in ((0, ValueError), ("8", TypeError), (2.5, TypeError)):
        with pytest.raises(error, match=f"batch_size is {wrong!r}"):
            getattr(trainer, method)(data, batch_size=wrong)


def test_numbers_of_numpy_are_numbers() -> None:
    trainer = trainer_of(seed=np.int64(3), accumulate=np.int32(2), clip_norm=np.float32(1.0), verify=np.int64(1))
    trainer.add_callback("on_train_end", print, every=np.int64(1))
    result = trainer.fit(
        points(), epochs=np.int64(2), batch_size=np.int32(8), shuffle=np.bool_(True), drop_last=np.bool_(False)
    )
    assert result.epochs_run == 2


@pytest.mark.parametrize("frozen", [True, False])
def test_a_model_without_anything_to_train(frozen: bool) -> None:
    model: nn.Module = net() if frozen else nn.ReLU()
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="the model has no trainable parameter"):
        pyhooks.Trainer(model, F.mse_loss, sgd(), progress=False)


def test_a_model_on_another_device() -> None:
    model = nn.Linear(4, 3, device="meta")
    with pytest.raises(ValueError, match=r"the model is on meta, the data comes from the CPU.*model\.to\('cpu'\)"):
        trainer_of(model)
    mixed = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3, device="meta"))
    with pytest.raises(ValueError, match=r"several devices \(cpu, meta\); move it to one with model\.to\(device\)"):
        trainer_of(mixed)


class TestParametersOfTheOptimizer:
    def model(self) -> nn.Module:
        return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))

    def refused(self, model: nn.Module, parameters: Any, says: str) -> None:
        with pytest.raises(ValueError, match=says):
            pyhooks.Trainer(model, F.cross_entropy, torch.optim.SGD(parameters, lr=0.1), progress=False)

    def test_missing(self) -> None:
        model = self.model()
        says = r"lacks 2 trainable parameters: 0\.weight, 0\.bias.*requires_grad_\(False\)"
        self.refused(model, model[1].parameters(), says)

    def test_foreign(self) -> None:
        model = self.model()
        self.refused(
            model, [*model.parameters(), *net().parameters()], "holds 2 parameters of something else than the model"
        )

    def test_of_a_copy(self) -> None:
        self.refused(self.model(), self.model().parameters(), "lacks 4 trainable parameters")

    def test_of_the_loss(self) -> None:
        class Scaled(nn.CrossEntropyLoss):
            def __init__(self) -> None:
                super().__init__()
                self.scale = nn.Parameter(torch.ones(()))

        model = net()
        with pytest.raises(ValueError, match=r"lacks 1 trainable parameter: loss\.scale"):
            pyhooks.Trainer(model, Scaled(), torch.optim.SGD(model.parameters(), lr=0.1), progress=False)

    def test_changed_between_trainer_and_fit(self) -> None:
        model = self.model()
        trainer = trainer_of(model)
        model.append(nn.Linear(3, 3))
        with pytest.raises(ValueError, match=r"lacks 2 trainable parameters: 2\.weight, 2\.bias"):
            trainer.fit(points(), epochs=1, batch_size=8)


def test_lbfgs() -> None:
    model = net()
    with pytest.raises(TypeError, match=r"LBFGS calls the loss several times a step.*use another optimizer"):
        pyhooks.Trainer(model, F.cross_entropy, torch.optim.LBFGS(model.parameters()), progress=False)
