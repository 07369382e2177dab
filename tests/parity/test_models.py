"""Real kinds of models, their parts, and what goes in and comes out of them."""

from __future__ import annotations

import pytest
from parity.cases import DROPOUT, MODELS, PARTS, STRUCTURES
from parity.compare import assert_parity
from parity.models import BranchOnValues

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str, engine: str) -> None:
    assert_parity(MODELS[name], engine)


@pytest.mark.parametrize("name", PARTS)
def test_parts(name: str, engine: str) -> None:
    assert_parity(PARTS[name], engine)


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures(name: str, engine: str) -> None:
    assert_parity(STRUCTURES[name], engine)


def test_a_model_that_cannot_be_captured() -> None:
    assert_parity(DROPOUT.but(model=BranchOnValues), "python")


def test_a_model_that_cannot_be_captured_falls_back_to_python() -> None:
    with pytest.warns(UserWarning, match="engine='python'"):
        assert_parity(DROPOUT.but(model=BranchOnValues), "auto")
