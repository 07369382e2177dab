"""What Python callbacks change between epochs counts from the next batch on, as it would in a plain loop."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from parity import plain
from parity.cases import DROPOUT, MODELS, OPTIMIZERS, frozen_left_out
from parity.compare import assert_equal_parts
from parity.harness import Case, Parts, build, fit, trainer_for
from parity.models import PartlyFrozen
from torch import nn

pytestmark = pytest.mark.filterwarnings("error")

MOMENTUM = DROPOUT.but(optimizer=OPTIMIZERS["sgd_momentum"])


def halve_the_rate(parts: Parts) -> None:
    parts.optimizer.param_groups[0]["lr"] *= 0.5


def change_momentum_and_decay(parts: Parts) -> None:
    parts.optimizer.param_groups[0]["momentum"] *= 0.9
    parts.optimizer.param_groups[0]["weight_decay"] += 0.01


def shrink_the_weights(parts: Parts) -> None:
    with torch.no_grad():
        for p in parts.model.parameters():
            p.mul_(0.9)


def replace_the_weights_data(parts: Parts) -> None:
    for p in parts.model.parameters():
        p.data = p.data * 0.9


def load_a_state(parts: Parts) -> None:
    parts.model.load_state_dict({key: value.clone() * 1 for key, value in parts.model.state_dict().items()})


def forget_the_momentum(parts: Parts) -> None:
    for state in parts.optimizer.state.values():
        state["momentum_buffer"].zero_()


def reset_the_optimizer(parts: Parts) -> None:
    parts.optimizer.state.clear()


def load_an_optimizer_state(parts: Parts) -> None:
    state = copy.deepcopy(parts.optimizer.state_dict())
    state["state"][0]["momentum_buffer"] *= 0.5
    parts.optimizer.load_state_dict(state)


def draw_a_random_number(parts: Parts) -> None:
    torch.rand(3)


def change_dropout(parts: Parts) -> None:
    for module in parts.model.modules():
        if isinstance(module, nn.Dropout):
            module.p /= 2


def freeze_batch_norm(parts: Parts) -> None:
    for module in parts.model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def leave_the_model_in_eval_mode(parts: Parts) -> None:
    parts.model.eval()


def replace_a_module(parts: Parts) -> None:
    parts.model[2] = nn.Dropout(0.1)


def unfreeze(parts: Parts) -> None:
    parts.model.requires_grad_(True)


def unfreeze_as_a_new_group(parts: Parts) -> None:
    if len(parts.optimizer.param_groups) == 1:
        parts.model.requires_grad_(True)
        parts.optimizer.add_param_group({"params": list(parts.model.backbone.parameters()), "lr": 1e-3})


def freeze_the_first_layer(parts: Parts) -> None:
    next(parts.model.children()).requires_grad_(False)


def everything(model: nn.Module) -> list[Any]:
    return list(model.parameters())


CHANGES: dict[str, tuple[Case, Callable[[Parts], None]]] = {
    "rate": (DROPOUT, halve_the_rate),
    "momentum_and_decay": (MOMENTUM, change_momentum_and_decay),
    "weights": (DROPOUT, shrink_the_weights),
    "weights_data": (DROPOUT, replace_the_weights_data),
    "load_state_dict": (DROPOUT, load_a_state),
    "optimizer_state": (MOMENTUM, forget_the_momentum),
    "optimizer_reset": (MOMENTUM, reset_the_optimizer),
    "optimizer_loaded": (MOMENTUM, load_an_optimizer_state),
    "generator": (DROPOUT, draw_a_random_number),
    "dropout": (DROPOUT, change_dropout),
    "batch_norm_mode": (MODELS["cnn"], freeze_batch_norm),
    "left_in_eval_mode": (MODELS["cnn"], leave_the_model_in_eval_mode),
    "module": (DROPOUT, replace_a_module),
    "unfreeze_as_group": (Case(PartlyFrozen, DROPOUT.data, groups=frozen_left_out), unfreeze_as_a_new_group),
    "unfreeze": (Case(PartlyFrozen, DROPOUT.data, groups=everything), unfreeze),
    "freeze": (DROPOUT, freeze_the_first_layer),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_between_epochs(name: str, engine: str) -> None:
    case, change = CHANGES[name]
    case = case.but(seed=None)
    theirs, mine = build(case), build(case)
    torch.manual_seed(1)
    losses = []
    for epoch in range(case.epochs):
        if epoch > 0:
            change(theirs)
        losses += plain.fit(case.but(epochs=1), theirs, case.train_data(), case.val_data()).losses
    generator = torch.get_rng_state()
    torch.manual_seed(1)
    trainer = trainer_for(case, mine, engine)
    trainer.add_callback("on_fit_epoch_end", lambda _: change(mine), before=case.epochs)
    fit(case, trainer, case.train_data(), case.val_data())
    assert trainer.history.batch["loss"].tolist() == losses
    assert torch.equal(torch.get_rng_state(), generator)
    assert_equal_parts(mine, theirs)


def test_evaluating_between_epochs_changes_nothing(engine: str) -> None:
    case = MODELS["cnn"]
    theirs, mine = build(case), build(case)
    plain.fit(case, theirs, case.train_data(), case.val_data())
    trainer = trainer_for(case, mine, engine)
    data = case.data(19)

    def look(_: Any) -> None:
        trainer.evaluate(data, batch_size=4)
        trainer.predict(data[0], batch_size=4)

    for event in ("on_train_start", "on_train_epoch_start", "on_train_epoch_end", "on_val_end", "on_train_end"):
        trainer.add_callback(event, look)
    fit(case, trainer, case.train_data(), case.val_data())
    assert_equal_parts(mine, theirs)
