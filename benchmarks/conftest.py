"""Every suite computes with one thread, and its JSON says what it ran on."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.environment import environment

torch.set_num_threads(1)


def pytest_benchmark_update_machine_info(config: Any, machine_info: dict[str, Any]) -> None:
    """Called by pytest-benchmark."""
    machine_info["pyhooks"] = environment()
