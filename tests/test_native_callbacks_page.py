"""The plugins and command lines of docs/writing-native-callbacks.md: compiled, loaded and trained with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from trainer_helpers import net, points, trainer_of

import pyhooks

DOCS = Path(__file__).parents[1] / "docs"


PAGE = "writing-native-callbacks.md"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def source(page: str, name: str) -> str:
    """The page's C++ block that registers that class."""
    (found,) = (block for block in blocks(page, "cpp") if re.search(rf"PYHOOKS_\w+\({name},", block))
    return found


def plugin(page: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYHOOKS_CACHE", str(folder / "cache"))
    path = folder / f"{name.lower()}.cpp"
    path.write_text(source(page, name), encoding="utf-8")
    return getattr(pyhooks.load_plugin(path), name)


@pytest.mark.slow
def test_the_first_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spike = plugin(PAGE, "Spike", tmp_path, monkeypatch)
    x = points(64)[0]
    y = torch.zeros(64, 3)
    y[40] = 1000  # its batch's loss is a spike
    trainer = trainer_of(loss=nn.functional.mse_loss, callbacks=[spike(factor=4)])
    trainer.fit((x, y), epochs=2, batch_size=4)
    assert trainer.history.batch["spikes"][-1] == 2 and trainer.global_step == 2 * 16 - 2


@pytest.mark.slow
def test_the_program_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYHOOKS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("spike.cpp").write_text(source(PAGE, "Spike"), encoding="utf-8")
    (program,) = (block for block in blocks(PAGE, "python") if "load_plugin" in block)
    names: dict[str, Any] = {}
    exec(program, names)
    assert names["trainer"].history.batch["spikes"].shape == (3 * 32,)
    assert names["result"].metrics["spikes"] == names["trainer"].history.batch["spikes"][-32:].mean()


@pytest.mark.slow
def test_the_plugin_with_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink = plugin(PAGE, "Shrink", tmp_path, monkeypatch)
    trainer = trainer_of(callbacks=[shrink(share=0.25, steps=2)])
    x, y = points(12)
    trainer.fit((x, y), epochs=1, batch_size=4, shuffle=False)

    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step, rows in enumerate(torch.arange(12).split(4), start=1):
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 2 == 0:
            model.weight.data.mul_(1 - 0.25)
    assert torch.equal(trainer.model.weight, model.weight) and torch.equal(trainer.model.bias, model.bias)
    with pytest.raises(ValueError, match="Shrink: steps is 0; it must be at least 1"):
        shrink(steps=0)


@pytest.mark.slow
def test_compiling_by_hand(tmp_path: Path) -> None:
    for name in ("Spike", "Shrink"):
        (tmp_path / f"{name.lower()}.cpp").write_text(source(PAGE, name), encoding="utf-8")
    (commands,) = (block for block in blocks(PAGE, "sh") if "libspike.so" in block)
    python_first = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["bash", "-ec", commands], cwd=tmp_path, env=python_first, check=True)
    spike, shrink = (pyhooks.load_plugin(tmp_path / f"lib{name}.so") for name in ("spike", "shrink"))
    trainer = trainer_of(callbacks=[spike.Spike(factor=2.0), shrink.Shrink()])
    trainer.fit(points(8), epochs=1, batch_size=4)
    assert list(trainer.history.batch["spikes"]) == [0, 0]
