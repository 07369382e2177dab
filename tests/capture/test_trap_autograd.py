"""Weights, gradients and data-dependent values: what a naive trace gets silently wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from capture.helpers import Base, assert_equal_training, batches, make_step, refused
from capture.interpreter import run_captured
from torch import Tensor, nn

from pyhooks.capture import Verifier, capture


def test_parameters_from_a_list_kept_elsewhere_are_refused() -> None:
    model = Base()
    kept = model.fc.weight
    error = refused(model, "fc.weight", lambda out, y: F.cross_entropy(out, y) + (kept * 2).sum())
    assert "kept * 2" in error.source


def test_leaf_tensor_that_is_no_parameter_is_refused() -> None:
    class Plain(Base):
        def __init__(self) -> None:
            super().__init__()
            self.alpha = torch.ones(3, requires_grad=True)

        def extra(self, h: Tensor) -> Tensor:
            return h * self.alpha

    refused(Plain(), "nn.Parameter|alpha")


def test_gradient_hooks_of_parameters_act() -> None:
    model = Base()
    model.fc.weight.register_hook(lambda grad: grad * 0.5)
    x, y = batches(1)
    step, batch = make_step(model, F.cross_entropy, x[0], y[0])
    captured = capture(step, batch, "train")
    grads = run_captured(captured, batch, "train")[3]
    step(batch, "train").loss.backward()
    assert torch.equal(grads[0], model.fc.weight.grad)
    assert Verifier(step, captured, "train").check(batch, lambda: run_captured(captured, batch, "train")) is None
    model.fc.bias.register_post_accumulate_grad_hook(lambda p: None)
    refused(model, "post_accumulate")


def test_batch_changed_in_place_is_a_copy() -> None:
    class Scales(Base):
        def forward(self, x: Tensor) -> Tensor:
            x.mul_(2)
            return self.fc(x)

    model = Scales()
    x, y = batches(1)
    step, batch = make_step(model, F.cross_entropy, x[0], y[0])
    before = x[0].clone()
    captured = capture(step, batch, "train")
    run_captured(captured, batch, "train")
    assert torch.equal(x[0], before)
    assert_equal_training(model, F.cross_entropy, *batches())


def test_shape_changed_in_place_keeps_aliases_apart() -> None:
    class Unsqueezes(Base):
        def forward(self, x: Tensor) -> Tensor:
            w = self.fc.weight.detach()
            w.unsqueeze_(0)
            y = x.detach()
            y.unsqueeze_(1)
            return self.fc(x) + y.sum((1, 2)).unsqueeze(1) + w.sum()

    model = Unsqueezes()
    assert_equal_training(model, F.cross_entropy, *batches())
    assert model.fc.weight.shape == (3, 6)


def test_weights_changed_through_data() -> None:
    class Clamps(Base):
        def forward(self, x: Tensor) -> Tensor:
            self.fc.weight.data.clamp_(-0.2, 0.2)
            return self.fc(x)

    assert_equal_training(Clamps(), F.cross_entropy, *batches())


def test_ema_teacher() -> None:
    class Teacher(Base):
        def __init__(self) -> None:
            super().__init__()
            self.teacher = nn.Linear(6, 3).requires_grad_(False)

        def forward(self, x: Tensor) -> Tensor:
            for slow, fast in zip(self.teacher.parameters(), self.fc.parameters(), strict=True):
                slow.data.mul_(0.9).add_(fast.data, alpha=0.1)
            return self.fc(x) - self.teacher(x)

    assert_equal_training(Teacher(), F.cross_entropy, *batches())


@pytest.mark.parametrize(
    "wrap",
    [
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_reparametrized_weights(wrap: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    model = Base()
    model.fc = wrap(model.fc)
    x, y = batches(2)
    step, batch = make_step(model, F.cross_entropy, x[0], y[0])
    captured = capture(step, batch, "train")
    verifier = Verifier(step, captured, "train")
    for a, b in zip(x, y, strict=True):
        assert verifier.check([a, b], lambda a=a, b=b: run_captured(captured, [a, b], "train")) is None


def test_masked_mean_is_refused_with_the_line() -> None:
    class Masked(Base):
        def extra(self, h: Tensor) -> Tensor:
            return h + h[h > 0].mean()

    error = refused(Masked(), "size depends on data")
    assert "h[h > 0].mean()" in error.source


def test_unused_item_is_dropped() -> None:
    class Logs(Base):
        def extra(self, h: Tensor) -> Tensor:
            self.log = [h.mean().item()]
            return h

    captured = assert_equal_training(Logs(), F.cross_entropy, *batches())
    assert not any("scalar" in op.name for op in captured.program.ops)


def test_gradient_penalty() -> None:
    class Penalty(Base):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            x = x.detach().requires_grad_()
            out = torch.tanh(self.fc(x))
            (grad,) = torch.autograd.grad(out.sum(), x, create_graph=True)
            return out, grad.pow(2).sum()

    assert_equal_training(Penalty(), lambda out, y: F.cross_entropy(out[0], y) + out[1], *batches())


def test_step_that_calls_backward_itself_is_refused() -> None:
    def loss(out: Tensor, y: Tensor) -> Tensor:
        value = F.cross_entropy(out, y)
        value.backward(retain_graph=True)
        return value

    refused(Base(), "backward", loss)
