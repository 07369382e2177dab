"""pyhooks as its users have it: a wheel, in an environment of its own that sees torch but not this source tree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch

ROOT = Path(__file__).resolve().parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]


class Installation(NamedTuple):
    """An environment with the wheel in it; everything runs in new processes.

    Attributes:
        python: its interpreter.
        environment: variables of the processes; their cache of built plugins is a new one.
    """

    python: Path
    environment: dict[str, str]

    def run(self, program: str, folder: Path, *arguments: object, **variables: str) -> str:
        """Run a Python program in a folder; return what it printed."""
        (folder / "program.py").write_text(program)
        return self.command([self.python, "program.py", *arguments], folder, **variables)

    def command(self, words: list[Any], folder: Path, **variables: str) -> str:
        """Run a command in a folder; return what it printed."""
        environment = {**self.environment, **variables}
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def config(self, folder: Path, *what: str) -> list[str]:
        """The words that ``python -m pyhooks config`` answers with."""
        return self.command([self.python, "-m", "pyhooks", "config", *what], folder).split()

    def pip_install(self, package: Path, folder: Path) -> None:
        """Install a package into the environment, from files alone."""
        words = [*PIP, "--python", self.python, "install", "--no-deps", "--no-index", "--no-build-isolation", package]
        self.command(words, folder)


def build_wheel(folder: Path) -> Path:
    """The wheel of this source tree. CMake's folder is kept, so that a second session builds only what changed."""
    environment = {**os.environ, "PYHOOKS_BUILD_DIR": "build/wheel", "PYHOOKS_WERROR": "1"}
    words = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Installation:
    """A new environment with the wheel; torch and the tools are those of the running one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = Path(torch.__file__).resolve().parents[1]
    (folder / "lib" / version / "site-packages" / "torch_of_the_tests.pth").write_text(f"{packages}\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PYHOOKS_CACHE"] = str(folder / "cache")
    environment["OMP_NUM_THREADS"] = "1"
    made = Installation(folder / "bin" / "python", environment)
    made.pip_install(wheel, folder)
    where = made.run("import pyhooks; print(pyhooks.__file__)", folder).strip()
    assert Path(where).is_relative_to(folder), where
    return made
