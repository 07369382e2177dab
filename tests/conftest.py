"""Fixtures of all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def staged_data() -> Path:
    """The folder of staged public data sets (mnist/mnist.npz, ...); skips where there is none.

    ``PYHOOKS_DATA`` names it; else it is looked for beside the checkout, in shared/data.
    """
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("PYHOOKS_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no staged data sets in {folder}: set PYHOOKS_DATA")
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are faster on one thread, and results do not depend on the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def heed_ctrl_c() -> None:
    """A shell without job control lets its background jobs ignore SIGINT, and their children: tests that press Ctrl-C
    would wait for ever."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
