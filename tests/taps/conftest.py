"""Fixtures of the tests of tensor hooks."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["graph", "python"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return str(request.param)
