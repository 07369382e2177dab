"""Hooks and the engines: what is captured, how it is verified, who holds the GIL."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from parity import harness
from parity.harness import build, trainer_for
from taps.tapped import NET, STATS, Twice, assert_as_plain, tapped_run
from torch import Tensor, nn
from trainer_helpers import points, trainer_of

import pyhooks
from pyhooks.capture import capture
from pyhooks.native import ActivationStats, GradNoise, GradScale, GradStats


def captured_operators(trainer: pyhooks.Trainer, mode: str, batch: list[Tensor]) -> list[str]:
    step = trainer._provider.step(mode)
    return [op.name for op in capture(step, batch, mode).program.ops]


def test_a_step_with_read_only_hooks_is_the_step_and_calls_of_them() -> None:
    def operators(*hooks: tuple[str, Any, str]) -> dict[str, list[str]]:
        parts = build(NET.but(model=Twice))
        trainer = trainer_for(NET, parts, "graph")
        for hook in hooks:
            trainer.add_hook(*hook)
        harness.fit(NET, trainer, NET.train_data(), NET.val_data())
        batch = [tensor[:8] for tensor in NET.train_data()]
        return {mode: captured_operators(trainer, mode, batch) for mode in ("train", "eval")}

    without = operators()
    hooked = operators(("*", ActivationStats("mean"), "output"), ("*", GradStats("mean"), "grad"))
    assert [name for name in hooked["train"] if name != "pyhooks::see"] == without["train"]
    assert hooked["train"].count("pyhooks::see") == 2 * 4, "fc twice, the head, and the model"
    assert hooked["eval"] == without["eval"]


def test_verification_hands_over_nothing_twice() -> None:
    def run(verify: int) -> tuple[int, list[float]]:
        handles: list[Any] = []
        case = NET.but(seed=3)
        add = lambda t: handles.append(t.add_hook("fc1", ActivationStats("norm")))  # noqa: E731
        _, trainer = tapped_run(case, "graph", add, verify=verify)
        return handles[0].calls, trainer.history.batch["fc1/output/norm"].tolist()

    assert run(verify=5) == run(verify=0)
    assert run(verify=5)[0] == 9


def test_verification_sees_what_was_replaced() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a plan that differs from eager would warn
        for hook in (GradScale(0.5), GradNoise()):
            tapped_run(NET, "graph", lambda t, hook=hook: t.add_hook("*", hook, on="grad"), verify=3)


class Unfit(nn.Module):
    """Cannot be captured: it asks for a value."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc1(x)
        return y * 2 if float(y.sum()) > 0 else y


def test_a_model_that_cannot_be_captured_is_hooked_in_python() -> None:
    parts = build(NET.but(model=Unfit))
    trainer = trainer_for(NET, parts, "auto")
    handle = trainer.add_hook("fc1", ActivationStats(list(STATS)))
    with pytest.warns(UserWarning, match="engine='python'"):
        harness.fit(NET, trainer, NET.train_data())
    assert trainer.engine == "python" and handle.calls == 9


