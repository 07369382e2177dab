"""Checkpoints of whole runs: going on from what is written in the background, at Ctrl-C and at SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from trainer_helpers import Recorder, assert_same, points, state_of, trainer_of

import pyhooks
from pyhooks import checkpoint
from pyhooks.callbacks import Checkpoint


def test_on_checkpoint_durable_comes_for_each_file_and_the_file_is_there(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []

    def look(event: str, trainer: pyhooks.Trainer) -> None:
        if event in ("on_model_save", "on_checkpoint_durable"):
            seen.append((event, trainer.epoch))
            assert event == "on_model_save" or (tmp_path / "epoch1.safetensors").exists()

    trainer_of(callbacks=[Recorder(look), Checkpoint(tmp_path, keep_last=None)]).fit(points(), epochs=4, batch_size=8)
    assert [epoch for event, epoch in seen if event == "on_model_save"] == [0, 1, 2, 3]
    assert len(seen) == 8
    assert all(
        sum(event == "on_checkpoint_durable" for event, _ in seen[: i + 1])
        <= sum(event == "on_model_save" for event, _ in seen[: i + 1])
        for i in range(8)
    )


def test_every_file_in_a_run_is_a_state_to_go_on_from(tmp_path: Path) -> None:
    whole = trainer_of(callbacks=[Checkpoint(tmp_path, keep_last=None)])
    whole.fit(points(), epochs=5, batch_size=8)
    for done in (1, 2, 3, 4):
        resumed = trainer_of(callbacks=[Checkpoint(tmp_path / "again", keep_last=None)])
        resumed.load_checkpoint(tmp_path / f"epoch{done}.safetensors")
        assert resumed.fit(points(), epochs=5, batch_size=8).epochs_run == 5 - done
        assert_same(state_of(resumed), state_of(whole))


def test_ctrl_c_leaves_the_state_it_came_in(tmp_path: Path) -> None:
    trainer = trainer_of(callbacks=[Checkpoint(tmp_path)])

    def interrupt(trainer: pyhooks.Trainer) -> None:
        if trainer.epoch == 2:
            raise KeyboardInterrupt

    trainer.add_callback("on_train_epoch_end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(points(), epochs=5, batch_size=8)
    tensors, meta = checkpoint.load(tmp_path / "interrupted.safetensors")
    assert torch.equal(tensors["model.weight"], trainer.model.weight)
    assert (meta["epochs_done"], meta["global_step"]) == (2, 9)
    assert not (tmp_path / "exception.safetensors").exists()
    resumed = trainer_of(callbacks=[Checkpoint(tmp_path)])
    resumed.load_checkpoint(tmp_path / "interrupted.safetensors")
    assert resumed.fit(points(), epochs=5, batch_size=8).epochs_run == 3


PROGRAM = """
import sys, torch, pyhooks
from pyhooks.callbacks import Checkpoint
net = torch.nn.Linear(4, 3)
trainer = pyhooks.Trainer(net, torch.nn.functional.cross_entropy, torch.optim.SGD(net.parameters(), lr=0.1),
    callbacks=[Checkpoint(sys.argv[1], on_sigterm=True)], progress=False)
trainer.add_callback("on_train_epoch_end", lambda t: print("epoch", flush=True))
trainer.add_callback("teardown", lambda t: print("teardown", type(t.exception).__name__, flush=True))
trainer.fit((torch.randn(50_000, 4), torch.randint(3, (50_000,))), epochs=1000, batch_size=4)
"""


def test_sigterm_ends_training_within_a_batch_and_keeps_the_state(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "epoch\n"
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert process.returncode == 128 + signal.SIGTERM
    assert rest.endswith("teardown SystemExit\n") and rest.count("epoch") <= 1
    assert checkpoint.load(tmp_path / "exception.safetensors")[1]["global_step"] >= 12_500


def test_sigterm_is_left_alone_where_nobody_asks(tmp_path: Path) -> None:
    handlers = []
    for asked in (False, True):
        trainer = trainer_of(callbacks=[Checkpoint(tmp_path, on_sigterm=asked)])
        trainer.add_callback("on_train_start", lambda _: handlers.append(signal.getsignal(signal.SIGTERM)))
        trainer.fit(points(), epochs=1, batch_size=8)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert handlers[0] is signal.SIG_DFL and callable(handlers[1])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_cannot_be_written_ends_training_with_its_error_alone(
    tmp_path: Path, asynchronous: bool, recwarn: pytest.WarningsRecorder
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("where a folder should be")
    trainer = trainer_of(callbacks=[Checkpoint(blocked / "weights", asynchronous=asynchronous)])
    with pytest.raises(OSError, match=os.strerror(20)):
        trainer.fit(points(), epochs=3, batch_size=8)
    assert not recwarn.list
