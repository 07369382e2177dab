"""Optimizers, parameter groups, accumulation with clipping, and schedules."""

from __future__ import annotations

import pytest
import torch
from parity import plain
from parity.cases import ACCUMULATION, DEFAULT_OPTIMIZERS, GROUPS, MLP, OPTIMIZERS, SCHEDULES
from parity.compare import assert_parity
from parity.harness import build, fit, trainer_for

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str, engine: str) -> None:
    assert_parity(MLP.but(optimizer=OPTIMIZERS[name]), engine)


@pytest.mark.parametrize("name", GROUPS)
def test_parameter_groups(name: str, engine: str) -> None:
    assert_parity(GROUPS[name], engine)


@pytest.mark.parametrize("name", ACCUMULATION)
def test_accumulation_and_clipping(name: str, engine: str) -> None:
    assert_parity(ACCUMULATION[name], engine)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name: str, engine: str) -> None:
    assert_parity(SCHEDULES[name], engine)


def test_clipping_by_norm_changes_something() -> None:
    """Else the cases above would prove nothing."""
    case = ACCUMULATION["clip_norm"]
    losses = [plain.fit(one, build(one), one.train_data()).losses for one in (case, case.but(clip_norm=None))]
    assert losses[0] != losses[1]


def test_plateau_lowers_the_rate() -> None:
    case = SCHEDULES["plateau"]
    assert len(set(plain.fit(case, build(case), case.train_data(), case.val_data()).lrs)) > 1


@pytest.mark.parametrize("name", DEFAULT_OPTIMIZERS)
def test_an_optimizer_that_is_not_fused_trains_as_the_fused_one(name: str) -> None:
    case = MLP.but(optimizer=DEFAULT_OPTIMIZERS[name])
    fused = build(case)
    for group in fused.optimizer.param_groups:
        group["fused"] = True
    for state in fused.optimizer.state.values():  # adagrad's, made at once
        state["step"] = state["step"].float()
    plain.fit(case, fused, case.train_data())
    mine = build(case)
    fit(case, trainer_for(case, mine, "graph"), case.train_data())
    for p, q in zip(mine.model.parameters(), fused.model.parameters(), strict=True):
        assert torch.equal(p, q)
        for key, value in fused.optimizer.state[q].items():
            assert torch.equal(mine.optimizer.state[p][key], value), key
