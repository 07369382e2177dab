"""Native callbacks as Python holds them: options, one event, errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from trainer_helpers import points, trainer_of

import pyhooks
from pyhooks.native import GradClip, LossMeter, NaNGuard, NativeCallback, available


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: NativeCallback("grad_clipp"), r"no native callback 'grad_clipp'; there are: .*grad_clip"),
        (lambda: NativeCallback("grad_clip", norm=1.0), r"grad_clip has no option 'norm'; its options: max_norm"),
        (lambda: GradClip(), "it was given neither"),
        (lambda: GradClip(max_norm=0), r"max_norm is 0\.0+; it must be above 0"),
        (lambda: GradClip(max_norm=-1.0), "must be above 0"),
        (lambda: GradClip(max_value=math.nan), "must be above 0"),
        (lambda: GradClip(max_norm="1"), r"'max_norm' was given a str; it takes a float \(largest total 2-norm"),
        (lambda: GradClip(max_norm=True), "'max_norm' was given a bool; it takes a float"),
        (lambda: LossMeter(decay=1.0), r"decay is 1\.0+; it must be in \[0, 1\)"),
        (lambda: LossMeter(name=None), "'name' was given None; it takes a str"),
        (
            lambda: LossMeter(name=10**30),
            r"'name' was given an int that is too large for 64 bits; an int is from -2\*\*63",
        ),
        (lambda: LossMeter(name=np.uint64(2**63)), "too large for 64 bits"),
        (lambda: LossMeter(name=2**63 - 1), "'name' was given an int; it takes a str"),
        (lambda: LossMeter(name=3), "'name' was given an int; it takes a str"),
    ],
)
def test_wrong_options(make: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize("wrong", [[1.0], torch.tensor(1.0), {}])
def test_options_that_are_no_values(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"max_norm.*wanted a bool, int, float, str or None"):
        GradClip(max_norm=wrong)


def test_an_integer_is_taken_for_a_float() -> None:
    assert repr(GradClip(max_norm=1)) == "GradClip(max_norm=1)"


def test_what_there_is() -> None:
    assert {"grad_clip", "loss_meter", "nan_guard"} <= set(available())
    assert all(text.endswith(".") for text in available().values())


def test_restricted_to_one_event() -> None:
    trainer = trainer_of()
    trainer.add_callback("on_train_batch_end", NaNGuard())
    trainer.add_callback("on_train_batch_end", LossMeter(decay=0.0))
    trainer.fit(points(24), epochs=2, batch_size=8)
    assert (trainer.history.batch["loss_ema"] == trainer.history.batch["loss"]).all()


def test_restricted_to_an_event_it_does_not_listen_to() -> None:
    with pytest.raises(ValueError, match=r"NaNGuard\(\) does not listen to 'optimizer_step'.*on_train_batch_end"):
        trainer_of().add_callback("optimizer_step", NaNGuard())


def test_what_one_logs_is_known_to_those_who_monitor() -> None:
    names: list[list[str]] = []
    trainer = trainer_of(callbacks=[LossMeter(name="smooth")])
    trainer.add_callback("on_pretrain_routine_end", lambda t: names.append(t.metric_names))
    result = trainer.fit(points(24), epochs=2, batch_size=8)
    assert names == [["train/loss", "lr/pg0", "smooth"]]
    assert list(result.metrics) == names[0]
    column = result.history.batch["smooth"]
    assert result.metrics["smooth"] == pytest.approx(column[3:].mean())


def test_grad_clip_is_clip_norm() -> None:
    trainers = [trainer_of(callbacks=[GradClip(max_norm=0.1)]), trainer_of(clip_norm=0.1), trainer_of()]
    for trainer in trainers:
        trainer.fit(points(24), epochs=2, batch_size=8)
    clipped, by_the_trainer, free = (trainer.model.weight for trainer in trainers)
    assert torch.equal(clipped, by_the_trainer) and not torch.equal(clipped, free)


def test_one_that_logs_under_a_name_of_the_trainers() -> None:
    with pytest.raises(ValueError, match=r"LossMeter logs 'loss', which the trainer itself makes"):
        trainer_of(callbacks=[LossMeter(name="loss")])


def test_repr() -> None:
    assert repr(LossMeter(decay=0.9)) == "LossMeter(decay=0.9, name='loss_ema')"
    assert repr(pyhooks.native.NaNGuard()) == "NaNGuard()"
