"""Runs the benchmarks' own programs.

The compiled ones are in cpp/; the CMake target pyhooks_bench puts them into $PYHOOKS_BENCH_BUILD (build/dev if unset).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.environment import ROOT

BUILD = ROOT / os.environ.get("PYHOOKS_BENCH_BUILD", "build/dev")


def program(name: str) -> Path:
    """Where a compiled one is; the test fails if it is not there."""
    path = BUILD / name
    if not path.exists():
        pytest.fail(f"{path} is not there: run `make bench`, which builds it first", pytrace=False)
    return path


def output_of(*command: object) -> dict[str, list[float]]:
    """Run a program that prints JSON; the test fails with what it says if it fails."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.fail(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()}", pytrace=False)
    return json.loads(done.stdout)
