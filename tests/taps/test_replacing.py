"""Hooks that put other tensors in place of those there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from parity import harness
from parity.harness import Case, Parts, trainer_for
from taps.tapped import NET, STATS, Seen, Twice, assert_as_plain, plain_run, tapped_run
from torch import Tensor, nn

import pyhooks
from pyhooks.native import GradNoise, GradScale, GradStats

ACCUMULATING = NET.but(accumulate=2, rows=34)


def on_output_grad(names: list[str], change: Callable[[Tensor], Tensor]) -> Callable[[Parts], None]:
    """PyTorch's way: a gradient hook on what the modules return."""

    def install(parts: Parts) -> None:
        def forward_hook(module: nn.Module, args: Any, output: Tensor) -> None:
            if module.training:
                output.register_hook(change)

        for name in names:
            parts.model.get_submodule(name).register_forward_hook(forward_hook)

    return install


def before_each_step(change: Callable[[Parts], None]) -> Callable[[Parts], None]:
    def install(parts: Parts) -> None:
        parts.optimizer.register_step_pre_hook(lambda *args: change(parts))

    return install


@pytest.mark.parametrize("case", [NET, ACCUMULATING, NET.but(clip_norm=0.1)], ids=["net", "accumulating", "clipped"])
@pytest.mark.parametrize("factor", [0.3, -1.0])
def test_scaling_what_flows_back(case: Case, factor: float, engine: str) -> None:
    install = on_output_grad(["fc1", "norm"], lambda grad: grad * factor)

    def add(trainer: pyhooks.Trainer) -> None:
        trainer.add_hook("fc1", GradScale(factor), on="grad")
        trainer.add_hook("norm", GradScale(factor), on="grad")

    assert_as_plain(case, engine, add, install)


def test_scaling_each_call_of_a_module(engine: str) -> None:
    install = on_output_grad(["fc"], lambda grad: grad * 0.3)
    assert_as_plain(NET.but(model=Twice), engine, lambda t: t.add_hook("fc", GradScale(0.3), on="grad"), install)


@pytest.mark.parametrize("case", [NET, ACCUMULATING], ids=["net", "accumulating"])
def test_scaling_gradients_of_parameters(case: Case, engine: str) -> None:
    def change(parts: Parts) -> None:
        parts.model.fc1.weight.grad.mul_(0.3)

    add = lambda trainer: trainer.add_hook("fc1.weight", GradScale(0.3), on="param_grad")  # noqa: E731
    assert_as_plain(case, engine, add, before_each_step(change))


def test_scaling_the_gradients_of_a_short_last_group_that_nobody_foresaw(engine: str) -> None:
    x, y = NET.data(24)
    batches = [(x[i : i + 8], y[i : i + 8]) for i in (0, 8, 16)]
    case = NET.but(accumulate=2)
    theirs = harness.build(case)
    for _ in range(2):
        for number, (inputs, targets) in enumerate(batches, start=1):
            (nn.functional.cross_entropy(theirs.model(inputs), targets) / 2).backward()
            if number == 2 or number == 3:
                theirs.model.fc2.bias.grad.mul_(3)
                theirs.optimizer.step()
                theirs.optimizer.zero_grad()

    class Unsized:
        def __iter__(self) -> Any:
            return iter(batches)

    mine = harness.build(case)
    trainer = trainer_for(case.but(seed=None), mine, engine)
    handle = trainer.add_hook("fc2.bias", GradScale(3), on="param_grad")
    torch.manual_seed(0)
    harness.build(case)  # the generator as after `theirs` was built
    trainer.fit(Unsized(), epochs=2)
    assert handle.calls == 4
    assert all(torch.equal(p, q) for p, q in zip(mine.model.parameters(), theirs.model.parameters(), strict=True))


class Steps:
    """Counts optimizer steps in the plain loop."""

    def __init__(self) -> None:
        self.made = 0

    def count(self, *args: Any) -> None:
        self.made += 1

    def noisy(self, grad: Tensor) -> Tensor:
        """By the formula in GradNoise's docstring."""
        return torch.add(grad, torch.randn_like(grad), alpha=0.2 / (1 + self.made) ** (0.6 / 2))


@pytest.mark.parametrize("case", [NET, ACCUMULATING], ids=["net", "accumulating"])
def test_noise_on_what_flows_back(case: Case, engine: str) -> None:
    steps = Steps()

    def install(parts: Parts) -> None:
        on_output_grad(["fc1", "fc2"], steps.noisy)(parts)
        parts.optimizer.register_step_post_hook(steps.count)

    assert_as_plain(case, engine, lambda t: t.add_hook("fc*", GradNoise(0.2, 0.6), on="grad"), install)


@pytest.mark.parametrize("case", [NET, ACCUMULATING], ids=["net", "accumulating"])
def test_noise_on_gradients_of_parameters(case: Case, engine: str) -> None:
    steps = Steps()

    def install(parts: Parts) -> None:
        def change(parts: Parts) -> None:
            for parameter in parts.model.parameters():
                parameter.grad = steps.noisy(parameter.grad)

        before_each_step(change)(parts)
        parts.optimizer.register_step_post_hook(steps.count)

    assert_as_plain(case, engine, lambda t: t.add_hook("*", GradNoise(0.2, 0.6), on="param_grad"), install)


def test_the_next_hook_gets_what_the_one_before_made(engine: str) -> None:
    seen = Seen()

    def install(parts: Parts) -> None:
        on_output_grad(["fc1"], lambda grad: grad * 0.5)(parts)
        seen.grads(parts.model, "fc1")

    def add(trainer: pyhooks.Trainer) -> None:
        trainer.add_hook("fc1", GradScale(0.5), on="grad")
        trainer.add_hook("fc1", GradStats(list(STATS)), on="grad")

    trainer = assert_as_plain(NET, engine, add, install)
    assert trainer.history.batch["fc1/grad/mean"].tolist() == [g.mean().item() for g in seen.tensors["fc1/grad"]]


def test_every_nth_batch_only(engine: str) -> None:
    calls = [0]

    def change(grad: Tensor) -> Tensor:
        calls[0] += 1
        return grad * 0.5 if calls[0] % 3 == 0 else grad

    add = lambda trainer: trainer.add_hook("fc1", GradScale(0.5), on="grad", every=3)  # noqa: E731
    assert_as_plain(NET, engine, add, on_output_grad(["fc1"], change))


def test_a_replaced_gradient_makes_a_difference(engine: str) -> None:
    theirs, _, _ = plain_run(NET)
    mine, _ = tapped_run(NET, engine, lambda t: t.add_hook("fc2", GradScale(0.5), on="grad"))
    assert not torch.equal(mine.model.fc1.weight, theirs.model.fc1.weight)


def test_a_replaced_tensor_passes_its_gradient_on() -> None:
    trainer = trainer_for(NET, harness.build(NET), "python")
    trainer.add_hook("fc1", GradScale(0.5), on="grad")
    harness.fit(NET, trainer, NET.train_data())  # the operators are made ready where they are first needed
    x = torch.randn(3, requires_grad=True)
    y = torch.ops.pyhooks.replace(x, -1, False)
    assert torch.equal(y, x) and y is not x
    (y * torch.arange(3.0)).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 2.0]
