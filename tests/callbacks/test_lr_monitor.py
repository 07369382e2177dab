"""LRMonitor: the rates that steps are made with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from trainer_helpers import net, points, trainer_of

import pyhooks
from pyhooks.native import LRMonitor


def two_groups(parameters: Any) -> torch.optim.Optimizer:
    weight, bias = parameters
    return torch.optim.SGD([{"params": [weight], "lr": 0.1}, {"params": [bias], "lr": 0.02}])


def scheduled(*callbacks: Any, **options: Any) -> pyhooks.Trainer:
    model = net()
    optimizer = two_groups(model.parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    return pyhooks.Trainer(
        model,
        torch.nn.functional.cross_entropy,
        optimizer,
        scheduler=(schedule, "batch"),
        callbacks=callbacks,
        progress=False,
        **options,
    )


def test_each_groups_rate_of_each_batch() -> None:
    result = scheduled(LRMonitor()).fit(points(24), epochs=2, batch_size=8)
    wanted = 0.5 ** np.arange(6)
    np.testing.assert_allclose(result.history.batch["lr_monitor/pg0"], 0.1 * wanted, rtol=1e-12)
    np.testing.assert_allclose(result.history.batch["lr_monitor/pg1"], 0.02 * wanted, rtol=1e-12)
    np.testing.assert_array_equal(result.history.batch["lr_monitor/pg0"], result.history.batch["lr"])


def test_the_trainers_own_metrics_stay() -> None:
    with_it = scheduled(LRMonitor()).fit(points(24), epochs=2, batch_size=8)
    without = scheduled().fit(points(24), epochs=2, batch_size=8)
    for mine, wanted in zip(with_it.history.epochs, without.history.epochs, strict=True):
        assert {name: mine[name] for name in ("lr/pg0", "lr/pg1")} == {
            name: wanted[name] for name in ("lr/pg0", "lr/pg1")
        }
    columns = with_it.history.batch["lr_monitor/pg1"]
    assert with_it.metrics["lr_monitor/pg1"] == pytest.approx(columns[3:].mean())


def test_accumulation_steps_show_the_rate_of_their_group() -> None:
    result = scheduled(LRMonitor(), accumulate=2).fit(points(32), epochs=1, batch_size=8)
    np.testing.assert_allclose(result.history.batch["lr_monitor/pg1"], [0.02, 0.02, 0.01, 0.01], rtol=1e-12)


def test_what_it_logs_is_known_before_training() -> None:
    names: list[list[str]] = []
    trainer = trainer_of(make_optimizer=two_groups, callbacks=[LRMonitor(name="rate")])
    trainer.add_callback("on_train_start", lambda t: names.append(t.metric_names))
    result = trainer.fit(points(24), epochs=1, batch_size=8)
    assert names == [["train/loss", "lr/pg0", "lr/pg1", "rate/pg0", "rate/pg1"]]
    assert list(result.metrics) == names[0]


def test_a_name_that_is_the_trainers() -> None:
    with pytest.raises(ValueError, match=r"LRMonitor: name is 'lr', and lr/pg0 is the trainer's own metric"):
        LRMonitor(name="lr")
