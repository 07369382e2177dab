"""docs/schedules.md: its examples, as they stand there, and its list of torch's schedulers."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler
from trainer_helpers import points

import pyhooks
from pyhooks import schedules

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "schedules.md").read_text()


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"pyhooks": pyhooks, "torch": torch, "nn": nn, "F": F, "data": points(256)}
    shapes, several, torchs, finder = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    exec(shapes, names)
    for name in ("ten_percent_up", "three_phases", "restarts"):
        assert len(names[name].values(6, 20)) == 120
    for code in (several, torchs):
        names["net"] = nn.Linear(4, 3)
        exec(code, names)
        assert len(set(names["trainer"].history.batch["lr"])) > 20
    exec(finder, names)
    assert names["found"].suggestion is not None and Path("lr.png").is_file()


def test_every_scheduler_of_torch_and_every_shape_is_named() -> None:
    torchs = {
        name
        for name, value in vars(lr_scheduler).items()
        if inspect.isclass(value) and issubclass(value, lr_scheduler.LRScheduler) and not name.startswith("_")
    }
    missing = [name for name in (torchs - {"LRScheduler"}) | {"SWALR"} if f"`{name}`" not in PAGE]
    assert missing == []
    assert [name for name in schedules.__all__ if name != "Shape" and f"`{name}(" not in PAGE] == []
