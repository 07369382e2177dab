"""Losses and metrics that are wrong for any engine: refused with the reason, before anything is trained."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from trainer_helpers import net, points, trainer_of

import pyhooks
from pyhooks.callbacks import Checkpoint, EarlyStopping
from pyhooks.metrics import Metric


def refused(trainer: pyhooks.Trainer, error: type[Exception], says: str, data: Any = None) -> None:
    """A fit raises, and no batch has changed the model."""
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    with pytest.raises(error, match=says):
        trainer.fit(points() if data is None else data, points(9, 1), epochs=2, batch_size=8)
    assert all(torch.equal(now, then) for now, then in zip(trainer.model.parameters(), before, strict=True))
    assert trainer.global_step == 0


def per_row(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs, targets, reduction="none")


def as_float(outputs: Tensor, targets: Tensor) -> float:
    return 1.0


def detached(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs.detach(), targets)


def counted(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(1) == targets).sum()


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (per_row, r"must be a scalar \(0-d tensor\), per_row returned shape \[8\]: reduce it with \.mean\(\)"),
        (nn.CrossEntropyLoss(reduction="none"), r"CrossEntropyLoss returned shape \[8\]: reduce it"),
        (as_float, r"must be a tensor, as_float returned float: return a 0-d floating tensor, without \.item\(\)"),
        (lambda outputs, targets: None, "must be a tensor, <lambda> returned NoneType"),
        (detached, r"the loss of detached depends on no trainable parameter: check .*detach"),
        (counted, r"must be floating point, counted returned torch\.int64"),
    ],
)
def test_losses(loss: Any, says: str, engine: str) -> None:
    refused(trainer_of(loss=loss, engine=engine), pyhooks.UserStepError, says)


def test_auto_does_not_take_a_wrong_loss_for_a_matter_of_engines() -> None:
    with pytest.raises(pyhooks.UserStepError, match="scalar"):
        trainer_of(loss=per_row).fit(points(), epochs=1, batch_size=8)


def test_a_loss_with_other_arguments(engine: str) -> None:
    def three(outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        return outputs.mean()

    refused(trainer_of(loss=three, engine=engine), TypeError, "missing 1 required positional argument: 'weights'")


class WrongSize(Metric):
    size = 2

    def stats(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.new_zeros(3)


class NoTensor(Metric):
    size = 2

    def stats(self, outputs: Tensor, targets: Tensor) -> Any:
        return [1.0, 2.0]


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        (WrongSize(), r"metric 'm': stats\(\) must return a 1-D tensor of 2 values \(its size\), got shape \[3\]"),
        (NoTensor(), r"metric 'm': stats\(\) must return a 1-D tensor of 2 values .*got list"),
        (per_row, r"metric 'm' returned a tensor of shape \[8\], wanted a 0-d tensor; reduce it with \.mean\(\)"),
        (as_float, r"metric 'm' returned float, wanted a 0-d tensor; .* leave out \.item\(\)"),
    ],
)
def test_metrics(metric: Any, says: str, engine: str) -> None:
    refused(trainer_of(metrics={"m": metric}, engine=engine), pyhooks.UserStepError, says)


def test_a_metric_that_fits_the_task_of_another_model(engine: str) -> None:
    trainer = trainer_of(metrics={"accuracy": pyhooks.metrics.accuracy}, loss=lambda o, t: o["x"].mean(), engine=engine)
    trainer.model.register_forward_hook(lambda *a: {"x": a[-1]})
    refused(trainer, pyhooks.UserStepError, r"metric 'accuracy' got outputs of type dict, wanted one tensor")


@pytest.mark.parametrize(
    ("callback", "says"),
    [
        (EarlyStopping("val_loss"), "EarlyStopping monitors 'val_loss', which this run will not .* produce val/loss, "),
        (EarlyStopping("val/accuracy"), "will not produce; it will produce .*train/loss"),
        (Checkpoint(monitor="loss"), "Checkpoint monitors 'loss', .*it will produce"),
    ],
)
def test_monitors(callback: Any, says: str) -> None:
    refused(trainer_of(callbacks=[callback]), ValueError, says)


def test_a_monitor_of_validation_without_validation() -> None:
    trainer = trainer_of(callbacks=[EarlyStopping("val/loss")])
    with pytest.raises(ValueError, match="it will produce train/loss, lr/pg0"):
        trainer.fit(points(), epochs=1, batch_size=8)


@pytest.mark.parametrize("name", ["-val/los", "accuracy", "--val/loss"])
def test_fitness(name: str) -> None:
    refused(trainer_of(fitness=name), ValueError, rf"fitness is '{name}', which this run will not .* val/loss, lr/pg0")


def test_reduce_on_plateau_of_a_metric_that_will_not_come() -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    trainer = pyhooks.Trainer(model, F.cross_entropy, optimizer, scheduler=plateau, progress=False)
    assert trainer.fit(points(), epochs=1, batch_size=8).epochs_run == 1, "it follows train/loss then"


@pytest.mark.parametrize("verify", [0, 2])
def test_mixed_dtypes_are_told(verify: int, engine: str) -> None:
    x, y = points()
    trainer = trainer_of(engine=engine, verify=verify)
    with pytest.raises(RuntimeError, match="dtype") as caught:
        trainer.fit((x.double(), y), epochs=1, batch_size=8)
    if engine == "graph" and not verify:
        return  # no Python was there to see it; the operator's message is all
    told = str(caught.value) + "".join(getattr(caught.value, "__notes__", ["float64 float32 x.float()"]))
    assert "Double and Float" in str(caught.value)
    for part in ("inputs are float64", "parameters float32", "x.float()", "astype('float32')", "model.double()"):
        assert part in told


def test_targets_of_the_wrong_dtype_are_told(engine: str) -> None:
    x, y = points()
    with pytest.raises(RuntimeError) as caught:
        trainer_of(engine=engine).fit((x, y.float()), epochs=1, batch_size=8)
    assert "targets float32" in "".join(getattr(caught.value, "__notes__", ["targets float32"]))


def test_a_schedule_per_batch_without_a_known_length() -> None:
    class Endless:
        def __iter__(self) -> Any:
            return iter([points(8), points(8)])

    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = (torch.optim.lr_scheduler.StepLR(optimizer, 5), "batch")
    trainer = pyhooks.Trainer(model, F.cross_entropy, optimizer, scheduler=schedule, progress=False)
    says = r"how many batches an epoch has.*\(no len\(\)\): pass data with a length, or the scheduler alone"
    refused(trainer, ValueError, says, Endless())


def test_a_schedule_that_is_shorter_than_the_run() -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = (torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=4), "batch")
    trainer = pyhooks.Trainer(model, F.cross_entropy, optimizer, scheduler=schedule, progress=False)
    with pytest.raises(ValueError, match="Tried to step 5 times"):
        trainer.fit(points(), epochs=2, batch_size=8)
    assert len(trainer.history.epochs) == 1
