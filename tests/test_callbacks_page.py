"""docs/callbacks.md names every option of its callbacks, and its calls are right."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from pyhooks.callbacks import Checkpoint, EarlyStopping

PAGE = (Path(__file__).parents[1] / "docs" / "callbacks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [EarlyStopping, Checkpoint])
def test_every_option_is_named(kind: type) -> None:
    section = PAGE.split(f"## {kind.__name__}\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)(?:=\S*)?`", section))
    options = set(inspect.signature(kind).parameters) - {"save_last", "save_best", "mode", "strict"}
    assert options <= named


def test_the_calls_are_right() -> None:
    calls = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    exec(calls, {"EarlyStopping": EarlyStopping, "Checkpoint": Checkpoint})
