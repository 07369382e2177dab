"""State that a step changes: buffers and attributes bound anew, counters, weights changed by hand."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from capture.helpers import Base, assert_equal_training, batches, make_step, refused
from capture.interpreter import run_captured
from torch import Tensor, nn

from pyhooks.capture import Verifier, capture
from pyhooks.errors import CaptureError


def test_rebound_buffer_is_written_in_place() -> None:
    class Ema(Base):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(3))

        def extra(self, h: Tensor) -> Tensor:
            self.mean = 0.9 * self.mean + 0.1 * h.detach().mean(0)
            return h - self.mean

    model = Ema()
    buffer = model.mean
    assert_equal_training(model, F.cross_entropy, *batches())
    assert model.mean is buffer and buffer.abs().sum() > 0


def test_buffer_bound_to_another_shape_is_refused() -> None:
    class Grows(Base):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("memory", torch.zeros(3))

        def extra(self, h: Tensor) -> Tensor:
            self.memory = torch.cat([self.memory, h.detach().mean(0)])
            return h + self.memory.mean()

    error = refused(Grows(), "memory")
    assert "copy_" in str(error)


def test_plain_tensor_attribute_rebound_is_written_in_place() -> None:
    class Plain(Base):
        def __init__(self) -> None:
            super().__init__()
            self.mean = torch.zeros(3)

        def extra(self, h: Tensor) -> Tensor:
            self.mean = 0.5 * self.mean + h.detach().mean(0)
            return h - self.mean

    captured = assert_equal_training(Plain(), F.cross_entropy, *batches())
    assert [name for name, _ in captured.constants] == ["Plain.mean"]


def test_plain_tensor_attribute_changed_in_place() -> None:
    class Plain(Base):
        def __init__(self) -> None:
            super().__init__()
            self.state = {"mean": torch.zeros(3)}

        def extra(self, h: Tensor) -> Tensor:
            self.state["mean"].mul_(0.5).add_(h.detach().mean(0))
            return h - self.state["mean"]

    model = Plain()
    x, y = batches(1)
    step, batch = make_step(model, F.cross_entropy, x[0], y[0])
    capture(step, batch, "train")
    assert torch.equal(model.state["mean"], torch.zeros(3))  # tracing changed nothing
    assert_equal_training(model, F.cross_entropy, *batches())


def test_cached_activation_is_harmless() -> None:
    class Caches(Base):
        last: Tensor | None = None

        def extra(self, h: Tensor) -> Tensor:
            self.last = h
            return h

    model = Caches()
    model(torch.zeros(2, 6))  # leaves a tensor with an autograd history
    x, y = batches(1)
    step, batch = make_step(model, F.cross_entropy, x[0], y[0])
    captured = capture(step, batch, "train")
    assert captured.constants == [] and not any(op.name == "aten::copy_" for op in captured.program.ops)
    assert Verifier(step, captured, "train").check(batch, lambda: run_captured(captured, batch, "train")) is None


def test_tensor_outside_of_the_model_changed_in_place_is_refused_and_restored() -> None:
    outside = torch.zeros(3)

    def loss(out: Tensor, y: Tensor) -> Tensor:
        outside.add_(1.0)
        return F.cross_entropy(out + outside, y)

    globals()["_OUTSIDE"] = outside_global = torch.zeros(3)

    def loss_global(out: Tensor, y: Tensor) -> Tensor:
        _OUTSIDE.add_(1.0)  # noqa: F821
        return F.cross_entropy(out + _OUTSIDE, y)  # noqa: F821

    refused(Base(), "changed in place", loss)
    refused(Base(), "changed in place", loss_global)
    assert outside.sum() == 0 and outside_global.sum() == 0


def test_python_counter_is_refused() -> None:
    class Counter(Base):
        n = 0

        def extra(self, h: Tensor) -> Tensor:
            self.n += 1
            return h * (1.0 / self.n)

    model = Counter()
    error = refused(model, "Counter.n")
    assert model.n == 0 and "n" not in model.__dict__ and "register_buffer('n'" in str(error)


def test_python_counter_in_a_helper_object_is_refused() -> None:
    class Schedule:
        def __init__(self) -> None:
            self.weight = 1.0

        def __call__(self, out: Tensor, y: Tensor) -> Tensor:
            self.weight *= 0.9
            return self.weight * F.cross_entropy(out, y)

    schedule = Schedule()
    refused(Base(), "Schedule.weight", schedule)
    assert schedule.weight == 1.0


def test_first_call_flag_is_refused() -> None:
    class Lazy(Base):
        ready = False

        def extra(self, h: Tensor) -> Tensor:
            h = h if self.ready else h * 2
            self.ready = True
            return h

    assert "call the model once" in str(refused(Lazy(), "Lazy.ready"))


def test_numbers_that_follow_from_the_shape_are_harmless() -> None:
    class Shapes(Base):
        def extra(self, h: Tensor) -> Tensor:
            self.rows, self.cols = h.shape
            return h / self.rows

    model = Shapes()
    assert_equal_training(model, F.cross_entropy, *batches())
    assert "rows" not in model.__dict__


def test_buffers_that_swap_are_written_at_once() -> None:
    class Swaps(Base):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("a", torch.tensor([1.0, 2.0, 3.0]))
            self.register_buffer("b", torch.tensor([5.0, 7.0, 9.0]))

        def extra(self, h: Tensor) -> Tensor:
            self.a, self.b = self.b, self.a
            return h * self.a

    assert_equal_training(Swaps(), F.cross_entropy, *batches())


def test_parameter_bound_anew_is_refused() -> None:
    class Rebinds(Base):
        def extra(self, h: Tensor) -> Tensor:
            self.fc.weight = nn.Parameter(self.fc.weight.detach() * 0.5)
            return h

    model = Rebinds()
    weight = model.fc.weight
    refused(model, r"weight")
    assert model.fc.weight is weight


@pytest.mark.parametrize("fails", [False, True])
def test_tracing_leaves_everything_as_it_was(fails: bool) -> None:
    class Everything(Base):
        def __init__(self) -> None:
            super().__init__()
            self.bn, self.rnn = nn.BatchNorm1d(3), nn.LSTM(3, 3)
            self.log: list[Any] = []
            self.cache: dict[str, Tensor] = {}
            self.register_buffer("seen", torch.zeros(()))

        def extra(self, h: Tensor) -> Tensor:
            self.log.append(h)
            self.cache["h"] = self.new = h
            self.seen.add_(1)
            if fails and h.sum() > 0:
                return h
            return self.rnn(self.bn(F.dropout(h)))[0]

    model = Everything()
    before = {name: dict(module.__dict__) for name, module in model.named_modules()}
    registries = {name: (dict(m._parameters), dict(m._buffers)) for name, m in model.named_modules()}
    values = {name: (tensor, tensor._version, tensor.clone()) for name, tensor in model.state_dict().items()}
    weights, states = list(model.rnn._flat_weights), (random.getstate(), torch.get_rng_state())
    x, y = batches(1)
    step, batch = make_step(model, F.cross_entropy, x[0], y[0])
    if fails:
        with pytest.raises(CaptureError):
            capture(step, batch, "train")
    else:
        capture(step, batch, "train")
    for name, module in model.named_modules():
        assert module.__dict__.keys() == before[name].keys()
        assert all(module.__dict__[key] is value for key, value in before[name].items())
        for now, then in zip((module._parameters, module._buffers), registries[name], strict=True):
            assert list(now) == list(then) and all(now[key] is then[key] for key in then)
    assert all(tensor._version == version and torch.equal(tensor, old) for tensor, version, old in values.values())
    assert all(a is b for a, b in zip(model.rnn._flat_weights, weights, strict=True))
    assert model.log == [] and model.cache == {} and all(p.grad is None for p in model.parameters())
    assert random.getstate() == states[0] and torch.equal(torch.get_rng_state(), states[1])
