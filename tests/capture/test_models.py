"""Captured programs of real kinds of models are bit-equal to eager over several steps."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from capture.helpers import Accuracy, assert_equal_training, make_step
from capture.interpreter import run_captured
from torch import Tensor, nn

from pyhooks.capture import capture
from pyhooks.tree import unflatten


def floats(*shape: int, n: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(*shape, generator=generator) for _ in range(n)]


def labels(classes: int, *shape: int, n: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(classes, shape, generator=generator) for _ in range(n)]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


class Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.drop, self.fc = nn.Dropout(0.25), nn.Linear(4 * 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.relu(self.bn2(self.conv2(x)) + x)
        return self.fc(self.drop(x.flatten(1)))


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.rnn, self.head = (
            nn.Embedding(11, 8),
            nn.LSTM(8, 8, 2, batch_first=True, dropout=0.1),
            nn.Linear(8, 11),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.rnn(self.embed(tokens))[0])


class Block(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj, self.drop = nn.Linear(d, 3 * d), nn.Linear(d, d), nn.Dropout(0.1)
        self.mlp = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d), nn.Dropout(0.1))

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        q, k, v = (part.view(b, t, 2, d // 2).transpose(1, 2) for part in self.qkv(self.ln1(x)).split(d, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=0.1 if self.training else 0.0)
        x = x + self.drop(self.proj(y.transpose(1, 2).reshape(b, t, d)))
        return x + self.mlp(self.ln2(x))


class Gpt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(13, 16), nn.Parameter(torch.zeros(8, 16))
        self.blocks = nn.Sequential(Block(16), Block(16))
        self.head = nn.Linear(16, 13, bias=False)
        self.head.weight = self.embed.weight  # tied

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.blocks(self.embed(tokens) + self.position[: tokens.shape[1]]))


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


MODELS = {
    "mlp": (mlp, F.cross_entropy, floats(5, 6), labels(3, 5)),
    "cnn": (Cnn, F.cross_entropy, floats(4, 1, 8, 8), labels(3, 4)),
    "lstm": (Lstm, token_loss, labels(11, 3, 5), labels(11, 3, 5)),
    "gpt": (Gpt, token_loss, labels(13, 2, 8), labels(13, 2, 8)),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("accumulate", [1, 3])
def test_model_is_bit_equal(name: str, accumulate: int) -> None:
    make, loss, inputs, targets = MODELS[name]
    torch.manual_seed(0)
    captured = assert_equal_training(make(), loss, inputs, targets, accumulate=accumulate, metrics={"acc": Accuracy()})
    assert captured.draws_random
    assert captured.program.n_inputs == len(captured.parameters) + len(captured.constants) + 2


def test_tied_weights_appear_once() -> None:
    torch.manual_seed(0)
    captured = assert_equal_training(Gpt(), token_loss, labels(13, 2, 8), labels(13, 2, 8))
    names = [name for name, _ in captured.parameters]
    assert "embed.weight" in names and "head.weight" not in names


def test_frozen_part() -> None:
    model = mlp()
    model[0].requires_grad_(False)
    captured = assert_equal_training(model, F.cross_entropy, floats(5, 6), labels(3, 5))
    assert [name for name, _ in captured.constants] == ["0.weight", "0.bias"]
    assert [name for name, _ in captured.parameters] == ["3.weight", "3.bias"]


def test_frozen_batch_norm_inside_a_training_model() -> None:
    model = Cnn()
    model.bn1.eval()
    assert_equal_training(model, F.cross_entropy, floats(4, 1, 8, 8), labels(3, 4))


def test_unused_parameter_has_no_gradient() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(6, 3), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    captured = assert_equal_training(Unused(), F.cross_entropy, floats(5, 6), labels(3, 5))
    assert captured.grads == [True, True, False, False]
    assert captured.program.outputs[-2:] == [-1, -1]


def test_gradients_that_alias_are_separate_tensors() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            return (self.a + self.b) * x

    captured = assert_equal_training(Sum(), F.mse_loss, floats(4, 3), floats(4, 3))
    first, second = run_captured(captured, [*floats(4, 3, n=2)], "train")[3]
    assert first.untyped_storage().data_ptr() != second.untyped_storage().data_ptr()


def test_gradient_that_aliases_the_batch_is_its_own_tensor() -> None:
    class Dot(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            class Pick(torch.autograd.Function):
                @staticmethod
                def forward(ctx: Any, w: Tensor, x: Tensor) -> Tensor:
                    ctx.save_for_backward(x)
                    return (w * x).sum()

                @staticmethod
                def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
                    return ctx.saved_tensors[0], None

            return Pick.apply(self.w, x)

    captured = assert_equal_training(Dot(), lambda out, _: out, floats(3), floats(3))
    x = torch.randn(3)
    grad = run_captured(captured, [x, x], "train")[3][0]
    grad.zero_()
    assert x.abs().sum() > 0


def test_gradients_have_the_parameters_strides() -> None:
    class Transposed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(3, 6).t())
            self.conv = nn.Conv2d(1, 2, 3).to(memory_format=torch.channels_last)
            self.wide = nn.Parameter(torch.randn(1).expand(6).clone().as_strided((6,), (1,)))

        def forward(self, x: Tensor) -> Tensor:
            return (x * self.wide) @ self.w + self.conv(x.view(1, 1, 5, 6)).sum()

    assert_equal_training(Transposed(), F.cross_entropy, floats(5, 6), labels(3, 5))


def test_noise_drawn_in_forward() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encode, self.decode = nn.Linear(6, 3), nn.Linear(3, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.decode(F.relu(self.encode(x + 0.1 * torch.randn_like(x))) + torch.rand(3))

    captured = assert_equal_training(Noisy(), F.mse_loss, floats(5, 6), floats(5, 6))
    assert captured.draws_random


def test_tuple_and_dict_inputs_and_targets() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor, z: Tensor) -> dict[str, Tensor]:
            return {"sum": self.a(x) + self.b(z), "z": z}

    def loss(outputs: Any, targets: Any) -> Tensor:
        return F.cross_entropy(outputs["sum"], targets["y"]) + outputs["sum"].mul(targets["w"]).mean()

    targets = [{"y": y, "w": w} for y, w in zip(labels(3, 5), floats(5, 3), strict=True)]
    pairs = list(zip(floats(5, 6), floats(5, 4), strict=True))
    assert_equal_training(Two(), loss, pairs, targets)
    captured = assert_equal_training(Two(), loss, [{"z": z, "x": x} for x, z in pairs], targets)
    assert captured.n_outputs == 2


@dataclasses.dataclass
class Output:
    logits: Tensor
    extra: tuple[Tensor, ...]
    name: str = "out"


def test_dataclass_output() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Output:
            logits = self.fc(x)
            return Output(logits, (logits.softmax(-1), x))

    captured = assert_equal_training(Model(), lambda out, y: F.cross_entropy(out.logits, y), floats(5, 6), labels(3, 5))
    rebuilt = unflatten([torch.zeros(1)] * captured.n_outputs, captured.out_spec)
    assert isinstance(rebuilt, Output) and rebuilt.name == "out" and len(rebuilt.extra) == 2


def test_output_that_is_the_batch_or_a_parameter_is_a_copy() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(6))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return x, self.w, x * self.w

    model = Model()
    step, batch = make_step(model, lambda out, y: F.mse_loss(out[2], y), *floats(2, 6, n=2))
    captured = capture(step, batch, "train")
    outputs = run_captured(captured, batch, "train")[2]
    with torch.no_grad():
        model.w.zero_()
        batch[0].zero_()
    assert outputs[0].abs().sum() > 0 and outputs[1].sum() == 6


def test_loss_module_with_weight_buffer_and_parameter() -> None:
    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ce = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5]))
            self.scale = nn.Parameter(torch.zeros(()))

        def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return self.ce(outputs, targets) * torch.exp(-self.scale) + self.scale

    captured = assert_equal_training(mlp(), Loss(), floats(5, 6), labels(3, 5))
    assert "loss.scale" in [name for name, _ in captured.parameters]
    assert "loss.ce.weight" in [name for name, _ in captured.constants]


def test_penalty_over_the_models_parameters_in_a_closure() -> None:
    model = mlp()
    step, batch = make_step(
        model,
        lambda out, y: F.cross_entropy(out, y) + sum(p.pow(2).sum() for p in model.parameters()),
        floats(5, 6)[0],
        labels(3, 5)[0],
    )
    captured = capture(step, batch, "train")
    torch.manual_seed(3)
    loss, _, _, grads = run_captured(captured, batch, "train")
    torch.manual_seed(3)
    out = step(batch, "train")
    expected = torch.autograd.grad(out.loss, list(model.parameters()))
    assert torch.equal(loss, out.loss) and all(map(torch.equal, grads, expected))


def test_last_short_batch_is_a_second_capture() -> None:
    model = Cnn()
    for rows in (4, 3):
        assert_equal_training(model, F.cross_entropy, floats(rows, 1, 8, 8, n=2), labels(3, rows, n=2))


def test_autocast_in_forward() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp()

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return self.body(x)

    captured = assert_equal_training(
        Mixed(), lambda out, y: F.cross_entropy(out.float(), y), floats(5, 6), labels(3, 5)
    )
    assert any(op.name == "aten::_to_copy" for op in captured.program.ops)


def test_sparse_embedding() -> None:
    model = nn.Sequential(nn.Embedding(9, 4, sparse=True), nn.Flatten(), nn.Linear(8, 3))
    step, batch = make_step(model, F.cross_entropy, labels(9, 5, 2)[0], labels(3, 5)[0])
    grads = run_captured(capture(step, batch, "train"), batch, "train")[3]
    out = step(batch, "train")
    out.loss.backward()
    assert grads[0].is_sparse and torch.equal(grads[0].to_dense(), model[0].weight.grad.to_dense())


@pytest.mark.parametrize("name", ["mlp", "cnn", "lstm", "gpt"])
def test_eval_and_predict(name: str) -> None:
    make, loss, inputs, targets = MODELS[name]
    model = make().eval()
    step, batch = make_step(model, loss, inputs[0], targets[0], metrics={"acc": Accuracy()})
    before = torch.get_rng_state()
    captured = capture(step, batch, "eval")
    assert not captured.draws_random and captured.grads == [False] * len(captured.parameters)
    value, stats, outputs, grads = run_captured(captured, batch, "eval")
    expected = step(batch, "eval")
    assert torch.equal(value, expected.loss) and torch.equal(stats[0], expected.stats[0])
    assert torch.equal(outputs[0], expected.outputs[0]) and not grads
    predicted = capture(step, batch[:1], "predict")
    assert torch.equal(run_captured(predicted, batch[:1], "predict")[2][0], expected.outputs[0])
    assert torch.equal(torch.get_rng_state(), before)
