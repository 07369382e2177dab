"""Python values that a plan has baked in count anew when they change, between epochs and between fits."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from trainer_helpers import points

import pyhooks
from pyhooks import engines
from pyhooks.fingerprint import Snapshot

BETA = 0.5
SETTINGS: dict[str, Any] = {"beta": 0.5}


class Net(nn.Linear):
    scale = 1.0

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.cfg = types.SimpleNamespace(a=0.5)
        self.own = Plain(0.5)
        self.arr = np.array([0.5, 1.0])

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (self.cfg.a * self.own.beta * float(self.arr[0]) * self.scale)


class Plain:
    def __init__(self, beta: float) -> None:
        self.beta = beta

    def __call__(self, out: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(out, y) * self.beta


class Slotted:
    __slots__ = ("beta",)

    def __init__(self) -> None:
        self.beta = 0.5


Parts = tuple[nn.Module, Any, Callable[[], None]]


def by_closure() -> Parts:
    st = {"beta": 0.5}
    return Net(), lambda out, y: F.cross_entropy(out, y) * st["beta"], lambda: st.update(beta=st["beta"] / 2)


def by_nonlocal() -> Parts:
    beta = 0.5

    def halve() -> None:
        nonlocal beta
        beta /= 2

    return Net(), lambda out, y: F.cross_entropy(out, y) * beta, halve


def by_global() -> Parts:
    def halve() -> None:
        global BETA
        BETA /= 2

    return Net(), lambda out, y: F.cross_entropy(out, y) * BETA, halve


def helper(out: Tensor) -> Tensor:
    return out * SETTINGS["beta"]


def by_a_global_of_a_helper() -> Parts:
    halve = lambda: SETTINGS.update(beta=SETTINGS["beta"] / 2)  # noqa: E731
    return Net(), lambda out, y: F.cross_entropy(helper(out), y), halve


def loss_object() -> Parts:
    loss = Plain(0.5)
    return Net(), loss, lambda: setattr(loss, "beta", loss.beta / 2)


def bound_method() -> Parts:
    loss = Plain(0.5)
    return Net(), loss.__call__, lambda: setattr(loss, "beta", loss.beta / 2)


def slots() -> Parts:
    st = Slotted()
    return Net(), lambda out, y: F.cross_entropy(out, y) * st.beta, lambda: setattr(st, "beta", st.beta / 2)


def partial() -> Parts:
    loss = functools.partial(lambda out, y, st: F.cross_entropy(out, y) * st[0], st=[0.5])
    return Net(), loss, lambda: loss.keywords["st"].append(loss.keywords["st"].pop() / 2)


def callback_object() -> Parts:
    class Anneal(pyhooks.Callback):
        beta = 0.5

    anneal = Anneal()
    loss = lambda out, y: F.cross_entropy(out, y) * anneal.beta  # noqa: E731
    return Net(), loss, lambda: setattr(anneal, "beta", anneal.beta / 2)


def namespace() -> Parts:
    net = Net()
    return net, F.cross_entropy, lambda: setattr(net.cfg, "a", net.cfg.a / 2)


def plain_object() -> Parts:
    net = Net()
    return net, F.cross_entropy, lambda: setattr(net.own, "beta", net.own.beta / 2)


def another_object() -> Parts:
    net = Net()

    def replace() -> None:
        beta = net.own.beta / 2
        del net.own  # so that its address may be used again
        net.own = Plain(beta)

    return net, F.cross_entropy, replace


def array() -> Parts:
    net = Net()
    return net, F.cross_entropy, lambda: net.arr.__setitem__(0, net.arr[0] / 2)


def class_attribute() -> Parts:
    class Own(Net):
        scale = 1.0

    return Own(), F.cross_entropy, lambda: setattr(Own, "scale", Own.scale / 2)


def class_forward() -> Parts:
    class Own(Net):
        pass

    def redefine() -> None:
        before = Own.forward
        Own.forward = lambda self, x: before(self, x) * 2  # type: ignore[method-assign]

    return Own(), F.cross_entropy, redefine


def tensor_rebound() -> Parts:
    weight = torch.tensor([1.0, 2.0, 3.0])

    def rebind() -> None:
        nonlocal weight
        weight = weight.flip(0) * 0.5

    return Net(), lambda out, y: F.cross_entropy(out, y, weight=weight), rebind


def hook_added() -> Parts:
    net = Net()

    def add() -> None:
        net.weight.register_hook(lambda grad: grad * 0.5)

    return net, F.cross_entropy, add


def hook_changed() -> Parts:
    net, st = Net(), [0.5]
    net.weight.register_hook(lambda grad: grad * st[0])
    return net, F.cross_entropy, lambda: st.append(st.pop() / 2)


CASES = [
    by_closure,
    by_nonlocal,
    by_global,
    by_a_global_of_a_helper,
    loss_object,
    bound_method,
    slots,
    partial,
    callback_object,
    namespace,
    plain_object,
    another_object,
    array,
    class_attribute,
    class_forward,
    tensor_rebound,
    hook_added,
    hook_changed,
]


def make(case: Callable[[], Parts], monkeypatch: pytest.MonkeyPatch) -> Parts:
    monkeypatch.setitem(globals(), "BETA", 0.5)
    monkeypatch.setitem(SETTINGS, "beta", 0.5)
    torch.manual_seed(0)
    return case()


def plain_loop(parts: Parts, epochs: int) -> tuple[list[float], Tensor]:
    """Train with the change after each epoch, without pyhooks."""
    net, loss_fn, change = parts
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x, y = points(16)
    losses = []
    for _ in range(epochs):
        for rows in (slice(0, 8), slice(8, 16)):
            optimizer.zero_grad()
            loss = loss_fn(net(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        change()
    return losses, net.weight.detach()


def trainer_for(net: nn.Module, loss: Any, engine: str) -> pyhooks.Trainer:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    return pyhooks.Trainer(net, loss, optimizer, engine=engine, progress=False, seed=0)


@pytest.mark.parametrize("case", CASES)
def test_a_change_between_epochs_counts(case: Any, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    losses, weight = plain_loop(make(case, monkeypatch), 3)
    net, loss, change = make(case, monkeypatch)
    trainer = trainer_for(net, loss, engine)
    trainer.add_callback("on_train_epoch_end", lambda _: change())
    trainer.fit(points(16), epochs=3, batch_size=8, shuffle=False)
    assert trainer.history.batch["loss"].tolist() == losses
    assert torch.equal(net.weight, weight)


@pytest.mark.parametrize("case", CASES)
def test_a_change_between_fits_counts(case: Any, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    losses, weight = plain_loop(make(case, monkeypatch), 3)
    net, loss, change = make(case, monkeypatch)
    trainer = trainer_for(net, loss, engine)
    found = []
    for _ in range(3):
        trainer.fit(points(16), epochs=1, batch_size=8, shuffle=False)
        found += trainer.history.batch["loss"].tolist()
        change()
    assert found[-2:] == losses[-2:]
    assert torch.equal(net.weight, weight)


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_change_is_captured_once(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    real = engines.capture

    def counting(step: Any, batch: Any, mode: str) -> Any:
        made.append(mode)
        return real(step, batch, mode)

    monkeypatch.setattr(engines, "capture", counting)
    net, loss, _ = make(case, monkeypatch)
    trainer = trainer_for(net, loss, "graph")
    for _ in range(2):
        trainer.fit(points(16), epochs=5, batch_size=8)
    assert made == ["train"]


def test_the_trainer_itself_is_not_looked_into() -> None:
    class Own(pyhooks.Trainer):
        pass

    net = Net()
    trainer = Own(net, F.cross_entropy, torch.optim.SGD(net.parameters(), lr=0.1), progress=False)
    loss = lambda out, y: F.cross_entropy(out, y) * len(trainer.history)  # noqa: E731
    before = Snapshot([loss])
    trainer.fit(points(16), epochs=1, batch_size=8)
    assert before == Snapshot([loss])


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (True, 1, False),
        (1, 1.0, False),
        (0.0, -0.0, False),
        (float("nan"), -float("nan"), True),
        ([1, [2]], [1, [2]], True),
        ([1, 2], [[1, 2]], False),
        ({"a": None}, {"a": 0}, False),
        (np.float32(1), np.float32(1), True),
        (np.array([1, 2]), np.array([1, 2]), True),
        (np.array([1, 2]), np.array([1.0, 2.0]), False),
        (np.array(["a", None], dtype=object), np.array(["a", 1], dtype=object), False),
        (torch.device("cpu"), torch.device("cpu"), True),
    ],
)
def test_values_are_compared_exactly(before: Any, after: Any, same: bool) -> None:
    assert (Snapshot([before]) == Snapshot([after])) is same


def test_what_holds_itself() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    assert Snapshot([loop]) == Snapshot([loop])
    before = Snapshot([loop])
    loop[0] = 2
    assert before != Snapshot([loop])


def test_a_tensor_at_the_address_of_another_is_another() -> None:
    holder = {"weight": torch.ones(3)}
    before = Snapshot([holder])
    for _ in range(20):
        del holder["weight"]
        holder["weight"] = torch.zeros(3)
        assert before != Snapshot([holder])
