"""Fixtures of the trainer's tests."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["graph", "python"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return str(request.param)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever makes runs/train makes it here."""
    monkeypatch.chdir(tmp_path)
