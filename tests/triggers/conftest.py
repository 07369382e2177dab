"""Fixtures of the triggers' tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever makes runs/train makes it here."""
    monkeypatch.chdir(tmp_path)
