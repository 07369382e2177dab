"""The verifier: equal programs pass, a wrong one is named, and nothing of the user's is left changed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from capture.helpers import Accuracy, make_step
from capture.interpreter import run_captured
from torch import Tensor, nn

from pyhooks.capture import Captured, Verifier, capture
from pyhooks.capture.verify import Results, difference
from pyhooks.step import Step


def setup(mode: str = "train", **options: Any) -> tuple[nn.Module, Step, list[Tensor], Captured]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    model.train(mode == "train")
    step, batch = make_step(
        model,
        F.cross_entropy,
        torch.randn(5, 6),
        torch.randint(3, (5,)),
        metrics={"acc": Accuracy()},
        **options,
    )
    return model, step, batch, capture(step, batch, mode)


@pytest.mark.parametrize("mode", ["train", "eval", "predict"])
def test_right_program_passes(mode: str) -> None:
    model, step, batch, captured = setup(mode)
    batch = batch[:1] if mode == "predict" else batch
    captured = capture(step, batch, mode)
    verifier = Verifier(step, captured, mode)
    torch.manual_seed(5)
    for _ in range(3):
        assert verifier.check(batch, lambda: run_captured(captured, batch, mode)) is None
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01)
    assert all(p.grad is None for p in model.parameters())
    verifier.close()


def test_program_has_really_run_once() -> None:
    model, step, batch, captured = setup()
    torch.manual_seed(5)
    assert Verifier(step, captured, "train").check(batch, lambda: run_captured(captured, batch, "train")) is None
    after = torch.get_rng_state()
    assert int(model[1].num_batches_tracked) == 1
    torch.manual_seed(5)
    step(batch, "train")
    assert torch.equal(torch.get_rng_state(), after)


def wrong(results: Results, what: str) -> Results:
    loss, stats, outputs, grads = copy.deepcopy(results)
    {"loss": [loss], "stats": stats, "outputs": outputs, "grads": grads}[what][0].add_(0.25)
    return loss, stats, outputs, grads


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("loss", "the loss"),
        ("stats", "metric acc"),
        ("outputs", "output 0"),
        ("grads", "the gradient of 0.weight"),
    ],
)
def test_wrong_value_is_named_and_undone(what: str, name: str) -> None:
    model, step, batch, captured = setup()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    rng = torch.get_rng_state()
    reason = Verifier(step, captured, "train").check(batch, lambda: wrong(run_captured(captured, batch, "train"), what))
    assert reason is not None and reason.startswith(name) and "max abs 0.25" in reason and reason.endswith("on batch 1")
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items())
    assert torch.equal(torch.get_rng_state(), rng)


def test_lost_buffer_update_is_named() -> None:
    model, step, batch, captured = setup()

    def run() -> Results:
        results = run_captured(captured, batch, "train")
        model[1].running_mean.zero_()
        return results

    reason = Verifier(step, captured, "train").check(batch, run)
    assert reason is not None and "1.running_mean" in reason


def test_random_numbers_not_drawn_are_noticed() -> None:
    _, step, batch, captured = setup()

    def run() -> Results:
        results = run_captured(captured, batch, "train")
        torch.rand(1)
        return results

    reason = Verifier(step, captured, "train").check(batch, run)
    assert reason is not None and "random numbers" in reason


def test_counter_that_capture_cannot_see_shows_at_the_second_batch() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.calls = nn.Linear(6, 3), frozenset()

        def forward(self, x: Tensor) -> Tensor:
            self.calls = frozenset({*self.calls, len(self.calls)})  # no scalar, no list: nobody watches frozen sets
            return self.fc(x) * len(self.calls)

    step, batch = make_step(Net(), F.cross_entropy, torch.randn(5, 6), torch.randint(3, (5,)))
    captured = capture(step, batch, "train")
    verifier = Verifier(step, captured, "train")
    assert verifier.check(batch, lambda: run_captured(captured, batch, "train")) is None
    reason = verifier.check(batch, lambda: run_captured(captured, batch, "train"))
    assert reason is not None and reason.endswith("on batch 2")


def test_loss_that_reaches_the_model_is_copied_with_it() -> None:
    model = nn.Linear(6, 3)

    def loss(out: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(out, y) + sum(p.pow(2).sum() for p in model.parameters())

    step, batch = make_step(model, loss, torch.randn(5, 6), torch.randint(3, (5,)))
    captured = capture(step, batch, "train")
    assert Verifier(step, captured, "train").check(batch, lambda: run_captured(captured, batch, "train")) is None
    assert model.weight.grad is None


def test_model_that_cannot_be_copied() -> None:
    class Net(nn.Linear):
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("no copies")

    step, batch = make_step(Net(6, 3), F.cross_entropy, torch.randn(5, 6), torch.randint(3, (5,)))
    captured = capture(step, batch, "train")
    reason = Verifier(step, captured, "train").check(batch, lambda: run_captured(captured, batch, "train"))
    assert reason is not None and "no copies" in reason and "verify=0" in reason


def test_difference() -> None:
    nan = float("nan")
    assert difference(torch.tensor([1.0, nan]), torch.tensor([1.0, nan])) == ""
    assert difference(torch.tensor([1.0, nan]), torch.tensor([1.0, 2.0])) != ""
    assert difference(torch.tensor([0.0]), torch.tensor([-0.0])) != ""
    assert difference(None, None) == "" and "none" in difference(None, torch.zeros(1))
    assert "float32[2]" in difference(torch.zeros(2), torch.zeros(3))
