"""How long does training stand still for a checkpoint?

A ResNet-18 with Adam. Beside it, torch.save of the same state, which returns when the file is written.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import torch

import pyhooks
from benchmarks.figures import Target, clock, replayed, report
from benchmarks.models import resnet18
from pyhooks.callbacks import Checkpoint

ROUNDS = 9


class Probe(pyhooks.Callback):
    """At each epoch's end saves in both ways, one after the other, with nothing else under way."""

    def __init__(self, folder: Path) -> None:
        self.saver = Checkpoint(folder / "pyhooks")
        self.path = folder / "state.pt"
        self.seconds: dict[str, list[float]] = {"pyhooks": [], "torch.save": []}

    def on_train_start(self, trainer: Any) -> None:
        self.saver.on_train_start(trainer)

    def on_fit_epoch_end(self, trainer: Any) -> None:
        self._time("pyhooks", lambda: self.saver.on_fit_epoch_end(trainer))
        self.saver._writer.wait()  # nothing is written beside what is timed next
        state = {"model": trainer.model.state_dict(), "optimizer": trainer.optimizer.state_dict()}
        self._time("torch.save", lambda: torch.save(state, self.path))

    def _time(self, name: str, save: Any) -> None:
        start = time.perf_counter()
        save()
        self.seconds[name].append(time.perf_counter() - start)


@functools.cache
def measured(folder: Path) -> dict[str, list[float]]:
    """Milliseconds a checkpoint; the first of each warms up."""
    torch.manual_seed(0)
    model = resnet18()
    probe = Probe(folder)
    optimizer = torch.optim.Adam(model.parameters())
    trainer = pyhooks.Trainer(
        model, torch.nn.functional.cross_entropy, optimizer, callbacks=[probe], progress=False, verify=0
    )
    trainer.fit((torch.randn(4, 3, 32, 32), torch.randint(10, (4,))), epochs=ROUNDS + 1, batch_size=4)
    return {name: [1e3 * value for value in values[1:]] for name, values in probe.seconds.items()}


@replayed
def test_standing_still(benchmark: Any, tmp_path: Path) -> None:
    samples = measured(tmp_path)
    clock.replay(benchmark, [1e-3 * value for value in samples["pyhooks"]])
    report(benchmark, "a checkpoint of a ResNet-18 with Adam: training stands still", "ms", samples, Target(0.15))
