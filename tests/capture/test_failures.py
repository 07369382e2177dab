"""Errors: the user's own come out as they are, others name the operator and the user's line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from capture.helpers import make_step
from torch import Tensor, nn

from pyhooks.capture import capture
from pyhooks.errors import CaptureError, UserStepError


class Net(nn.Module):
    def __init__(self, extra: Any = None) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 3)
        self.extra = extra

    def forward(self, x: Tensor) -> Tensor:
        return self.extra(self.fc(x)) if self.extra else self.fc(x)


def branch(h: Tensor) -> Tensor:
    if h.sum() > 0:
        return h
    return -h


def to_numpy(h: Tensor) -> Tensor:
    return h * float(np.mean(h.detach().numpy()))


def as_number(h: Tensor) -> Tensor:
    return h[: int(h.argmax().item()) % 3 + 1]


def run(extra: Any = None, loss: Any = F.cross_entropy, mode: str = "train", **options: Any) -> Any:
    model = Net(extra)
    step, batch = make_step(model, loss, torch.randn(5, 6), torch.randint(3, (5,)), **options)
    return capture(step, batch, mode)


@pytest.mark.parametrize(
    ("extra", "line"),
    [(branch, "if h.sum() > 0"), (to_numpy, "h.detach().numpy()"), (as_number, "h.argmax().item()")],
)
def test_capture_error_names_line_and_ways_out(extra: Any, line: str) -> None:
    loss = (lambda out, y: out.sum()) if extra is as_number else F.cross_entropy
    with pytest.raises(CaptureError) as info:
        run(extra, loss)
    assert line in info.value.source and "test_failures.py" in info.value.source
    assert any("python" in way for way in info.value.ways_out)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("wrap", "match"),
    [
        (torch.jit.script, "TorchScript"),
        (torch.compile, "torch.compile"),
        (lambda _: nn.Sequential(nn.LazyLinear(3)), "lazy"),
    ],
)
def test_modules_that_cannot_be_traced(wrap: Any, match: str) -> None:
    model = wrap(nn.Linear(6, 3))
    step, batch = make_step(model, F.cross_entropy, torch.randn(5, 6), torch.randint(3, (5,)))
    with pytest.raises(CaptureError, match=match):
        capture(step, batch, "train")


def test_nonzero_size_names_operator() -> None:
    with pytest.raises(CaptureError) as info:
        run(lambda h: h + h.nonzero().shape[0])
    assert info.value.op == "aten::nonzero"


class MyError(Exception):
    pass


def test_users_exception_comes_out() -> None:
    def fail(h: Tensor) -> Tensor:
        raise MyError("mine")

    with pytest.raises(MyError, match="mine"):
        run(fail)


def test_wrong_shape_is_torchs_own_error() -> None:
    with pytest.raises(RuntimeError, match=r"mat1 and mat2") as info:
        run(lambda h: h @ torch.zeros(7, 2))
    assert not isinstance(info.value, CaptureError)


def test_failed_capture_leaves_generator_and_gradients() -> None:
    model = Net(lambda h: F.dropout(branch(h)))
    step, batch = make_step(model, F.cross_entropy, torch.randn(5, 6), torch.randint(3, (5,)))
    before = torch.get_rng_state()
    with pytest.raises(CaptureError):
        capture(step, batch, "train")
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in model.parameters())
    assert isinstance(model.fc.weight, nn.Parameter)


@pytest.mark.parametrize(
    ("loss", "match"),
    [
        (lambda out, y: 1.0, "must be a tensor.*float"),
        (lambda out, y: F.cross_entropy(out, y, reduction="none"), r"\[5\].*\.mean\(\)"),
        (lambda out, y: out.argmax(), "floating point.*int64"),
        (lambda out, y: out.detach().mean(), "no trainable parameter"),
        (lambda out, y: out.detach().mean().requires_grad_() * 2, "no trainable parameter"),
    ],
)
def test_wrong_loss(loss: Any, match: str) -> None:
    with pytest.raises(UserStepError, match=match):
        run(loss=loss)


def test_wrong_metric_is_named() -> None:
    class Wrong:
        size = 2

        def stats(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return outputs.sum()

    with pytest.raises(UserStepError, match=r"'wrong'.*2 values.*shape"):
        run(metrics={"wrong": Wrong()})


def test_unknown_mode() -> None:
    with pytest.raises(ValueError, match="train, eval, predict"):
        run(mode="test")


def test_source_of_forward_and_backward() -> None:
    captured = run(lambda h: torch.tanh(h))
    forward = next(op for op in captured.program.ops if op.name == "aten::tanh")
    backward = next(op for op in captured.program.ops if op.name == "aten::tanh_backward")
    assert "test_failures.py" in forward.source and "torch.tanh(h)" in forward.source
    assert backward.source == f"backward of {forward.source}"


def test_unknown_output_type() -> None:
    class Normal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 1)

        def forward(self, x: Tensor) -> torch.distributions.Normal:
            return torch.distributions.Normal(self.fc(x), torch.ones(1), validate_args=False)

    def loss(out: torch.distributions.Normal, y: Tensor) -> Tensor:
        return -out.log_prob(y).mean()

    step, batch = make_step(Normal(), loss, torch.randn(5, 6), torch.randn(5, 1))
    assert capture(step, batch, "train").n_outputs == 0
    with pytest.raises(CaptureError, match="Normal"):
        capture(step, batch[:1], "predict")
