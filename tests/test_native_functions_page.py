"""docs/native-functions.md: its examples, as they stand there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trainer_helpers import net, points, trainer_of

from pyhooks import paths

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "native-functions.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_function_in_python() -> None:
    pytest.importorskip("numba")
    x, y = points(64)
    named: dict[str, Any] = {"trainer": trainer_of(seed=0), "x": 30 * x, "y": y}
    exec(blocks("python")[0], named)
    norms = named["trainer"].history.batch["grad_norm"]
    assert len(norms) == 20 and named["clip"].state[0] == np.count_nonzero(norms > 1) > 0


def test_the_function_in_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("watch.c").write_text(blocks("c")[0])
    command = re.search(r"^gcc .*$", PAGE, re.MULTILINE)
    assert command is not None
    subprocess.run(
        command[0].replace("$(python -m pyhooks config --includedir)", str(paths.include_dir())).split(), check=True
    )
    trainer = trainer_of(net())
    exec(blocks("python")[1], {"trainer": trainer})
    x, y = points(24)
    trainer.fit((30 * x, y), epochs=1, batch_size=8, shuffle=False)
    over = trainer.history.batch["over"]
    assert np.array_equal(over, trainer.history.batch["loss"] - 3) and trainer.global_step == np.count_nonzero(
        over <= 0
    )
    assert (over > 0).any()