class Wrong(nn.Module):
    """Captured, but wrong: a counter in Python that the graph does not see changes what it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 3)
        self.calls = iter(range(10**6))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc1(x) * next(self.calls)


def test_a_plan_found_wrong_hands_over_to_python() -> None:
    parts = build(NET.but(model=Wrong))
    trainer = trainer_for(NET, parts, "auto")
    handle = trainer.add_hook("fc1", ActivationStats("mean"))
    with pytest.warns(UserWarning, match="engine='python'"):
        harness.fit(NET, trainer, NET.train_data())
    assert trainer.engine == "python"
    assert len(trainer.history.batch["fc1/output/mean"]) == 9 and handle.tensors == ["fc1"]


def test_other_threads_go_on_while_hooks_look() -> None:
    trainer = trainer_of(engine="graph", verify=0)
    trainer.add_hook("model", ActivationStats(list(STATS)))
    trainer.add_hook("*", GradStats(), on="param_grad")
    trainer.add_hook("model", GradNoise(), on="grad")
    counts, count, done = [], [0], threading.Event()

    def busy() -> None:
        while not done.is_set():
            count[0] += 1

    thread = threading.Thread(target=busy)
    for event in ("on_train_epoch_start", "on_train_epoch_end"):
        trainer.add_callback(event, lambda _: counts.append(count[0]))
    thread.start()
    trainer.fit(points(8000), epochs=2, batch_size=2)
    done.set()
    thread.join()
    assert counts[1] - counts[0] > 1000 and counts[3] - counts[2] > 1000


def test_hooks_in_a_worker_thread(engine: str) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            assert_as_plain(NET, engine, lambda t: t.add_hook("*", ActivationStats()))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failures


def test_what_hooks_cost(engine: str) -> None:
    _, trainer = tapped_run(NET, engine, lambda t: t.add_hook("fc*", ActivationStats("mean")))
    (stats,) = trainer.callback_stats()
    assert stats["label"] == "ActivationStats" and stats["native"] and stats["calls"] == 18
    assert 0 < stats["mean_ns"] <= stats["max_ns"] <= stats["total_ns"]
    assert stats["share"] > 0


def test_modules_that_are_not_called_are_told_of_once(engine: str) -> None:
    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.spare, self.embed = nn.Linear(4, 3), nn.Linear(4, 3), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            self.embed(torch.ones(2, dtype=torch.long))
            return self.fc(x)

    trainer = trainer_of(Spare(), F.cross_entropy, engine=engine)
    trainer.add_hook("*", ActivationStats("mean"))
    said = r"ActivationStats on '\*' has seen no tensor of spare, embed in a whole epoch: the model does not call"
    with pytest.warns(UserWarning, match=said) as told:
        trainer.fit(points(), epochs=3, batch_size=10)
        trainer.fit(points(), epochs=1, batch_size=10)
    assert len(told) == 1


def test_frozen_parameters_are_told_of(engine: str) -> None:
    model = nn.Linear(4, 3)
    model.bias.requires_grad_(False)
    optimizer = torch.optim.SGD([model.weight], lr=0.1)
    trainer = pyhooks.Trainer(model, F.cross_entropy, optimizer, engine=engine, progress=False)
    trainer.add_hook("*", GradStats("mean"), on="param_grad", every=1000)
    with pytest.warns(UserWarning, match=r"no tensor of bias in a whole epoch: these parameters are frozen"):
        trainer.fit(points(), epochs=1, batch_size=10)


def test_monitors_know_the_columns(engine: str) -> None:
    trainer = trainer_of(nn.Sequential(nn.Linear(4, 3)), engine=engine)
    trainer.add_hook("0", GradStats("norm"), on="grad")
    trainer.add_callback(pyhooks.callbacks.EarlyStopping("0/grad/norm", patience=1, min_delta=1e9, mode="min"))
    result = trainer.fit(points(), epochs=5, batch_size=10)
    assert result.epochs_run < 5 and "0/grad/norm" in result.metrics


def test_an_exported_step_is_without_hooks(tmp_path: Path) -> None:
    def export(name: str, *hooks: tuple[Any, ...]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        trainer = trainer_for(NET, build(NET), "graph")
        for hook in hooks:
            trainer.add_hook(*hook)
        trainer.export_step(tmp_path / name, NET.train_data(), batch_size=8)
        return pyhooks.checkpoint.load(tmp_path / name)

    tensors, meta = export("a", ("*", ActivationStats(), "output"), ("*", GradNoise(), "param_grad"))
    same_tensors, same_meta = export("b")
    assert meta == same_meta and tensors.keys() == same_tensors.keys()
    assert all(torch.equal(tensor, same_tensors[name]) for name, tensor in tensors.items())
    with pytest.raises(pyhooks.errors.ExportError, match=r"GradScale on 'fc1' replaces tensors in the step"):
        export("c", ("fc1", GradScale(0.5), "grad"))


def test_hooks_are_back_after_an_export(tmp_path: Path) -> None:
    trainer = trainer_for(NET, build(NET), "graph")
    handle = trainer.add_hook("fc1", ActivationStats("mean"))
    trainer.export_step(tmp_path / "step", NET.train_data(), batch_size=8)
    harness.fit(NET, trainer, NET.train_data())
    assert handle.calls == 9
