"""A run that was stopped, saved and resumed equals one that never stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from parity import plain
from parity.cases import ACCUMULATION, DROPOUT, MODELS, OPTIMIZERS, SCHEDULES
from parity.compare import assert_equal_parts
from parity.harness import build, fit, trainer_for
from torch.optim.lr_scheduler import OneCycleLR

from pyhooks.callbacks import Checkpoint

pytestmark = pytest.mark.filterwarnings("error")

RESUMED = {
    "dropout": DROPOUT,
    "no_seed": DROPOUT.but(seed=None),
    "cnn": MODELS["cnn"],
    "gpt": MODELS["gpt"],
    "amsgrad": DROPOUT.but(optimizer=OPTIMIZERS["adamw_amsgrad"]),
    "adagrad": DROPOUT.but(optimizer=OPTIMIZERS["adagrad"]),
    "accumulation": ACCUMULATION["clip_norm"],
    "cosine": SCHEDULES["cosine"],
    "onecycle": DROPOUT.but(scheduler=lambda o: OneCycleLR(o, 0.1, total_steps=12), per="batch"),
    "plateau": SCHEDULES["plateau"],
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_run_equals_one_that_never_stopped(name: str, engine: str, tmp_path: Path) -> None:
    case = RESUMED[name].but(epochs=4)
    theirs = build(case)
    torch.manual_seed(1)
    record = plain.fit(case, theirs, case.train_data(), case.val_data())
    generator = torch.get_rng_state()

    first = build(case)
    torch.manual_seed(1)
    trainer = trainer_for(case, first, engine, callbacks=[Checkpoint(tmp_path)])
    fit(case.but(epochs=2), trainer, case.train_data(), case.val_data())

    mine = build(case)
    torch.manual_seed(99)
    trainer = trainer_for(case, mine, engine, callbacks=[Checkpoint(tmp_path)])
    trainer.load_checkpoint(tmp_path / "last.safetensors")
    fit(case, trainer, case.train_data(), case.val_data())
    losses = trainer.history.batch["loss"].tolist()
    assert losses == record.losses[-len(losses) :]
    assert len(losses) == len(record.losses) // 2
    assert torch.equal(torch.get_rng_state(), generator)
    assert_equal_parts(mine, theirs)
