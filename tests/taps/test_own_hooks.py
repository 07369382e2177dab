"""Tensor hooks of the user's own, from a plugin: requests, errors, replaced outputs, events and state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from parity import harness
from parity.harness import Parts, build, trainer_for
from taps.tapped import NET, assert_as_plain, tapped_run
from taps.test_checkpointing import Checkpointed
from torch import Tensor, nn

import pyhooks

pytestmark = pytest.mark.slow  # it is compiled

KINDS = [("fc1", "output"), ("fc1", "grad"), ("fc1.weight", "param_grad")]


@pytest.fixture(scope="module")
def own() -> Any:
    return pyhooks.load_plugin(Path(__file__).with_name("own_hooks.cpp"))


@pytest.mark.parametrize(("pattern", "on"), KINDS)
def test_a_stop_is_the_hooks_own_vote(own: Any, pattern: str, on: str, engine: str) -> None:
    _, trainer = tapped_run(NET, engine, lambda t: t.add_hook(pattern, own.At(what="stop"), on=on))
    assert trainer.stop_reason == f"At: seen enough of {pattern} [epoch 0, batch 1]"
    assert trainer.global_step == 2 and trainer.callback_stats()[0]["stops"] == 1


@pytest.mark.parametrize(("pattern", "on"), KINDS)
def test_a_step_is_skipped(own: Any, pattern: str, on: str, engine: str) -> None:
    _parts, trainer = tapped_run(NET, engine, lambda t: t.add_hook(pattern, own.At(what="skip"), on=on))
    assert trainer.global_step == 2 * NET.epochs


ERRORS = [
    ("invalid_argument", ValueError, "bad value"),
    ("out_of_range", IndexError, "too far"),
    ("runtime_error", pyhooks.CallbackError, "gone wrong"),
    ("torch", RuntimeError, "must match the size"),
]


@pytest.mark.parametrize("batch", [1, 8])  # while the plan is verified, and later
@pytest.mark.parametrize(("pattern", "on"), KINDS)
@pytest.mark.parametrize(("what", "kind", "says"), ERRORS)
def test_errors_arrive_as_their_kinds_and_named(
    own: Any, what: str, kind: type[Exception], says: str, pattern: str, on: str, batch: int, engine: str
) -> None:
    case = NET.but(rows=80, val_rows=0)
    with pytest.raises(kind) as raised:
        tapped_run(case, engine, lambda t: t.add_hook(pattern, own.At(what=what, batch=batch), on=on))
    assert type(raised.value) is kind
    assert says in str(raised.value) and f"in tensor hook At at {pattern} ({on})" in str(raised.value)
    where = f"epoch 0, batch {batch}"
    assert where in "".join(getattr(raised.value, "__notes__", [where]))


def test_a_trainer_goes_on_after_an_error(own: Any, engine: str) -> None:
    parts = build(NET)
    trainer = trainer_for(NET, parts, engine)
    handle = trainer.add_hook("fc1", own.At(what="runtime_error"))
    with pytest.raises(pyhooks.CallbackError):
        harness.fit(NET, trainer, NET.train_data())
    assert not any(part._forward_hooks for part in parts.model.modules())
    handle.remove()
    harness.fit(NET, trainer, NET.train_data())
    assert trainer.global_step == 9


class StraightThrough(torch.autograd.Function):
    """The replacement of an output, as its documentation says it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        return change(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0], None


def noisy(x: Tensor) -> Tensor:
    return torch.add(x, torch.randn_like(x), alpha=0.1)


def replaced(*names: str) -> Callable[[Parts], None]:
    def install(parts: Parts) -> None:
        def hook(module: nn.Module, args: Any, output: Tensor) -> Any:
            return StraightThrough.apply(output, noisy) if module.training else None

        for name in names:
            parts.model.get_submodule(name).register_forward_hook(hook)

    return install


@pytest.mark.parametrize("case", [NET, NET.but(accumulate=2)], ids=["each batch", "accumulating"])
def test_replaced_outputs(own: Any, case: Any, engine: str) -> None:
    assert_as_plain(case, engine, lambda t: t.add_hook("[fn]*", own.Noise()), replaced("fc1", "norm", "fc2"))


@pytest.mark.parametrize("reentrant", [False, True])
def test_replaced_outputs_in_what_is_computed_again(own: Any, reentrant: bool, engine: str) -> None:
    case = NET.but(model=lambda: Checkpointed(reentrant))
    install = replaced("first", "block.0", "block.3")
    handles = []

    def add(trainer: pyhooks.Trainer) -> None:
        handles.extend(trainer.add_hook(name, own.Noise()) for name in ("first", "block.0", "block.3"))

    assert_as_plain(case, engine, add, install)
    assert [handle.calls for handle in handles] == [9] * 3, "repetitions are not counted"


def test_replaced_parts_of_an_output(own: Any, engine: str) -> None:
    class Pair(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return {"twice": 2 * x, "rest": [x, x.argmax(1)]}

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.pair = nn.Linear(6, 3), Pair()

        def forward(self, x: Tensor) -> Tensor:
            parts = self.pair(self.fc(x))
            return parts["twice"] + parts["rest"][0] * parts["rest"][1][:, None]

    def install(parts: Parts) -> None:
        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            twice = StraightThrough.apply(output["twice"], noisy)
            return {"twice": twice, "rest": [StraightThrough.apply(output["rest"][0], noisy), output["rest"][1]]}

        parts.model.pair.register_forward_hook(hook)

    assert_as_plain(NET.but(model=Model, val_rows=0), engine, lambda t: t.add_hook("pair", own.Noise()), install)


def test_an_output_that_cannot_be_put_together_again(own: Any, engine: str) -> None:
    class Box:
        def __init__(self, x: Tensor) -> None:
            self.x = x

    class Boxing(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return x, Box(x)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.boxing = nn.Linear(6, 3), Boxing()

        def forward(self, x: Tensor) -> Tensor:
            return self.boxing(self.fc(x))[1].x

    case = NET.but(model=Model, val_rows=0)
    with pytest.raises((TypeError, pyhooks.CaptureError), match=r"boxing returns a .*Box, in which tensors cannot be"):
        tapped_run(case, engine, lambda t: t.add_hook("boxing", own.Noise()))


def test_a_hook_that_is_no_function_of_its_tensor_is_noticed(own: Any) -> None:
    parts = build(NET)
    trainer = trainer_for(NET, parts, "auto")
    trainer.add_hook("fc1", own.Drifting())
    with pytest.warns(UserWarning, match="does not compute what eager PyTorch computes"):
        harness.fit(NET, trainer, NET.train_data())
    assert trainer.engine == "python"


def test_events_and_state(own: Any, engine: str, tmp_path: Path) -> None:
    def trainer() -> pyhooks.Trainer:
        saving = pyhooks.callbacks.Checkpoint(tmp_path)
        made = trainer_for(NET, build(NET), engine, callbacks=[saving])
        made.add_hook("fc*", own.Events())
        return made

    first, second = trainer(), trainer()
    harness.fit(NET.but(epochs=2), first, NET.train_data())
    assert [(epoch["seen"], epoch["batches"]) for epoch in first.history.epochs] == [(44, 3), (44, 6)]
    second.load_checkpoint(next(tmp_path.rglob("last*")))
    harness.fit(NET, second, NET.train_data())
    assert second.metrics["seen"] == 44 and second.metrics["batches"] == 9
