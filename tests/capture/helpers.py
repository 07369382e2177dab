"""Training a model twice, eagerly and through its captured program, and comparing bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from capture.interpreter import run_captured
from torch import Tensor, nn

from pyhooks.capture import Captured, capture
from pyhooks.capture.verify import difference
from pyhooks.errors import CaptureError
from pyhooks.step import BatchSpec, Step


class Accuracy:
    """A metric small enough for these tests."""

    size = 2

    def stats(self, outputs: Any, targets: Any) -> Tensor:
        hits = (outputs.argmax(-1) == targets).sum()
        return torch.stack([hits, torch.full_like(hits, targets.numel())]).double()


def make_step(model: nn.Module, loss: Any, inputs: Any, targets: Any, **options: Any) -> tuple[Step, list[Tensor]]:
    """A step and its flat batch."""
    metrics = options.pop("metrics", {})
    batch = [*torch.utils._pytree.tree_leaves(inputs), *torch.utils._pytree.tree_leaves(targets)]
    return Step(model, loss, metrics, BatchSpec.of(inputs, targets), **options), batch


def train(step: Step, batches: Sequence[Sequence[Tensor]], captured: Captured | None = None) -> dict[str, list[Tensor]]:
    """Train with momentum SGD on the batches, from one seed; eagerly, or with a captured program."""
    parameters = list(step.parameters().values())
    optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
    torch.manual_seed(7)
    losses, stats, outputs, grads = [], [], [], []
    for batch in batches:
        optimizer.zero_grad()
        if captured is None:
            out = step([tensor.clone() for tensor in batch], "train")
            step.backward_loss(out.loss).backward()
            found = (out.loss.detach(), out.stats, out.outputs, [p.grad for p in parameters])
        else:
            assert [p for _, p in captured.parameters] == parameters
            found = run_captured(captured, batch, "train")
            for parameter, grad in zip(parameters, found[3], strict=True):
                parameter.grad = grad
        losses.append(found[0].clone())
        stats.extend(tensor.clone() for tensor in found[1])
        outputs.extend(tensor.clone() for tensor in found[2])
        for grad in found[3]:
            grads.append(torch.empty(0) if grad is None else grad.clone())
            if grad is not None and grad.layout == torch.strided:
                grads.append(torch.tensor(grad.stride()))
        optimizer.step()
    held = [tensor.detach().clone() for tensor in (*parameters, *step.constants().values())]
    return {
        "losses": losses,
        "stats": stats,
        "outputs": outputs,
        "grads": grads,
        "held": held,
        "rng": [torch.get_rng_state()],
    }


def assert_equal_training(
    model: nn.Module, loss: Any, inputs: Sequence[Any], targets: Sequence[Any], **options: Any
) -> Captured:
    """Capture on the first batch, then train on all of them both ways; everything must be equal."""
    eager_model, eager_loss = copy.deepcopy((model, loss))
    step, batch = make_step(model, loss, inputs[0], targets[0], **options)
    captured = capture(step, batch, "train")
    leaves = torch.utils._pytree.tree_leaves
    batches = [[*leaves(x), *leaves(y)] for x, y in zip(inputs, targets, strict=True)]
    eager_step = make_step(eager_model, eager_loss, inputs[0], targets[0], **options)[0]
    expected, found = train(eager_step, batches), train(step, batches, captured)
    for key, values in expected.items():
        assert len(values) == len(found[key]), key
        for index, (theirs, ours) in enumerate(zip(values, found[key], strict=True)):
            assert not difference(theirs, ours), f"{key}[{index}]: {difference(theirs, ours)}"
    return captured


def batches(n: int = 4) -> tuple[list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return (
        [torch.randn(5, 6, generator=generator) for _ in range(n)],
        [torch.randint(3, (5,), generator=generator) for _ in range(n)],
    )


class Base(nn.Module):
    """A linear layer, and whatever a test adds in ``extra``."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 3)

    def extra(self, h: Tensor) -> Tensor:
        return h

    def forward(self, x: Tensor) -> Tensor:
        return self.extra(self.fc(x))


def refused(model: nn.Module, match: str, loss: Callable[..., Tensor] = F.cross_entropy) -> CaptureError:
    x, y = batches(1)
    step, batch = make_step(model, loss, x[0], y[0])
    with pytest.raises(CaptureError, match=match) as info:
        capture(step, batch, "train")
    assert info.value.ways_out
    return info.value
