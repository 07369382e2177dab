"""Random expressions, evaluated natively in a training and by Python's ``eval`` afterwards."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.optim import lr_scheduler
from trainer_helpers import net
from triggers.model import WINDOWS, Model
from triggers.plain import SIZE, data, sgd

import pyhooks
from pyhooks import Firing, when

REAL = ("loss", "grad_norm", "lr", "loss_ema")
WHOLE = ("step", "epoch", "batch", "samples", "samples_seen")
EPOCHS = 4


class Writer:
    """Writes random expressions. Ties between rounded numbers are made unlikely, since they may fall either way."""

    def __init__(self, seed: int, names: tuple[str, ...]) -> None:
        self.random, self.names = random.Random(seed), names

    def condition(self, depth: int) -> str:
        if depth == 0 or self.random.random() < 0.2:
            return self.pick(self.comparison, self.comparison, self.check)(0)
        return self.pick(self.junction, self.junction, self.comparison, self.negation, self.chain)(depth - 1)

    def value(self, depth: int, *, in_window: bool = False) -> str:
        if depth == 0 or self.random.random() < 0.15:
            names = [name for name in self.names if name in REAL or not in_window]
            return self.random.choice([*names, *names, self.constant()])
        if self.random.random() < 0.3:
            return self.window(depth - 1)
        return self.pick(self.sum, self.product, self.call, self.sign)(depth - 1, in_window)

    def pick(self, *makers: Callable[..., str]) -> Callable[..., str]:
        return self.random.choice(makers)

    def constant(self) -> str:
        return f"{self.random.uniform(0.01, 3):.5f}"

    def comparison(self, depth: int) -> str:
        op = self.random.choice(["<", "<=", ">", ">=", "!=", "=="])
        return f"{self.value(depth)} {op} {self.value(depth)}"

    def chain(self, depth: int) -> str:
        ops = [self.random.choice(["<", "<=", ">", ">="]) for _ in range(2)]
        return f"{self.value(depth)} {ops[0]} {self.value(depth)} {ops[1]} {self.value(depth)}"

    def check(self, depth: int) -> str:
        checks = [f"isfinite({self.value(1)})", f"isnan({self.value(1)})", f"every({self.random.randint(1, 5)})"]
        return self.random.choice(checks)

    def junction(self, depth: int) -> str:
        parts = [self.condition(depth) for _ in range(self.random.randint(2, 3))]
        text = f" {self.random.choice(['and', 'or'])} ".join(parts)
        return text if self.random.random() < 0.5 else f"({text})"

    def negation(self, depth: int) -> str:
        return f"not {self.condition(depth)}"

    def sum(self, depth: int, in_window: bool) -> str:
        return f"({self.value(depth, in_window=in_window)} {self.random.choice('+-')} {self.constant()})"

    def product(self, depth: int, in_window: bool) -> str:
        op = self.random.choice(["*", "/", "%", "**"])
        left, right = self.value(depth, in_window=in_window), self.value(0, in_window=in_window)
        return f"{left} {op} {right}"

    def call(self, depth: int, in_window: bool) -> str:
        inner = self.value(depth, in_window=in_window)
        if self.random.random() < 0.4:
            return f"{self.random.choice(['min', 'max'])}({inner}, {self.value(0, in_window=in_window)})"
        return f"{self.random.choice(['abs', 'sqrt', 'log', 'exp'])}({inner})"

    def sign(self, depth: int, in_window: bool) -> str:
        return f"-{self.value(depth, in_window=in_window)}"

    def window(self, depth: int) -> str:
        argument = self.condition(0) if self.random.random() < 0.15 else self.value(depth, in_window=True)
        return f"{self.random.choice(WINDOWS)}({argument}, {self.random.choice([1, 2, 3, 5, 8])})"


def run(expressions: list[str]) -> tuple[pyhooks.Trainer, list[list[Firing]], list[Firing]]:
    """A training with a trigger for each expression; and one that tells each batch's gradient norm."""
    model = net()
    optimizer = sgd(list(model.parameters()))
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.97)
    options: dict[str, Any] = {"scheduler": (schedule, "batch"), "progress": False, "seed": 0}
    trainer = pyhooks.Trainer(model, F.cross_entropy, optimizer, callbacks=[pyhooks.native.LossMeter(0.8)], **options)
    norms: list[Firing] = []
    trainer.add_callback(when("grad_norm >= 0 and step >= 0", do=norms.extend))
    firings: list[list[Firing]] = [[] for _ in expressions]
    for i, expression in enumerate(expressions):
        trainer.add_callback(when(expression, do=[f"log(held{i})", firings[i].extend]))
    trainer.fit(data(), epochs=EPOCHS, batch_size=SIZE)
    return trainer, firings, norms


def batches(trainer: pyhooks.Trainer, norms: list[Firing]) -> list[dict[str, float]]:
    """The names' values, batch by batch."""
    columns = trainer.history.batch
    rows = []
    for i, firing in enumerate(norms):
        whole = {"step": i, "epoch": firing.epoch, "batch": firing.batch}
        samples = {"samples": SIZE, "samples_seen": SIZE * (i + 1)}
        real = {name: float(columns[name][i]) for name in ("loss", "lr", "loss_ema")}
        rows.append({**whole, **samples, **real, "grad_norm": firing.values["grad_norm"]})
    return rows


def close(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or a == b or math.isclose(a, b, rel_tol=1e-8, abs_tol=1e-10)


@pytest.mark.parametrize("names", [("loss", "grad_norm", "lr", *WHOLE), (*REAL, *WHOLE)], ids=["early", "late"])
def test_as_python_evaluates_them(names: tuple[str, ...]) -> None:
    writer = Writer(len(names), names)
    expressions = [writer.condition(3) for _ in range(250)]
    trainer, firings, norms = run(expressions)
    rows = batches(trainer, norms)
    assert len(rows) == 40
    changing = 0
    for i, expression in enumerate(expressions):
        model = Model(expression)
        column, mine = trainer.history.batch[f"held{i}"], iter(firings[i])
        for row, found in zip(rows, column, strict=True):
            assert model.holds(row) == bool(found), f"{expression} at {row}"
            if found:
                shown = {name: (value, model.values[name]) for name, value in next(mine).values.items()}
                assert all(close(*pair) for pair in shown.values()), f"{expression}: {shown}"
        assert next(mine, None) is None
        changing += 0 < column.sum() < len(column)
    assert changing > 75, "many expressions must be worth evaluating"
    assert torch.isfinite(trainer.model.weight).all() and np.isfinite(trainer.history.batch["loss"]).all()
