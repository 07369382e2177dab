"""Every public example runs, as a user would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXPECTED = {
    "early_stopping.py": r"best epoch's loss (0\.\d{4}), of the weights put back \1\n$",
    "quickstart.py": r"Epoch 10 complete\. Current fitness: -0\.\d+\nResult\(epochs_run=10, .*val/accuracy=0\.\d+\)",
    "custom_callback.py": r"stopped: good_enough: 97 % is enough \[epoch \d+\]",
    "plugin.py": r"noise of the loss: 0\.\d+ in the first epoch, 0\.\d+ in the last\n$",
    "resume.py": r"bit-identical to the run that never stopped: True",
    "schedules.py": r"suggestion=0\.\d+, .*\nrate: 0\.\d+ at first, .*\nvalidation accuracy: 0\.[89]\d+\n$",
}


def run(script: Path, folder: Path) -> str:
    environment = {**os.environ, "PYHOOKS_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_every_example_is_listed_here() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_example_runs(name: str, tmp_path: Path) -> None:
    assert re.search(EXPECTED[name], run(ROOT / "examples" / name, tmp_path))


def test_the_readmes_program_runs(tmp_path: Path) -> None:
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    (tmp_path / "program.py").write_text(block.group(1))
    output = run(tmp_path / "program.py", tmp_path)
    assert output.count("complete. Current fitness") >= 5
    assert (tmp_path / "runs" / "digits" / "best.safetensors").is_file()


def test_demo_trains_and_leaves_its_files(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pyhooks", "demo", "--epochs", "5"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bit-identical to the plain loop's" in done.stdout
    assert "test accuracy" in done.stdout
    left = {str(path.relative_to(tmp_path)) for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    wanted = {"results.csv", "results.png", "weights/last.safetensors", "weights/best.safetensors"}
    assert {f"runs/train/{name}" for name in wanted} <= left
