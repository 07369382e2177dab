"""Fixtures of the tests that use pyhooks as it is installed."""

from __future__ import annotations

import pytest
from plugin.installation import Installation, build_wheel, install


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel of this source tree, built once and installed into an environment of its own."""
    return install(build_wheel(tmp_path_factory.mktemp("wheel")), tmp_path_factory.mktemp("environment"))
