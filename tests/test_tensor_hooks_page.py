"""docs/tensor-hooks.md: its examples, as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from trainer_helpers import points, trainer_of

import pyhooks

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "tensor-hooks.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


class Net(nn.Module):
    """With the names that the page uses."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, 8)
        self.layer1 = nn.ModuleDict({"conv1": nn.Linear(8, 8)})
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.fc2(self.relu(self.layer1["conv1"](self.fc1(x))))
        return y


def test_the_first_example() -> None:
    trainer = trainer_of(Net(), F.cross_entropy)
    exec(blocks("python")[0], {"pyhooks": pyhooks, "trainer": trainer, "data": points(64)})
    columns = trainer.history.batch
    assert len(columns["fc1/output/mean"]) == 20
    assert {"fc1/output/zeros", "layer1.conv1/grad/norm"} <= columns.keys()
    assert "fc1/output/mean" in trainer.metrics


@pytest.mark.slow  # it is compiled
def test_the_hook_in_cpp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dead_layer.cpp").write_text(blocks("cpp")[0])
    net = Net()
    nn.init.constant_(net.layer1["conv1"].bias, -1e6)
    trainer = trainer_of(net, F.cross_entropy)
    exec(blocks("python")[1], {"pyhooks": pyhooks, "trainer": trainer})
    trainer.fit(points(64), epochs=10, batch_size=4)
    assert trainer.stop_reason == "DeadLayer: relu is dead [epoch 0, batch 4]"
    assert trainer.history.batch["relu/output/dead"][:5].tolist() == [1, 2, 3, 4, 5]
