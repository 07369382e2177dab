"""What a naive trace gets silently wrong: each is cured, or refused with a reason."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from capture.helpers import assert_equal_training, make_step
from capture.interpreter import run_captured
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pyhooks.capture import Verifier, capture
from pyhooks.errors import CaptureError


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


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_with_dropout(reentrant: bool) -> None:
    class Checkpointed(Base):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(6, 6)
            self.block = nn.Sequential(
                nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 6), nn.Dropout(0.2)
            )

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(checkpoint(self.block, self.first(x), use_reentrant=reentrant))

    captured = assert_equal_training(Checkpointed(), F.cross_entropy, *batches())
    names = {op.name for op in captured.program.ops}
    assert ("pyhooks::set_rng" in names) is not reentrant


def test_checkpointing_without_random_numbers_leaves_no_generator_operators() -> None:
    class Checkpointed(Base):
        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(self.fc, x, use_reentrant=False)

    captured = assert_equal_training(Checkpointed(), F.cross_entropy, *batches())
    assert not any(op.name.startswith("pyhooks::") for op in captured.program.ops)


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
    assert (
        Verifier(step, captured, "train").check(batch, lambda: run_captured(captured, batch, "train")) is None
    )


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


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (random.random, "Python's random"),
        (np.random.rand, "numpy.random"),
        (lambda: random.seed(0) or 1.0, "Python's random"),
        (lambda: torch.manual_seed(3) and 1.0, "torch's default"),
    ],
)
def test_host_random_numbers_are_refused(draw: Callable[[], float], name: str) -> None:
    class Draws(Base):
        def extra(self, h: Tensor) -> Tensor:
            return h * draw()

    model = Draws()
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    refused(model, name)
    assert random.getstate() == states[0] and np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_private_numpy_generator_is_refused() -> None:
    class Draws(Base):
        def __init__(self) -> None:
            super().__init__()
            self.rng = np.random.default_rng(0)

        def extra(self, h: Tensor) -> Tensor:
            return h * self.rng.random()

    model = Draws()
    refused(model, "private NumPy generator")
    assert model.rng.random() == np.random.default_rng(0).random()


def test_private_torch_generator_is_refused() -> None:
    class Draws(Base):
        def __init__(self) -> None:
            super().__init__()
            self.g = torch.Generator().manual_seed(0)

        def extra(self, h: Tensor) -> Tensor:
            return h + torch.rand(3, generator=self.g)

    assert "test_traps.py" in refused(Draws(), "enerator").source


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
    assert (
        Verifier(step, captured, "train").check(batch, lambda: run_captured(captured, batch, "train")) is None
    )
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


def test_reentrant_checkpoint_of_an_input_without_gradient() -> None:
    class Checkpointed(Base):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(checkpoint(self.block, x, use_reentrant=True))

    with pytest.warns(UserWarning, match="requires_grad=True"):
        captured = assert_equal_training(Checkpointed(), F.cross_entropy, *batches())
    assert captured.grads == [True, True, False, False]


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
    assert all(
        tensor._version == version and torch.equal(tensor, old) for tensor, version, old in values.values()
    )
    assert all(a is b for a, b in zip(model.rnn._flat_weights, weights, strict=True))
    assert model.log == [] and model.cache == {} and all(p.grad is None for p in model.parameters())
    assert random.getstate() == states[0] and torch.equal(torch.get_rng_state(), states[1])
