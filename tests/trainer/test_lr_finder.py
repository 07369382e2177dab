"""The learning-rate range test: what it finds, and that it leaves nothing behind."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from trainer_helpers import Recorder, assert_same, net, points, state_of, trainer_of

import pyhooks
from pyhooks.callbacks import Checkpoint
from pyhooks.lr_finder import LRFinderResult
from pyhooks.lr_plot import draw

PNG = b"\x89PNG\r\n\x1a\n"


def dropout_net() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.01)


def make(**options: Any) -> pyhooks.Trainer:
    options.setdefault("make_optimizer", adam)
    return trainer_of(dropout_net(), F.cross_entropy, **options)


def loader() -> DataLoader[Any]:
    return DataLoader(TensorDataset(*points(40)), 8, shuffle=True, generator=torch.Generator().manual_seed(7))


def everything(trainer: pyhooks.Trainer) -> dict[str, Any]:
    numbers = {"python": random.getstate(), "numpy": np.random.get_state()[1].tolist()}
    return {**state_of(trainer), **numbers, "torch": torch.get_rng_state(), "step": trainer.global_step}


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize("data", [lambda: points(40), loader])
def test_a_fit_after_it_equals_one_without(seed: int | None, data: Any, engine: str) -> None:
    def run(find: bool) -> pyhooks.Trainer:
        train = data()
        trainer = make(seed=seed, engine=engine)
        torch.manual_seed(1)
        if find:
            trainer.find_lr(train, steps=12, batch_size=8)
        trainer.fit(train, epochs=2, batch_size=8)
        if find:
            before = everything(trainer)
            trainer.find_lr(train, steps=12, batch_size=8)
            assert_same(everything(trainer), before)
        trainer.fit(train, epochs=2, batch_size=8)
        return trainer

    random.seed(0)
    np.random.seed(0)
    plain = run(find=False)
    wanted = everything(plain)
    assert_same(everything(run(find=True)), wanted)


def rmsprop(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(parameters, lr=0.01, momentum=0.5)


def adam_with_a_tensor(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=torch.tensor(0.01), fused=True)


@pytest.mark.filterwarnings("ignore:RMSprop has no native kernel")
@pytest.mark.parametrize("make_optimizer", [rmsprop, adam_with_a_tensor])
def test_the_same_tensors_are_there_afterwards(make_optimizer: Any) -> None:
    trainer = make(make_optimizer=make_optimizer)
    for parameter in trainer.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    trainer.optimizer.step()
    rate, states = trainer.optimizer.param_groups[0]["lr"], dict(trainer.optimizer.state)
    grads = [p.grad for p in trainer.model.parameters()]
    before = {name: value.clone() for name, value in state_of(trainer).items() if torch.is_tensor(value)}
    trainer.find_lr(points(40), steps=12, batch_size=8)
    assert trainer.optimizer.param_groups[0]["lr"] is rate and float(rate) == pytest.approx(0.01)
    assert all(trainer.optimizer.state[key] is value for key, value in states.items())
    assert all(p.grad is grad for p, grad in zip(trainer.model.parameters(), grads, strict=True))
    assert_same({key: value for key, value in state_of(trainer).items() if torch.is_tensor(value)}, before)


def test_nothing_of_the_users_is_called_and_a_loaded_checkpoint_still_waits(tmp_path: Path) -> None:
    make(callbacks=[Checkpoint(tmp_path)]).fit(points(40), epochs=2, batch_size=8)
    whole = make(callbacks=[Checkpoint(tmp_path / "whole")])
    whole.fit(points(40), epochs=3, batch_size=8)
    trainer = make(callbacks=[Checkpoint(tmp_path)])
    recorder = Recorder()
    trainer.load_checkpoint(tmp_path / "last.safetensors")
    trainer.find_lr(points(40), steps=12, batch_size=8)
    trainer.add_callback(recorder)
    assert recorder.seen == [] and trainer.history.epochs == [] and trainer.callback_stats()[0]["calls"] == 0
    trainer.fit(points(40), epochs=3, batch_size=8)
    assert len(trainer.history.epochs) == 3 and recorder.seen[-2:] == [("on_train_end", 2), ("teardown", 2)]
    assert torch.equal(trainer.model[0].weight, whole.model[0].weight)


@pytest.mark.parametrize("mode", ["exp", "linear"])
def test_the_rates_are_those_asked_for_and_groups_keep_their_ratio(mode: str) -> None:
    model = net()
    groups = [{"params": [model.weight]}, {"params": [model.bias], "lr": 0.02}]
    monitor: list[float] = []

    class Watch(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            monitor.append(self.param_groups[1]["lr"] / self.param_groups[0]["lr"])
            return super().step(closure)

    trainer = pyhooks.Trainer(model, F.cross_entropy, Watch(groups, lr=0.1), progress=False)
    with pytest.warns(UserWarning, match="no native kernel"):
        found = trainer.find_lr(points(20), start=1e-4, end=1e-2, steps=21, mode=mode, batch_size=4)
    space = np.geomspace if mode == "exp" else np.linspace
    np.testing.assert_allclose(found.lr, space(1e-4, 1e-2, 21), rtol=1e-12)
    assert found.loss.shape == found.smoothed.shape == (21,) and not found.diverged
    assert monitor == [pytest.approx(0.2)] * 21


def test_losses_are_those_of_a_plain_loop() -> None:
    x, y = points(20)
    found = trainer_of().find_lr((x, y), start=1e-3, end=1, steps=10, batch_size=4, shuffle=False)
    model = net()
    losses = []
    for step in range(10):
        rows = slice(step % 5 * 4, step % 5 * 4 + 4)
        loss = F.cross_entropy(model(x[rows]), y[rows])
        losses.append(loss.item())
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= found.lr[step] * parameter.grad
                parameter.grad = None
    np.testing.assert_allclose(found.loss, losses, rtol=1e-5)


def test_an_explosion_ends_it() -> None:
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    data = x, x @ torch.ones(4, 1)

    def find(stop_at: float | None) -> LRFinderResult:
        torch.manual_seed(0)
        return trainer_of(nn.Linear(4, 1), F.mse_loss).find_lr(data, start=1e-4, end=100, steps=60, stop_at=stop_at)

    found, further = find(4.0), find(None)
    assert found.diverged and 20 < len(found.lr) < len(further.lr)
    assert found.suggestion is not None and 0.005 < found.suggestion < 1
    assert "diverged" in repr(found)


def test_accumulated_batches_are_one_step() -> None:
    found = trainer_of(accumulate=2).find_lr(points(24), start=1e-4, end=1e-1, steps=9, batch_size=4)
    assert len(found.lr) == len(found.loss) == 9


def test_data_without_a_length() -> None:
    class Stream:
        def __iter__(self) -> Any:
            return iter([points(8, seed) for seed in range(3)])

    assert len(trainer_of().find_lr(Stream(), end=1e-3, steps=7).lr) == 7


def test_the_suggestion_is_the_steepest_fall_before_the_lowest_point() -> None:
    rates = np.geomspace(1e-6, 1, 61)
    position = np.log10(rates)
    loss = 2 - 1 / (1 + np.exp(-4 * (position + 3))) + np.where(position > -1, (position + 1) * 20, 0)
    found = LRFinderResult.of(rates, loss, diverged=True)
    assert found.suggestion == pytest.approx(1e-3)
    assert LRFinderResult.of(rates, np.linspace(1, 2, 61), diverged=False).suggestion is None
    assert LRFinderResult.of(rates, np.full(61, np.nan), diverged=True).suggestion is None


@pytest.mark.parametrize(("mode", "scale"), [("exp", "log"), ("linear", "linear")])
def test_the_plots_axis_is_as_the_rates_rose(mode: str, scale: str) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axis = figure.subplots()
    draw(axis, trainer_of().find_lr(points(20), steps=12, batch_size=4, mode=mode))
    assert axis.get_xscale() == scale


def test_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    found = trainer_of().find_lr(points(20), steps=12, batch_size=4)
    found.plot(tmp_path / "lr.png")
    assert (tmp_path / "lr.png").read_bytes().startswith(PNG)
    LRFinderResult.of(found.lr, np.full(12, np.nan), diverged=True).plot(tmp_path / "empty.png")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install pyhooks-torch\[plot\]"):
        found.plot(tmp_path / "lr.png")


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"start": 0}, ValueError, "start is 0; it must be above 0"),
        ({"end": "1"}, TypeError, "end is '1', a str"),
        ({"end": 1e-8}, ValueError, "end is 1e-08; it must be above start"),
        ({"steps": 2}, ValueError, "steps is 2; it must be at least 3"),
        ({"mode": "log"}, ValueError, "mode is 'log'"),
        ({"stop_at": 1}, ValueError, "stop_at is 1; it must be above 1"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
    ],
)
def test_mistakes(options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        trainer_of().find_lr(points(20), **options)


def test_it_needs_data_outside_a_callback() -> None:
    with pytest.raises(ValueError, match="find_lr got no training data"):
        trainer_of().find_lr()


def test_it_puts_all_back_after_an_error() -> None:
    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) > 4:
            raise RuntimeError("mine")
        return F.cross_entropy(outputs, targets)

    calls: list[int] = []
    trainer = trainer_of(dropout_net(), loss, engine="python", make_optimizer=adam)
    before = everything(trainer)
    with pytest.raises(RuntimeError, match="mine"):
        trainer.find_lr(points(40), steps=12, batch_size=8)
    assert_same(everything(trainer), before)
    assert trainer.optimizer.param_groups[0]["lr"] == 0.01 and not trainer.optimizer.state


class Noisy(torch.utils.data.Dataset[Any]):
    """Draws from Python's and NumPy's generators, as image transforms do."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, i: int) -> Any:
        return torch.full((4,), random.random() + float(np.random.rand())), i % 3


class Counting(nn.Linear):
    """Keeps a number that is no tensor."""

    seen = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += self.training
        return super().forward(x)

    def get_extra_state(self) -> Any:
        return {"seen": self.seen}

    def set_extra_state(self, state: Any) -> None:
        self.seen = state["seen"]


def test_what_python_draws_and_modules_keep_is_put_back() -> None:
    trainer = trainer_of(Counting(4, 3), engine="python")
    random.seed(0)
    np.random.seed(0)
    before = random.getstate(), np.random.get_state()[1].tolist()
    trainer.find_lr(DataLoader(Noisy(), 4), steps=9)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert trainer.model.seen == 0
