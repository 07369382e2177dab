"""Captured plans: used again where they fit, captured anew where they do not."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from trainer_helpers import at, points, trainer_of

from pyhooks import engines


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(mode, rows) of each capture."""
    made: list[tuple[str, int]] = []
    real = engines.capture

    def counting(step: Any, batch: Any, mode: str) -> Any:
        made.append((mode, batch[0].shape[0]))
        return real(step, batch, mode)

    monkeypatch.setattr(engines, "capture", counting)
    return made


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3))


def test_one_a_kind_of_batch(captures: list[Any]) -> None:
    trainer = trainer_of(model())
    trainer.fit(points(20), points(11, 1), epochs=3, batch_size=8)
    assert captures == [("train", 8), ("train", 4), ("eval", 8), ("eval", 3)]


@pytest.mark.parametrize(
    "data", [points(20), DataLoader(TensorDataset(*points(20)), batch_size=8), [points(8), points(4)]]
)
def test_a_second_fit_needs_none(data: Any, captures: list[Any]) -> None:
    trainer = trainer_of(model())
    trainer.fit(data, data, epochs=1, batch_size=8)
    assert len(captures) == 4
    trainer.fit(data, data, epochs=2, batch_size=8)
    trainer.evaluate(data, batch_size=8)
    assert len(captures) == 4


def test_evaluate_and_predict_keep_theirs(captures: list[Any]) -> None:
    trainer = trainer_of(model())
    for _ in range(2):
        trainer.predict(points(8)[0])
        assert captures == [("predict", 8)]


def test_with_the_model_trained_further_plans_see_it() -> None:
    trainer = trainer_of(model())
    x, _ = points(8)
    before = trainer.predict(x)
    trainer.fit(points(20), epochs=1, batch_size=8)
    after = trainer.predict(x)
    trainer.model.eval()
    assert not torch.equal(before, after) and torch.allclose(after, trainer.model(x))


def nothing(net: nn.Sequential) -> None:
    pass


def dropout(net: nn.Sequential) -> None:
    net[2].p = 0.1


def activation(net: nn.Sequential) -> None:
    net[1] = nn.Sigmoid()


def freeze(net: nn.Sequential) -> None:
    net[0].requires_grad_(False)


def hook(net: nn.Sequential) -> None:
    net[0].register_forward_hook(lambda *args: args[-1] * 2)


def evaluation(net: nn.Sequential) -> None:
    net[2].eval()


def another_forward(net: nn.Sequential) -> None:
    net.forward = types.MethodType(lambda self, x: self[3](self[0](x)), net)  # type: ignore[method-assign]


def assigned(net: nn.Sequential) -> None:
    net.load_state_dict({name: value * 2 for name, value in net.state_dict().items()})


CHANGES: dict[Callable[[nn.Sequential], None], bool] = {
    nothing: False,
    assigned: False,
    dropout: True,
    activation: True,
    freeze: True,
    hook: True,
    evaluation: True,
    another_forward: True,
}


def plain_loss(net: nn.Module, seed: int) -> float:
    torch.manual_seed(seed)
    x, y = points(20)
    return nn.functional.cross_entropy(net(x), y).item()


@pytest.mark.parametrize("change", CHANGES)
def test_changes_between_two_fits_count(change: Callable[..., None], captures: list[Any], engine: str) -> None:
    net = model()
    trainer = trainer_of(net, engine=engine)
    trainer.fit(points(20), epochs=1, batch_size=20, shuffle=False)
    del captures[:]
    change(net)
    wanted = plain_loss(net, seed=0)
    trainer.fit(points(20), epochs=1, batch_size=20, shuffle=False)
    assert trainer.history.epochs[0]["train/loss"] == pytest.approx(wanted)
    assert bool(captures) == (CHANGES[change] and engine == "graph")


@pytest.mark.parametrize("change", CHANGES)
def test_changes_by_a_callback_count_from_the_next_epoch_on(
    change: Callable[..., None], captures: list[Any], engine: str
) -> None:
    net = model()
    wanted: list[float] = []
    trainer = trainer_of(net, engine=engine)
    at(trainer, "on_train_epoch_start", 1, lambda _: change(net))
    at(trainer, "on_train_epoch_start", 1, lambda _: wanted.append(plain_loss(net, seed=7)))
    at(trainer, "on_train_epoch_start", 1, lambda _: torch.manual_seed(7))
    trainer.fit(points(20), epochs=3, batch_size=20, shuffle=False)
    assert trainer.history.epochs[1]["train/loss"] == pytest.approx(wanted[0])
    if engine == "graph":
        assert len(captures) == 1 + CHANGES[change]


def test_layers_are_unfrozen_by_a_callback(engine: str) -> None:
    net = model()
    net[0].requires_grad_(False)
    trainer = trainer_of(net, engine=engine, make_optimizer=torch.optim.Adam)
    start = net[0].weight.detach().clone()
    frozen: list[bool] = []
    at(trainer, "on_train_epoch_start", 2, lambda _: frozen.append(torch.equal(net[0].weight, start)))
    at(trainer, "on_train_epoch_start", 2, lambda _: net[0].requires_grad_(True))
    trainer.fit(points(20), epochs=4, batch_size=10)
    assert frozen == [True] and not torch.equal(net[0].weight, start)
    state = trainer.optimizer.state_dict()["state"]
    assert [int(state[i]["step"]) for i in range(4)] == [4, 4, 8, 8]


def test_a_new_default_dtype_is_noticed() -> None:
    class Adds(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + torch.ones(3).sum()

    x, y = points(8)
    trainer = trainer_of(Adds(4, 3))
    trainer.fit((x, y), epochs=1, batch_size=8)
    assert trainer.predict(x).dtype == torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        assert trainer.predict(x).dtype == trainer.model(x).dtype
    finally:
        torch.set_default_dtype(torch.float32)


def test_models_whose_output_depends_on_the_mode(engine: str) -> None:
    class Auxiliary(nn.Linear):
        def forward(self, x: Tensor) -> Any:
            out = super().forward(x)
            return (out, out * 2) if self.training else out

    def loss(outputs: Any, targets: Tensor) -> Tensor:
        parts = outputs if isinstance(outputs, tuple) else (outputs,)
        return sum((nn.functional.cross_entropy(part, targets) for part in parts), torch.zeros(()))

    x, y = points(8)
    trainer = trainer_of(Auxiliary(4, 3), loss=loss, engine=engine)
    for _ in range(2):
        assert trainer.predict(x).shape == (8, 3)
        trainer.fit((x, y), (x, y), epochs=1, batch_size=8)
        assert trainer.predict(x).shape == (8, 3)
