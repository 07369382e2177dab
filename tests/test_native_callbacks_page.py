"""The plugin of docs/writing-native-callbacks.md is compiled, loaded and trained with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from trainer_helpers import points, trainer_of

import pyhooks

DOCS = Path(__file__).parents[1] / "docs"


def source(page: str, name: str) -> str:
    """The page's C++ block that registers that class."""
    blocks = re.findall(r"```cpp\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    (found,) = (block for block in blocks if re.search(rf"PYHOOKS_\w+\({name},", block))
    return found


def plugin(page: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYHOOKS_CACHE", str(folder / "cache"))
    path = folder / f"{name.lower()}.cpp"
    path.write_text(source(page, name), encoding="utf-8")
    return getattr(pyhooks.load_plugin(path), name)


@pytest.mark.slow
def test_the_first_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spike = plugin("writing-native-callbacks.md", "Spike", tmp_path, monkeypatch)
    x = points(64)[0]
    y = torch.zeros(64, 3)
    y[40] = 1000  # its batch's loss is a spike
    trainer = trainer_of(loss=nn.functional.mse_loss, callbacks=[spike(factor=4)])
    trainer.fit((x, y), epochs=2, batch_size=4)
    assert trainer.history.batch["spikes"][-1] == 2 and trainer.global_step == 2 * 16 - 2
